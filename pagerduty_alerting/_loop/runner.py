"""Drives coroutines for synchronous callers, in the callers' own threads; it must know nothing of the API or of HTTP.

One event loop serves all threads that share a runner. Whichever caller finds nobody driving the loop becomes the
*leader* and drives it. Callers that come meanwhile are *followers*: they hand their coroutine over and sleep. When the
leader's own call is over, it wakes one of the followers, which drives on. So there is no thread of the runner's own
(except where a caller's thread is already running another loop), no lock is held while anything waits for the network,
and all calls share one pool of connections.
"""

import asyncio
import atexit
import contextlib
import contextvars
import functools
import selectors
import signal
import threading
import weakref
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Iterator
from types import FrameType
from typing import Any, Generic, TypeVar

from attrs import define

from pagerduty_alerting._loop import fork
from pagerduty_alerting.errors import ClientClosedError, ClientUsageError, PagerDutyAlertingError

T = TypeVar("T")


@define(eq=False, repr=False)
class _Call(Generic[T]):
    """One coroutine, and the caller who waits for it."""

    begin: Callable[[], Coroutine[Any, Any, T]]  # gives the coroutine
    context: contextvars.Context
    is_step: bool = False  # of a generator, which has to begin on the loop for the loop to know of it
    closes: bool = False  # it is the runner's own last call
    loop: asyncio.AbstractEventLoop | None = None  # set once the call was let in
    task: asyncio.Task[T] | None = None
    alarm: "threading.Lock | None" = None  # a follower sleeps until another thread releases it, which happens once
    interrupt: BaseException | None = None  # what to raise instead of the task's outcome, such as KeyboardInterrupt
    is_refused: bool = False  # the runner was closed before it or under it
    is_over: bool = False


class LoopRunner:
    """Runs coroutines to completion for synchronous callers of any thread.

    Args:
        aclose: Awaited on the loop when the runner closes, after the last call has ended.
        loop_factory: Makes the event loop, when one is first needed.
    """

    def __init__(
        self,
        aclose: Callable[[], Awaitable[None]],
        *,
        loop_factory: Callable[[], asyncio.AbstractEventLoop] | None = None,
    ) -> None:
        self._aclose = aclose
        self._make_loop = loop_factory or asyncio.new_event_loop
        self._lock = threading.Lock()  # guards the five below; held for moments only
        self._loop: asyncio.AbstractEventLoop | None = None
        self._leader: _Call[Any] | None = None
        self._calls: dict[_Call[Any], None] = {}  # all that were let in and have not left, the oldest first
        self._starting: list[_Call[Any]] = []  # those of them that `_start_calls`, which is scheduled, will start
        self._is_closed = False
        fork.register(self)
        _runners.add(self)

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Runs a coroutine in the caller's context and returns what it returns.

        Raises:
            ClientClosedError: The runner is closed, or was while the coroutine ran.
            ClientUsageError: The caller runs on the runner's own loop.
            KeyboardInterrupt: Ctrl-C; the coroutine was cancelled and has ended.
            BaseException: Whatever the coroutine raises.
        """
        return self._result(_Call(lambda: coroutine, contextvars.copy_context()))

    def iterate(self, items: AsyncGenerator[T, None]) -> Iterator[T]:
        """Yields what an asynchronous generator yields; one that is left early is closed.

        Raises:
            BaseException: As `run`.
        """
        context = contextvars.copy_context()  # one for all steps, as a generator expects
        try:
            while True:
                try:
                    item = self._result(_Call(items.__anext__, context, is_step=True))
                except StopAsyncIteration:
                    return
                yield item
        finally:
            with contextlib.suppress(ClientClosedError):  # a runner that was closed has closed its generators
                self._result(_Call(items.aclose, context, is_step=True))

    def _result(self, call: _Call[T]) -> T:
        """Returns or raises what comes of a coroutine, with no frame in the traceback but this one and its caller's."""
        failure: BaseException | None = None
        try:
            self._carry_out(call)
            if call.interrupt is not None:
                raise call.interrupt.with_traceback(None)
            if call.task is None or (call.is_refused and call.task.cancelled()):
                raise ClientClosedError("the client is closed, or was while the call was under way")
            failure = None if call.task.cancelled() else call.task.exception()
            if failure is not None:
                raise _without_own_frame(failure)
            return call.task.result()
        finally:
            # Frames that an exception's traceback leads to hold the call, which must not hold the exception in turn.
            call.task = call.interrupt = failure = None

    def close(self) -> None:
        """Ends the calls of all threads with `ClientClosedError`, then closes the loop. Idempotent.

        Raises:
            ClientUsageError: The caller runs on the runner's own loop.
        """
        call = _Call(self._shut_down, contextvars.copy_context(), closes=True)
        self._carry_out(call)
        if call.interrupt is not None:
            raise call.interrupt
        if call.task is not None:
            call.task.result()

    def close_quietly(self) -> None:
        """Closes a runner that was forgotten, unless calls are under way; raises nothing."""
        if not self._calls:
            with contextlib.suppress(Exception):
                self.close()

    __del__ = close_quietly

    def after_fork_in_child(self) -> None:
        """Leaves the loop and its calls to the parent; the child makes a loop of its own when it needs one."""
        if self._loop is not None:
            fork.never_finalize(self._loop, self._calls, self._starting)
        self._lock = threading.Lock()
        self._loop = self._leader = None
        self._calls = {}
        self._starting = []
        if isinstance(_signal.getsignal(signal.SIGINT), _CtrlC):  # of a thread that the child does not have
            _signal.signal(signal.SIGINT, signal.default_int_handler)

    def _carry_out(self, call: _Call[Any]) -> None:
        """Returns when the call is over. Ctrl-C, which would raise wherever it strikes, is kept for the call's end."""
        in_main_thread = threading.get_ident() == threading.main_thread().ident
        if not in_main_thread or _signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
            self._find_thread(call)
            return
        on_ctrl_c = _CtrlC(call)
        _signal.signal(signal.SIGINT, on_ctrl_c)
        try:
            self._find_thread(call)
        finally:
            found = _signal.signal(signal.SIGINT, signal.default_int_handler)
            if found is not on_ctrl_c:  # a hook of the caller's has set another
                _signal.signal(signal.SIGINT, found)

    def _find_thread(self, call: _Call[Any]) -> None:
        """Attends to the call in this thread, or in another if this one is running a loop of the caller's."""
        running = asyncio._get_running_loop()
        if running is None:
            self._attend(call)
        elif running is self._loop:
            call.begin().close()
            call.interrupt = ClientUsageError(
                "a synchronous call was made from code that runs on the client's own event loop, such as an aiohttp"
                " trace hook, and would wait for itself: use an AsyncClient there, or another Client"
            )
        else:
            helper = threading.Thread(target=self._attend, args=(call,), name="pagerduty-alerting", daemon=True)
            try:
                helper.start()
                helper.join()
            except BaseException as error:
                if helper.ident is None:  # it could not be started
                    call.begin().close()
                _interrupt(call, error)

    def _attend(self, call: _Call[Any]) -> None:
        """Drives the loop, or sleeps while another thread does, until the call is over. Raises nothing."""
        try:
            self._enter(call)
            while not call.is_over:
                try:
                    if self._leader is call and call.loop is not None:
                        call.loop.run_forever()
                    elif call.alarm is not None:
                        call.alarm.acquire()
                except BaseException as error:
                    if not self._is_outcome(error):
                        _interrupt(call, error)
                if call.task is not None and call.task.done():
                    _end(call)
        except BaseException as error:
            call.interrupt = error
        try:
            self._leave(call)
        except BaseException as error:  # of a signal handler of the host's: the others must not be left in the lurch
            call.interrupt = error
            self._leave(call)

    def _enter(self, call: _Call[Any]) -> None:
        """Lets the call in; its thread becomes the leader if there is none."""
        with self._lock:
            if self._is_closed or (call.closes and self._loop is None):
                self._is_closed = call.is_refused = call.is_over = True
                return
            self._is_closed = call.closes
            if self._loop is None:
                self._loop = self._open_loop()
            call.loop = self._loop
            self._calls[call] = None
            self._starting.append(call)
            if self._leader is not None:
                call.alarm = threading.Lock()
                call.alarm.acquire()
                if len(self._starting) == 1:
                    self._loop.call_soon_threadsafe(self._start_calls)
                return
            self._leader = call
            if len(self._starting) > 1:
                return
            if call.is_step or _has_news(self._loop):
                # The server may have closed kept-alive connections while nobody drove the loop. It gets a turn to
                # notice before calls start, one that `_start_calls` is not yet part of: with TLS it takes that long.
                self._loop.call_soon(self._loop.call_soon, self._start_calls)
                return
            self._starting.clear()
        self._start(call, call.loop)

    def _leave(self, call: _Call[Any]) -> None:
        """Lets the call go. A leader wakes another caller to drive on; the last of a closed runner closes the loop."""
        with self._lock:
            call.is_over = True
            self._calls.pop(call, None)
            if self._leader is call:
                # The newest, because it has the longest to wait and so hands over last.
                heir = next((other for other in reversed(self._calls) if not other.is_over), None)
                alarm = None if heir is None else heir.alarm
                self._leader = heir
                if alarm is not None:
                    alarm.release()
            loop = None
            if self._is_closed and not self._calls:
                loop, self._loop = self._loop, None
        if loop is not None:
            loop.close()
        if call.loop is None:
            call.begin().close()

    def _start_calls(self) -> None:
        """Starts the calls that were let in. Runs on the loop."""
        with self._lock:
            calls, self._starting = self._starting, []
        for call in calls:
            self._start(call, asyncio.get_running_loop())

    def _start(self, call: _Call[Any], loop: asyncio.AbstractEventLoop) -> None:
        """Makes a call a task. Runs on the loop, or in the thread that is about to drive it."""
        if call.interrupt is not None or (self._is_closed and not call.closes):
            call.begin().close()
            self._finish(call)
        elif self._leader is call and not call.is_step:
            # Stopped from within its last step, the loop ends with that turn; a callback would take another one.
            call.task = loop.create_task(_stop_after(loop, call.begin()), context=call.context)
        else:
            call.task = loop.create_task(call.begin(), context=call.context)
            call.task.add_done_callback(functools.partial(self._finish, call))

    def _finish(self, call: _Call[Any], _task: object = None) -> None:
        """Lets the caller know. Runs where `_start` does."""
        if not call.is_over:
            _end(call)
            if call.alarm is not None and self._leader is not call:
                call.alarm.release()
            elif call.loop is not None:
                call.loop.stop()

    def _is_outcome(self, error: BaseException) -> bool:
        """Whether an exception that came out of the loop is the outcome of a call, perhaps another caller's.

        asyncio lets SystemExit and KeyboardInterrupt of a task out of the loop, too. In the main thread they may as
        well come from a signal handler that struck while the task was running: there the caller is interrupted.
        """
        if threading.get_ident() == threading.main_thread().ident:
            return False
        with self._lock:
            ended = [call.task for call in self._calls if call.task is not None and call.task.done()]
        return any(not task.cancelled() and task.exception() is error for task in ended)

    def _open_loop(self) -> asyncio.AbstractEventLoop:
        try:
            loop = self._make_loop()
        except OSError as error:
            raise PagerDutyAlertingError(f"no event loop can be made: {error.strerror}") from error
        loop.set_default_executor(fork.ThreadPerJob(1))
        return loop

    async def _shut_down(self) -> None:
        """The runner's last call: ends the others, closes what they shared."""
        with self._lock:
            for call in self._calls:
                call.is_refused = not call.closes
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        if others:
            await asyncio.wait(others)
        await self._aclose()
        await asyncio.get_running_loop().shutdown_asyncgens()


# The C functions below `signal`, whose wrappers try to make enum members of handlers: before Python 3.13 that alone is
# four per cent of a call.
_signal = getattr(signal, "_signal", signal)


@define(eq=False, repr=False)
class _CtrlC:
    """Handles Ctrl-C while the main thread attends to a call."""

    call: _Call[Any]

    def __call__(self, _number: int, _frame: FrameType | None) -> None:
        _interrupt(self.call, KeyboardInterrupt())


def _interrupt(call: _Call[Any], error: BaseException) -> None:
    """Cancels the call of an interrupted caller, who waits for its end; the second time raises the error instead.

    It runs in signal handlers and must not wait for a lock.
    """
    if call.interrupt is not None:
        raise error
    call.interrupt = error
    # A runner's last call is not cut short.
    if call.loop is not None and not call.is_over and not call.closes:
        call.loop.call_soon_threadsafe(_cancel, call)


def _end(call: _Call[Any]) -> None:
    call.is_over = True
    if call.task is not None and not call.task.cancelled():
        call.task.exception()  # asyncio logs one that nobody asks for, as those who were interrupted do not


def _without_own_frame(error: BaseException) -> BaseException:
    """Returns an exception, `_stop_after` taken out of its traceback."""
    traceback = error.__traceback__
    if traceback is not None and traceback.tb_frame.f_code is _stop_after.__code__:
        traceback = traceback.tb_next
    return error.with_traceback(traceback)


async def _stop_after(loop: asyncio.AbstractEventLoop, coroutine: Coroutine[Any, Any, T]) -> T:
    try:
        return await coroutine
    finally:
        loop.stop()


def _cancel(call: _Call[Any]) -> None:
    if call.task is not None:  # otherwise `_start_calls` will see to it
        call.task.cancel()


def _has_news(loop: asyncio.AbstractEventLoop) -> bool:
    """Whether anything came while nobody drove the loop, as far as one can see from outside."""
    selector = getattr(loop, "_selector", None)
    return not isinstance(selector, selectors.BaseSelector) or bool(selector.select(0))


_runners: "weakref.WeakSet[LoopRunner]" = weakref.WeakSet()


@atexit.register
def _close_forgotten_runners() -> None:
    for runner in list(_runners):
        runner.close_quietly()
