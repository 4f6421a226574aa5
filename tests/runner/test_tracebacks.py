"""What tracebacks of errors show, and that errors keep nothing alive."""

import gc
import traceback
import weakref
from collections.abc import AsyncGenerator, Callable
from pathlib import Path

import pytest

import pagerduty_alerting
from pagerduty_alerting import Client, NotFoundError
from pagerduty_alerting._loop.runner import LoopRunner
from pagerduty_alerting.emulator import Emulator, Operation
from tests.support.threads import AtGate, InThread

PACKAGE = Path(pagerduty_alerting.__file__).parent


def raised_by(call: Callable[[], object]) -> BaseException:
    try:
        call()
    except BaseException as error:
        return error
    raise AssertionError("nothing was raised")


def files(error: BaseException) -> list[str]:
    """Returns the file of each frame, the caller's first."""
    return [Path(frame.filename).name for frame in traceback.extract_tb(error.__traceback__)]


@pytest.fixture
def refusing(emulator: Emulator) -> Emulator:
    """An emulator that responds with 404."""
    emulator.on(Operation.LIST).respond(404)
    return emulator


def test_a_traceback_begins_at_the_call_and_ends_in_the_client(refusing: Emulator, client: Client) -> None:
    error = raised_by(client.list_services)
    shown = files(error)
    assert isinstance(error, NotFoundError)
    assert shown[:2] == [Path(__file__).name, "sync.py"]
    assert "client.py" in shown
    assert shown[-1] in {path.name for path in PACKAGE.rglob("*.py")}


def test_a_traceback_holds_at_most_two_frames_of_the_runner(refusing: Emulator, client: Client) -> None:
    assert 1 <= files(raised_by(client.list_services)).count("runner.py") <= 2


async def test_a_traceback_from_inside_a_coroutine_holds_at_most_two_frames_of_the_runner(
    refusing: Emulator, client: Client
) -> None:
    assert 1 <= files(raised_by(client.list_services)).count("runner.py") <= 2


def test_a_followers_traceback_begins_at_its_own_call(refusing: Emulator, client: Client, runner: LoopRunner) -> None:
    gate = AtGate()
    leader = InThread(lambda: client._runner.run(gate.passed()))
    gate.wait_reached()
    error = InThread(lambda: raised_by(client.list_services)).result()
    gate.open()
    leader.result()
    assert files(error)[1] == "sync.py"
    assert files(error).count("runner.py") <= 2


def test_a_traceback_of_an_iteration_holds_at_most_two_frames_of_the_runner(runner: LoopRunner) -> None:
    async def breaks() -> AsyncGenerator[int, None]:
        yield 1
        raise ValueError("no more")

    error = raised_by(lambda: list(runner.iterate(breaks())))
    assert files(error).count("runner.py") <= 2
    assert files(error)[-1] == Path(__file__).name


def test_an_error_of_a_closed_client_holds_at_most_two_frames_of_the_runner(client: Client) -> None:
    client.close()
    assert files(raised_by(client.list_services)).count("runner.py") <= 2


def test_an_error_is_freed_at_once_with_its_last_reference(refusing: Emulator, client: Client) -> None:
    raised_by(client.list_services)  # creates what is made only once
    gc.collect()
    gc.disable()
    try:
        error: BaseException | None = raised_by(client.list_services)
        alive = weakref.ref(error)
        error = None
        assert alive() is None
    finally:
        gc.enable()


def test_a_successful_call_leaves_nothing_for_the_garbage_collector(runner: LoopRunner) -> None:
    class Result:
        """An object that supports weak references."""

    async def give() -> Result:
        return Result()

    gc.disable()
    try:
        result = weakref.ref(runner.run(give()))
        assert result() is None
    finally:
        gc.enable()
