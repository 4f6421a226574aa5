"""Interruptions at every line of the runner, and at random moments: nothing blocks, gets lost or stays broken.

`nox -s soak` interrupts at every line instead of every fifth, and 10,000 times at random moments. STORM_SEED seeds the
random numbers.
"""

import ast
import asyncio
import os
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from pagerduty_alerting import APITimeoutError, Client
from pagerduty_alerting._loop.deadlines import Deadlines, Limit
from pagerduty_alerting._loop.runner import LoopRunner
from pagerduty_alerting.emulator import Emulator
from tests.support import stress_server
from tests.support.scripts import End, program_of, script
from tests.support.size import size
from tests.support.threads import PATIENCE, InThread

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no POSIX signals")

HERE = Path(__file__).parent
COUNT = size(200, full=10_000)
SEED = int(os.environ.get("STORM_SEED", "20261124"))

STRIDE = size(5, full=1)
FEWEST_POINTS = 50 // STRIDE  # of each situation; fewer would mean that lines are no longer counted


# Ends the measurement of coverage, whose locks a signal handler can leave held.
UNMEASURED = """
import sys
if "coverage" in sys.modules and (measurement := sys.modules["coverage"].Coverage.current()):
    measurement.stop()
"""


def end_of(program: str, *arguments: str, settings: Mapping[str, str]) -> End:
    """Runs a program of this folder and returns how it ended."""
    # An interruption before the runner starts leaves a coroutine that is never awaited, of which Python warns.
    source = UNMEASURED + program_of(HERE / program, *arguments)
    with script(source, settings, "-Wignore", preamble="") as running:
        return running.end()


@pytest.mark.timeout(300)
@pytest.mark.parametrize("interruption", ["exception", "signal", "ctrl-c", "call", "garbage-collection"])
def test_an_interruption_at_any_line_blocks_nothing_and_leaves_the_client_usable(interruption: str) -> None:
    end = end_of("every_line.py", interruption, settings={"EVERY_LINE_STRIDE": str(STRIDE)})
    assert (end.status, end.errors) == (0, ""), end
    lines = end.output.splitlines()
    assert [line for line in lines if not line.endswith(" points, 0 failed")] == []
    assert len(lines) == 10
    assert min(int(line.split(": ")[1].split()[0]) for line in lines) >= FEWEST_POINTS


@pytest.fixture(scope="module")
def api() -> Iterator[dict[str, str]]:
    """The environment of an API in a separate process."""
    with script(program_of(Path(stress_server.__file__)), {}, preamble="") as server:
        yield {
            "CLOUDFLARE_BASE_URL": f"http://127.0.0.1:{server.read_line()}/client/v4",
            "CLOUDFLARE_API_TOKEN": "storm",
            "CLOUDFLARE_ACCOUNT_ID": "good-1",
        }


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("threads", [0, 4], ids=["alone", "beside threads"])
@pytest.mark.parametrize("kind", ["signal", "ctrl-c", "asynchronous"])
def test_random_interruptions_block_no_call_and_leave_the_client_usable(
    api: dict[str, str], kind: str, threads: int
) -> None:
    end = end_of("storm.py", kind, str(COUNT), str(SEED), str(threads), settings=api)
    assert end.status == 0, end
    came = ast.literal_eval(end.output.splitlines()[0])
    assert came["KeyboardInterrupt" if kind == "ctrl-c" else "Interruption"] > COUNT / 2


class Interruption(BaseException):
    """An asynchronous exception of another thread."""


@pytest.mark.parametrize("line", ["before it began", "before it ended a call"])
def test_an_exception_in_the_timer_of_the_deadlines_delays_no_deadline(
    emulator: Emulator, client: Client, monkeypatch: pytest.MonkeyPatch, line: str
) -> None:
    """The leader's thread gets it, while the timer has fired for the call of another thread."""
    gate = emulator.on().hold()
    interrupted: list[object] = []

    def interrupting(method: Callable[..., None]) -> Callable[..., None]:
        def interrupted_once(*arguments: Any) -> None:
            if not interrupted:
                interrupted.append(arguments)
                raise Interruption
            method(*arguments)

        return interrupted_once

    place = (Deadlines, "_fire") if line == "before it began" else (Limit, "expire")
    monkeypatch.setattr(*place, interrupting(getattr(*place)))
    leader = InThread(lambda: client.list_services(timeout=PATIENCE))
    gate.wait_arrived(1)
    follower = InThread(lambda: client.list_services(timeout=0.2))
    with pytest.raises(APITimeoutError):
        follower.result(30)
    with pytest.raises(Interruption):
        leader.result(30)
    with pytest.raises(APITimeoutError):
        InThread(lambda: client.list_services(timeout=0.2)).result(30)


def test_an_exception_just_before_another_calls_task_is_woken_costs_it_nothing(runner: LoopRunner) -> None:
    """The leader's thread gets it where asyncio has taken the callback from its queue, and has not called it."""
    tasks: list[asyncio.Task[Any] | None] = []
    wakes, is_leading = threading.Event(), threading.Event()

    def interrupt(frame: FrameType, event: str, argument: object) -> None:
        if event == "call" and frame.f_code is asyncio.Handle._run.__code__ and tasks:
            callback = frame.f_locals["self"]._callback
            if getattr(callback, "__self__", None) is tasks[0] and wakes.is_set():
                sys.settrace(None)
                raise Interruption

    async def wait() -> None:
        is_leading.set()
        await asyncio.Event().wait()

    async def be_woken() -> str:
        future = asyncio.get_running_loop().create_future()
        tasks.append(asyncio.current_task())
        wakes.set()
        asyncio.get_running_loop().call_later(0.05, future.set_result, None)
        await future
        return "woken"

    def lead() -> None:
        sys.settrace(interrupt)
        try:
            runner.run(wait())
        finally:
            sys.settrace(None)

    leader = InThread(lead)
    assert is_leading.wait(PATIENCE)
    follower = InThread(lambda: runner.run(be_woken()))
    with pytest.raises(Interruption):
        leader.result(30)
    assert follower.result(30) == "woken"
