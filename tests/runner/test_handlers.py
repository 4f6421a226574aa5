"""Signal handlers that are set, changed and removed at any time; what they raise in a call is deferred to its end."""

import asyncio
import signal
import sys
from collections.abc import Callable, Iterator
from types import FrameType

import pytest

from pagerduty_alerting._loop.runner import LoopRunner

if sys.platform == "win32":
    pytest.skip("Windows has no POSIX signals", allow_module_level=True)

ALL = ["SIGUSR1", "SIGALRM", "SIGTERM", "SIGCHLD", "SIGRTMIN", "SIGWINCH"]


class Interruption(BaseException):
    """What the handlers raise."""


def on_signal(_number: int, _frame: FrameType | None) -> None:
    raise Interruption


@pytest.fixture(params=ALL)
def number(request: pytest.FixtureRequest) -> Iterator[int]:
    """A signal, whose handler is restored after the test."""
    if not hasattr(signal, request.param):
        pytest.skip(f"this system has no {request.param}")
    given = getattr(signal, request.param)
    former = signal.getsignal(given)
    yield given
    signal.signal(given, former)


async def nothing() -> None:
    """Returns at once."""


def is_deferred(runner: LoopRunner, raise_signal: Callable[[], None]) -> bool:
    """Makes a call in which a handler raises; returns whether that cancelled the call instead of interrupting it."""
    ended: list[type[BaseException]] = []

    async def call() -> None:
        try:
            raise_signal()
            await asyncio.sleep(30)
        except BaseException as error:
            ended.append(type(error))
            raise

    with pytest.raises(Interruption):
        runner.run(call())
    return ended == [asyncio.CancelledError]


def test_a_handler_that_was_set_before_the_first_call_is_deferred(runner: LoopRunner, number: int) -> None:
    signal.signal(number, on_signal)
    assert is_deferred(runner, lambda: signal.raise_signal(number))
    assert signal.getsignal(number) is on_signal


def test_a_handler_that_is_set_between_two_calls_is_deferred(runner: LoopRunner, number: int) -> None:
    runner.run(nothing())
    signal.signal(number, on_signal)
    assert is_deferred(runner, lambda: signal.raise_signal(number))
    assert signal.getsignal(number) is on_signal


def test_a_handler_that_replaces_another_is_deferred(runner: LoopRunner, number: int) -> None:
    replaced: list[object] = []
    signal.signal(number, lambda *_: replaced.append("called"))
    runner.run(nothing())
    signal.signal(number, on_signal)
    assert is_deferred(runner, lambda: signal.raise_signal(number))
    assert replaced == []


@pytest.mark.parametrize("how", [signal.SIG_DFL, signal.SIG_IGN])
def test_a_handler_that_is_removed_between_two_calls_stays_removed(
    runner: LoopRunner, number: int, how: signal.Handlers
) -> None:
    signal.signal(number, on_signal)
    runner.run(nothing())
    signal.signal(number, how)
    runner.run(nothing())
    assert signal.getsignal(number) is how


def test_a_handler_that_is_set_by_a_handler_during_a_call_stays_and_is_deferred(
    runner: LoopRunner, number: int
) -> None:
    def set_another(_number: int, _frame: FrameType | None) -> None:
        signal.signal(number, on_signal)

    async def call() -> None:
        signal.raise_signal(number)

    signal.signal(number, set_another)
    runner.run(call())
    assert signal.getsignal(number) is on_signal
    assert is_deferred(runner, lambda: signal.raise_signal(number))


def test_a_handler_that_removes_itself_during_a_call_stays_removed(runner: LoopRunner, number: int) -> None:
    async def call() -> None:
        signal.raise_signal(number)

    signal.signal(number, lambda *_: signal.signal(number, signal.SIG_IGN))
    runner.run(call())
    runner.run(nothing())
    assert signal.getsignal(number) is signal.SIG_IGN
