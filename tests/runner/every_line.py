"""Interrupts the runner at every line in turn, and checks that nothing blocks, gets lost or stays broken.

    python tests/runner/every_line.py INTERRUPTION [SITUATION ...]

A trace function counts the lines that the main thread executes in `_loop/`, and interrupts at the n-th: n is 1, then 2,
until the situation ends before that line. With EVERY_LINE_STRIDE=5, every fifth line is tried; each interruption and
situation starts at another line, so that together they cover all lines. The program prints the number of lines, and
what was wrong at each that failed; if something blocks, it prints all stacks and exits.

With EVERY_LINE_HOST=gevent or eventlet, it patches itself, so that a greenlet waits while a native thread drives the
loop, and the lines of `greenlets.py` count too. Two situations are left out then: their coroutines start a thread,
which in such a program is a greenlet of the thread that drives the loop.
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


class Interruption(BaseException):
    """Is raised by handlers, or without one."""


async def nothing() -> None:
    """Closes nothing."""


async def give(value: object) -> object:
    """Takes some turns of the loop."""
    for _ in range(3):
        await asyncio.sleep(0)
    return value


class Fixture:
    """The objects of one interruption: a runner, other threads, and an abandoned generator.

    Attributes:
        must_raise: Whether the main thread must get the exception of the interruption.
    """

    def __init__(self) -> None:
        self.runner = LoopRunner(nothing)
        self.others: list[Future[object]] = []
        self.closed: list[bool] = []
        self.problems: list[str] = []
        self.abandoned: list[Any] = []
        self.must_raise = False

    def abandon_an_iterator(self) -> None:
        """Leaves the iterator over a generator that has begun to the garbage collector."""
        items = self.runner.iterate(self.source())
        next(items)
        self.abandoned = [items]
        self.abandoned.append(self.abandoned)

    async def source(self) -> AsyncGenerator[int, None]:
        """A generator that records its end."""
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
    """Waits until another thread has recorded something; eventlet's events do not work across threads."""
    while not seen:
        time.sleep(0.001)


# Situations: generators that are traced from their first `yield` to the next one.


def alone(fixture: Fixture) -> Iterator[object]:
    fixture.runner.run(give(1))
    yield
    yield fixture.runner.run(give("alone"))


def first(fixture: Fixture) -> Iterator[object]:
    yield
    yield fixture.runner.run(give("first"))


def leads(fixture: Fixture) -> Iterator[object]:
    """Another thread starts a call, which ends after that of the main thread."""
    came = asyncio.Event()

    async def follow() -> object:
        came.set()
        return await give("followed")

    async def lead() -> object:
        fixture.in_thread(lambda: fixture.runner.run(follow()))
        await came.wait()
        return "leads"

    yield
    yield fixture.runner.run(lead())


def leads_to_the_end(fixture: Fixture) -> Iterator[object]:
    """Another thread starts a call, which ends while the main thread drives the loop."""
    over = asyncio.Event()

    async def follow() -> object:
        over.set()
        return "followed"

    async def lead() -> object:
        fixture.in_thread(lambda: fixture.runner.run(follow()))
        await over.wait()
        return await give("leads to the end")

    yield
    yield fixture.runner.run(lead())


def follows(fixture: Fixture) -> Iterator[object]:
    go_on = asyncio.Event()
    loops: list[asyncio.AbstractEventLoop] = []

    async def lead() -> object:
        loops.append(asyncio.get_running_loop())
        await go_on.wait()
        return "led"

    fixture.in_thread(lambda: fixture.runner.run(lead()))
    wait_for(loops)
    yield
    try:
        yield fixture.runner.run(give("follows"))
    finally:
        loops[0].call_soon_threadsafe(go_on.set)


def inherits(fixture: Fixture) -> Iterator[object]:
    """The main thread follows, and must drive the loop after the leader has returned."""
    go_on = asyncio.Event()
    loops: list[asyncio.AbstractEventLoop] = []

    async def lead() -> object:
        loops.append(asyncio.get_running_loop())
        await go_on.wait()
        return "led"

    async def follow() -> object:
        go_on.set()
        await others_have_returned(fixture)
        return "inherits"

    fixture.in_thread(lambda: fixture.runner.run(lead()))
    wait_for(loops)
    yield
    try:
        yield fixture.runner.run(follow())
    finally:
        loops[0].call_soon_threadsafe(go_on.set)


async def others_have_returned(fixture: Fixture) -> None:
    """Waits until the other thread has returned."""
    while not fixture.others[0].done():  # noqa: ASYNC110  # there is no event for it
        await asyncio.sleep(0.001)


def iterates(fixture: Fixture) -> Iterator[object]:
    fixture.runner.run(give(1))
    yield
    yield list(fixture.runner.iterate(fixture.source())) and "iterates"


def leaves(fixture: Fixture) -> Iterator[object]:
    fixture.runner.run(give(1))
    yield
    items = fixture.runner.iterate(fixture.source())
    next(items)
    items.close()  # like `break`, after which Python would drop exceptions
    if not fixture.closed:
        fixture.problems.append("the generator was not closed before the loop was left")
    yield "leaves"


def in_coroutine(fixture: Fixture) -> Iterator[object]:
    async def main() -> object:
        return fixture.runner.run(give("in coroutine"))

    with asyncio.Runner() as mine:
        loop = mine.get_loop()
        yield
        # Not `Runner.run`, which has its own handler for Ctrl-C.
        yield loop.run_until_complete(main())


def closes(fixture: Fixture) -> Iterator[object]:
    fixture.runner.run(give(1))
    yield
    fixture.runner.close()
    yield "closes"


SITUATIONS = {
    made.__name__.replace("_", "-"): made
    for made in (alone, first, leads, leads_to_the_end, follows, inherits, iterates, leaves, in_coroutine, closes)
    if not (HOST and made in (leads, leads_to_the_end))
}


def on_signal(_number: int, _frame: FrameType | None) -> None:
    raise Interruption("by a handler")


def interrupt_by_exception(_fixture: Fixture) -> None:
    raise Interruption("asynchronous")


def interrupt_by_signal(fixture: Fixture) -> None:
    fixture.must_raise = True
    signal.raise_signal(signal.SIGUSR1)


def interrupt_by_ctrl_c(fixture: Fixture) -> None:
    fixture.must_raise = True
    signal.raise_signal(signal.SIGINT)


def interrupt_by_call(fixture: Fixture) -> None:
    """A signal handler that makes a call."""

    def call(_number: int, _frame: FrameType | None) -> None:
        with contextlib.suppress(ClientUsageError, ClientClosedError):
            fixture.runner.run(give(1))

    former = signal.signal(signal.SIGUSR2, call)
    signal.raise_signal(signal.SIGUSR2)
    signal.signal(signal.SIGUSR2, former)


def interrupt_by_garbage_collection(fixture: Fixture) -> None:
    fixture.abandoned = []
    gc.collect()


INTERRUPTIONS = {
    "exception": interrupt_by_exception,
    "signal": interrupt_by_signal,
    "ctrl-c": interrupt_by_ctrl_c,
    "call": interrupt_by_call,
    "garbage-collection": interrupt_by_garbage_collection,
}


class Tracer:
    """Interrupts at the n-th line."""

    def __init__(self, point: int, interrupt: Callable[[], None]) -> None:
        self.left = point
        self.where = ""
        self._interrupt = interrupt
        self._greenlet = sys.modules["greenlet"].getcurrent() if HOST else None

    def __call__(self, frame: FrameType, event: str, _argument: object) -> "Tracer | None":
        # Python drops exceptions of finalizers.
        if frame.f_code.co_filename not in FILES or frame.f_code.co_name == "close_quietly":
            return None
        if HOST and sys.modules["greenlet"].getcurrent() is not self._greenlet:
            return None
        if event == "line":
            self.left -= 1
            if self.left == 0:
                self.where = f"{Path(frame.f_code.co_filename).name}:{frame.f_lineno} {frame.f_code.co_name}"
                sys.settrace(None)
                self._interrupt()
        return self


def check(situation: str, interruption: str, point: int) -> tuple[bool, list[str]]:
    """Returns whether the situation ended before that line, and what was wrong."""
    fixture = Fixture()
    if interruption == "garbage-collection":
        fixture.abandon_an_iterator()
    steps = SITUATIONS[situation](fixture)
    next(steps)
    tracer = Tracer(point, lambda: INTERRUPTIONS[interruption](fixture))
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
    problems = fixture.problems if isinstance(outcome, str) else []
    problems += wrong_with_outcome(fixture, situation, outcome)
    problems += wrong_afterwards(fixture, situation, interruption)
    return is_over, [f"{tracer.where}: {problem}" for problem in problems]


def wrong_with_outcome(fixture: Fixture, situation: str, outcome: object) -> Iterator[str]:
    if fixture.must_raise:
        if not isinstance(outcome, Interruption | KeyboardInterrupt):
            yield f"the handler's exception came as {outcome!r}"
        elif isinstance(outcome, Interruption) and "on_signal" not in [
            frame.name for frame in traceback.extract_tb(outcome.__traceback__)
        ]:
            yield "the traceback does not show the handler"
    elif isinstance(outcome, BaseException) and not isinstance(outcome, Interruption):
        yield "".join(traceback.format_exception(outcome))
    elif isinstance(outcome, str) and outcome != situation.replace("-", " "):
        yield f"the result is {outcome!r}"


NOTHING: tuple[object, ...] = (set(), {}, {}, [])


def what_is_left(runner: LoopRunner) -> tuple[object, ...]:
    return runner._busy, runner._calls, runner._leader, list(runner._abandoned)


def wrong_afterwards(fixture: Fixture, situation: str, interruption: str) -> Iterator[str]:
    runner = fixture.runner
    for other in fixture.others:
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
        fixture.in_thread(lambda: runner.run(give("followed")))
        if fixture.others[-1].result(HANG) != "followed":
            yield "a later call of another thread got another result"
    was_abandoned = interruption == "garbage-collection" and not fixture.abandoned
    if was_abandoned and situation != "closes" and True not in fixture.closed:  # closing ends that call too
        yield "the abandoned generator was not closed"
    # A greenlet that was interrupted before it waits leaves its call to the native thread, which ends it soon after.
    deadline = time.monotonic() + (HANG / 2 if HOST else 0)
    while (left := what_is_left(runner)) != NOTHING and time.monotonic() < deadline:
        time.sleep(0.001)
    if left != NOTHING:
        yield f"not cleaned up: {left}"
    runner.close()
    if runner._loop is not None:
        yield "the loop was not closed"
    if signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield f"the handler for Ctrl-C is {signal.getsignal(signal.SIGINT)}"
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if signal.getsignal(signal.SIGUSR1) is not on_signal:
        yield f"the handler of a signal is {signal.getsignal(signal.SIGUSR1)}"
        signal.signal(signal.SIGUSR1, on_signal)


def main(interruption: str, *situations: str) -> None:
    """Tries the lines of all situations, or of some."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGUSR1, on_signal)
    # Exceptions that asyncio only logs, and generators that are never closed, are expected.
    sys.unraisablehook = lambda _: None
    runner_module.asyncio.log.logger.disabled = True
    gc.freeze()  # so that the collection at each line covers only objects made after this
    for situation in situations or SITUATIONS:
        try_lines(situation, interruption)


def try_lines(situation: str, interruption: str) -> None:
    """Tries the lines of a situation."""
    point = 1 + (list(SITUATIONS).index(situation) + list(INTERRUPTIONS).index(interruption)) % STRIDE
    tried, is_over, failed = 0, False, 0
    while not is_over:
        faulthandler.dump_traceback_later(HANG, exit=True)
        is_over, problems = check(situation, interruption, point)
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
