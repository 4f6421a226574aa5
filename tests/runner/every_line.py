"""Something strikes at every line of the runner in turn, and nothing hangs, gets lost or stays broken.

    python tests/runner/every_line.py STRIKE [SITUATION ...]

A trace function counts the lines that the main thread executes in `_loop/`, and strikes at the n-th: n is 1, then 2,
until the situation is over before it comes to that. With EVERY_LINE_STRIDE=3, every third point is tried; each strike
and situation begins at another one, so that all of them together come to all lines. The program prints the number of
points, and for each that failed what was wrong; where something hangs, it prints all stacks and exits.

With EVERY_LINE_HOST=gevent or eventlet, it patches itself, so that a greenlet waits while a native thread drives, and
`greenlets.py` belongs to the lines. Two situations are left out then: their coroutines start a thread, which in such a
program is a greenlet of the thread that drives the loop.
"""

import asyncio
import contextlib
import faulthandler
import gc
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import AsyncGenerator, Callable, Iterator
from concurrent.futures import Future
from pathlib import Path
from types import FrameType
from typing import Any

from pagerduty_alerting import ClientClosedError, ClientUsageError
from pagerduty_alerting._loop import runner as runner_module
from pagerduty_alerting._loop.runner import LoopRunner

LOOP = Path(runner_module.__file__).parent
HOST = os.environ.get("EVERY_LINE_HOST")
FILES = {str(LOOP / f"{name}.py") for name in ("runner", "sync_call", "interrupts", *(["greenlets"] if HOST else []))}
HANG = 20.0
STRIDE = int(os.environ.get("EVERY_LINE_STRIDE", "1"))


class Struck(BaseException):
    """What handlers raise, and what is raised without one."""


async def nothing() -> None:
    """Closes nothing."""


async def give(value: object) -> object:
    """Takes some turns of the loop."""
    for _ in range(3):
        await asyncio.sleep(0)
    return value


class World:
    """What there is at one point: a runner, other threads, and a generator that somebody forgot.

    Attributes:
        is_told: Whether what struck has to be raised to the main thread.
    """

    def __init__(self) -> None:
        self.runner = LoopRunner(nothing)
        self.others: list[Future[object]] = []
        self.closed: list[bool] = []
        self.problems: list[str] = []
        self.forgotten: list[Any] = []
        self.is_told = False

    def forget_an_iterator(self) -> None:
        """Leaves the iterator over a generator that has begun to the garbage collector."""
        items = self.runner.iterate(self.source())
        next(items)
        self.forgotten = [items]
        self.forgotten.append(self.forgotten)

    async def source(self) -> AsyncGenerator[int, None]:
        """A generator that notes its end."""
        try:
            yield 1
            yield 2
        finally:
            await asyncio.sleep(0)
            self.closed.append(True)

    def in_thread(self, function: Callable[[], object]) -> None:
        """Calls a function in another thread."""
        future: Future[object] = Future()

        def work() -> None:
            try:
                future.set_result(function())
            except BaseException as error:
                future.set_exception(error)

        threading.Thread(target=work, daemon=True).start()
        self.others.append(future)


def wait_for(seen: list[Any]) -> None:
    """Waits until another thread has seen something. An event of eventlet's would not be noticed across threads."""
    while not seen:
        time.sleep(0.001)


# Situations: generators that prepare, and from the first `yield` on are traced until the next one.


def alone(world: World) -> Iterator[object]:
    world.runner.run(give(1))
    yield
    yield world.runner.run(give("alone"))


def first(world: World) -> Iterator[object]:
    yield
    yield world.runner.run(give("first"))


def leads(world: World) -> Iterator[object]:
    """Another thread's call comes, and is not over when that of the main thread is."""
    came = asyncio.Event()

    async def follow() -> object:
        came.set()
        return await give("followed")

    async def lead() -> object:
        world.in_thread(lambda: world.runner.run(follow()))
        await came.wait()
        return "leads"

    yield
    yield world.runner.run(lead())


def leads_to_the_end(world: World) -> Iterator[object]:
    """Another thread's call comes and ends while the main thread drives."""
    over = asyncio.Event()

    async def follow() -> object:
        over.set()
        return "followed"

    async def lead() -> object:
        world.in_thread(lambda: world.runner.run(follow()))
        await over.wait()
        return await give("leads to the end")

    yield
    yield world.runner.run(lead())


def follows(world: World) -> Iterator[object]:
    go_on = asyncio.Event()
    loops: list[asyncio.AbstractEventLoop] = []

    async def lead() -> object:
        loops.append(asyncio.get_running_loop())
        await go_on.wait()
        return "led"

    world.in_thread(lambda: world.runner.run(lead()))
    wait_for(loops)
    yield
    try:
        yield world.runner.run(give("follows"))
    finally:
        loops[0].call_soon_threadsafe(go_on.set)


def inherits(world: World) -> Iterator[object]:
    """The main thread follows, and has to drive on when the leader is done."""
    go_on = asyncio.Event()
    loops: list[asyncio.AbstractEventLoop] = []

    async def lead() -> object:
        loops.append(asyncio.get_running_loop())
        await go_on.wait()
        return "led"

    async def follow() -> object:
        go_on.set()
        await world_is_left(world)
        return "inherits"

    world.in_thread(lambda: world.runner.run(lead()))
    wait_for(loops)
    yield
    try:
        yield world.runner.run(follow())
    finally:
        loops[0].call_soon_threadsafe(go_on.set)


async def world_is_left(world: World) -> None:
    """Waits until the other thread has returned."""
    while not world.others[0].done():  # noqa: ASYNC110  # there is no event for it
        await asyncio.sleep(0.001)


def iterates(world: World) -> Iterator[object]:
    world.runner.run(give(1))
    yield
    yield list(world.runner.iterate(world.source())) and "iterates"


def leaves(world: World) -> Iterator[object]:
    world.runner.run(give(1))
    yield
    items = world.runner.iterate(world.source())
    next(items)
    items.close()  # as `break` does, after which Python would drop exceptions
    if not world.closed:
        world.problems.append("the generator was not closed before the loop was left")
    yield "leaves"


def in_coroutine(world: World) -> Iterator[object]:
    async def main() -> object:
        return world.runner.run(give("in coroutine"))

    with asyncio.Runner() as mine:
        loop = mine.get_loop()
        yield
        # Not `Runner.run`, which has a handler of its own for Ctrl-C.
        yield loop.run_until_complete(main())


def closes(world: World) -> Iterator[object]:
    world.runner.run(give(1))
    yield
    world.runner.close()
    yield "closes"


SITUATIONS = {
    made.__name__.replace("_", "-"): made
    for made in (alone, first, leads, leads_to_the_end, follows, inherits, iterates, leaves, in_coroutine, closes)
    if not (HOST and made in (leads, leads_to_the_end))
}


def on_signal(_number: int, _frame: FrameType | None) -> None:
    raise Struck("a handler")


def strike_exception(_world: World) -> None:
    raise Struck("asynchronous")


def strike_signal(world: World) -> None:
    world.is_told = True
    signal.raise_signal(signal.SIGUSR1)


def strike_ctrl_c(world: World) -> None:
    world.is_told = True
    signal.raise_signal(signal.SIGINT)


def strike_call(world: World) -> None:
    """A signal handler that makes a call."""

    def call(_number: int, _frame: FrameType | None) -> None:
        with contextlib.suppress(ClientUsageError, ClientClosedError):
            world.runner.run(give(1))

    former = signal.signal(signal.SIGUSR2, call)
    signal.raise_signal(signal.SIGUSR2)
    signal.signal(signal.SIGUSR2, former)


def strike_garbage_collection(world: World) -> None:
    world.forgotten = []
    gc.collect()


STRIKES = {
    "exception": strike_exception,
    "signal": strike_signal,
    "ctrl-c": strike_ctrl_c,
    "call": strike_call,
    "garbage-collection": strike_garbage_collection,
}


class Tracer:
    """Strikes at the n-th line."""

    def __init__(self, point: int, strike: Callable[[], None]) -> None:
        self.left = point
        self.where = ""
        self._strike = strike
        self._greenlet = sys.modules["greenlet"].getcurrent() if HOST else None

    def __call__(self, frame: FrameType, event: str, _argument: object) -> "Tracer | None":
        # Python itself drops what a finalizer raises.
        if frame.f_code.co_filename not in FILES or frame.f_code.co_name == "close_quietly":
            return None
        if HOST and sys.modules["greenlet"].getcurrent() is not self._greenlet:
            return None
        if event == "line":
            self.left -= 1
            if self.left == 0:
                self.where = f"{Path(frame.f_code.co_filename).name}:{frame.f_lineno} {frame.f_code.co_name}"
                sys.settrace(None)
                self._strike()
        return self


def check(situation: str, strike: str, point: int) -> tuple[bool, list[str]]:
    """Returns whether there is such a point, and what was wrong."""
    world = World()
    if strike == "garbage-collection":
        world.forget_an_iterator()
    steps = SITUATIONS[situation](world)
    next(steps)
    tracer = Tracer(point, lambda: STRIKES[strike](world))
    outcome: object = None
    sys.settrace(tracer)
    try:
        outcome = next(steps)
    except BaseException as error:
        outcome = error
    finally:
        sys.settrace(None)
    is_over = not tracer.where
    list(steps)
    problems = world.problems if isinstance(outcome, str) else []
    problems += wrong_with_outcome(world, situation, outcome)
    problems += wrong_afterwards(world, situation, strike)
    return is_over, [f"{tracer.where}: {problem}" for problem in problems]


def wrong_with_outcome(world: World, situation: str, outcome: object) -> Iterator[str]:
    if world.is_told:
        if not isinstance(outcome, Struck | KeyboardInterrupt):
            yield f"the handler's exception came as {outcome!r}"
        elif isinstance(outcome, Struck) and "on_signal" not in [
            frame.name for frame in traceback.extract_tb(outcome.__traceback__)
        ]:
            yield "the traceback does not show the handler"
    elif isinstance(outcome, BaseException) and not isinstance(outcome, Struck):
        yield "".join(traceback.format_exception(outcome))
    elif isinstance(outcome, str) and outcome != situation.replace("-", " "):
        yield f"the result is {outcome!r}"


NOTHING: tuple[object, ...] = (set(), {}, {}, [])


def what_is_left(runner: LoopRunner) -> tuple[object, ...]:
    return runner._busy, runner._calls, runner._leader, list(runner._forgotten)


def wrong_afterwards(world: World, situation: str, strike: str) -> Iterator[str]:
    runner = world.runner
    for other in world.others:
        try:
            if other.result(HANG) not in {"followed", "led"}:
                yield f"another thread got {other.result()!r}"
        except BaseException as error:
            yield f"another thread got {error!r}"
    for _ in range(2):
        try:
            if runner.run(give("later")) != "later":
                yield "a later call got another result"
        except ClientClosedError as error:
            if situation != "closes":
                yield f"a later call got {error!r}"
    if situation != "closes":
        world.in_thread(lambda: runner.run(give("followed")))
        if world.others[-1].result(HANG) != "followed":
            yield "a later call of another thread got another result"
    is_forgotten = strike == "garbage-collection" and not world.forgotten
    if is_forgotten and situation != "closes" and True not in world.closed:  # closing cuts also that short
        yield "the forgotten generator was not closed"
    # A greenlet that was struck before it waits leaves its call to the native thread, which ends it a moment later.
    patience = time.monotonic() + (HANG / 2 if HOST else 0)
    while (left := what_is_left(runner)) != NOTHING and time.monotonic() < patience:
        time.sleep(0.001)
    if left != NOTHING:
        yield f"this was left behind: {left}"
    runner.close()
    if runner._loop is not None:
        yield "the loop was not closed"
    if signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield f"the handler for Ctrl-C is {signal.getsignal(signal.SIGINT)}"
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if signal.getsignal(signal.SIGUSR1) is not on_signal:
        yield f"the handler of a signal is {signal.getsignal(signal.SIGUSR1)}"
        signal.signal(signal.SIGUSR1, on_signal)


def main(strike: str, *situations: str) -> None:
    """Goes through the points of all situations, or of some."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGUSR1, on_signal)
    # Exceptions that asyncio cannot but log, and generators that were never closed, are part of the game.
    sys.unraisablehook = lambda _: None
    runner_module.asyncio.log.logger.disabled = True
    for situation in situations or SITUATIONS:
        go_through(situation, strike)


def go_through(situation: str, strike: str) -> None:
    """Goes through the points of a situation."""
    point = 1 + (list(SITUATIONS).index(situation) + list(STRIKES).index(strike)) % STRIDE
    tried, is_over, failed = 0, False, 0
    while not is_over:
        faulthandler.dump_traceback_later(HANG, exit=True)
        is_over, problems = check(situation, strike, point)
        for problem in problems:
            print(f"{situation}, point {point}, {problem}", flush=True)
        failed += bool(problems)
        tried += not is_over
        point += STRIDE
    faulthandler.cancel_dump_traceback_later()
    print(f"{situation}: {tried} points, {failed} failed")


if __name__ == "__main__":
    if HOST == "gevent":
        from gevent import monkey

        monkey.patch_all()
    elif HOST == "eventlet":
        import eventlet

        eventlet.monkey_patch()
    main(*sys.argv[1:])
