"""Drives coroutines for synchronous callers, in the callers' own threads; independent of the API and of HTTP.

One event loop serves all threads that share a runner. A caller that finds no leader becomes the *leader* and drives
the loop. Callers that enter meanwhile are *followers*: they pass their coroutine to the loop and sleep. When the
leader's own call is over, it wakes the newest follower, which becomes the leader. So the runner needs no thread (unless
a caller's thread is already running another loop), and all calls share one pool of connections.

**Why nothing hangs.** Signal handlers, finalizers and asynchronous exceptions may occur between any two instructions.

- There is no lock. Every change of shared state is one dict operation, which is atomic in CPython and can be repeated.
  `dict.setdefault` decides which call leads, and which one closes the runner.
- A caller first makes itself visible in `_calls` and then tries to lead. A leader first gives up leading and then looks
  for a follower to wake. So either the leader sees the follower, or the follower finds no leader.
- A thread that is anywhere inside the runner is in `_busy`. A call that a handler, a finalizer or a hook makes there
  would wait for its own thread, and is refused; a generator that is abandoned there is closed at the end of the call.
- An exception of a signal handler during a call is kept until the call's end (`interrupts.py`). An asynchronous
  exception cannot be kept: it is caught in `_attend`. The call is cancelled, and abandoned if it does not end within a
  second. After that, or if asyncio swallowed an exception, notifications may be lost, so the leader checks every call
  (`_check_all`).
- A call returns after the threads that it started have ended: uWSGI forks at any moment and without Python's hooks, and
  a thread could hold the interpreter's lock then, for ever in the child.

Two cases are not covered, both of an asynchronous exception in the leader's thread. Within a step of another thread's
call, it ends that other call, because CPython does not show which call it was meant for. At the instruction with which
asyncio takes a callback from its queue, that is lost; a call whose task it was to wake does not end.
"""

import asyncio
import atexit
import contextlib
import contextvars
import functools
import threading
import weakref
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Iterator
from sys import is_finalizing
from typing import Any, TypeVar

from pagerduty_alerting._loop import fork, greenlets, interrupts
from pagerduty_alerting._loop.deadlines import check_deadlines
from pagerduty_alerting._loop.sync_call import GRACE, NEW, OVER, RUNNING, WAITING, CallersItems, SyncCall
from pagerduty_alerting.errors import ClientClosedError, ClientUsageError, PagerDutyAlertingError

T = TypeVar("T")

_MOMENT = 0.001

# Iterations of the loop in which steps of generators end that waited for calls ended by `aclose`.
_LAST_TURNS = 10

_RE_ENTERED = (
    "a synchronous call was made from code that runs inside another call of the same client, in the same thread, and"
    " would wait for itself. That is so in aiohttp's trace hooks and other code on the client's own event loop, in"
    " signal handlers and finalizers that run during a call, and in greenlets of a program that is not"
    " monkey-patched: use an AsyncClient there, or another Client"
)


class LoopRunner:
    """Runs coroutines to completion for synchronous callers of any thread.

    `aclose` is awaited on the loop when the runner closes; it may cancel calls that are under way. The remaining tasks
    are cancelled after it. `loop_factory` creates the event loop when it is first needed.
    """

    def __init__(
        self,
        aclose: Callable[[], Awaitable[None]],
        *,
        loop_factory: Callable[[], asyncio.AbstractEventLoop] | None = None,
    ) -> None:
        self._aclose = aclose
        self._make_loop = loop_factory or greenlets.new_event_loop
        self._loop: asyncio.AbstractEventLoop | None = None  # created and closed only by leaders
        self._calls: dict[SyncCall[Any], None] = {}  # admitted calls that have not left, oldest first
        self._leader: dict[str, SyncCall[Any]] = {}  # at most one
        self._closer: dict[str, SyncCall[Any]] = {}  # at most one, which is not removed
        self._busy: set[int] = set()  # threads that are inside the runner
        self._abandoned: deque[SyncCall[Any]] = deque()  # calls that close abandoned generators, for busy threads
        self._is_disturbed = False  # a notification may have been lost
        self._executor = fork.ThreadPerJob()
        fork.register(self)
        _runners.add(self)

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Runs a coroutine in the caller's context and returns what it returns.

        Raises what the coroutine raises, `ClientClosedError`, `ClientUsageError` if the thread is already in a call of
        this runner, or what a signal handler that ran meanwhile raised, for which the coroutine was cancelled.
        """
        call = SyncCall(lambda: coroutine, contextvars.copy_context())
        try:
            return self._result(call)
        finally:
            if not call.is_begun:
                coroutine.close()

    def iterate(self, items: AsyncGenerator[T, None]) -> Iterator[T]:
        """Yields what an asynchronous generator yields, and raises as `run` does; one that is left early is closed.

        `CallersItems` that it yields are not passed on: their next item is read in this thread.
        """
        context = contextvars.copy_context()  # one for all steps, as a generator expects
        try:
            while True:
                try:
                    item = self._result(SyncCall(items.__anext__, context, is_step=True))
                except StopAsyncIteration:
                    return
                if isinstance(item, CallersItems):
                    item.read()
                else:
                    yield item
        finally:
            closing = SyncCall(functools.partial(_close_generator, items), context, is_step=True)
            if threading.get_ident() in self._busy:  # a finalizer or a signal handler runs during a call
                self._admit(closing)
                self._abandoned.append(closing)
            elif greenlets.in_hub():
                self._helper(closing).start()
            else:
                with contextlib.suppress(ClientClosedError):  # a runner that was closed has closed its generators
                    self._result(closing)

    @property
    def is_closed(self) -> bool:
        """Whether it was closed, or is being closed."""
        return bool(self._closer)

    def check_open(self) -> None:
        """Raises `ClientClosedError` if the runner is closed."""
        if self.is_closed:
            raise ClientClosedError("the client is closed")

    def close(self) -> None:
        """Ends the calls of all threads with `ClientClosedError`, then closes the loop. Idempotent.

        Raises `ClientUsageError` if the thread is in a call of this runner.
        """
        call = SyncCall(self._shut_down, contextvars.copy_context(), closes=True)
        self._carry_out(call)
        if call.interrupt is not None:
            raise call.interrupt
        if call.task is not None and call.task.done():
            call.task.result()

    def close_quietly(self) -> None:
        """Closes the runner unless calls are in progress; raises nothing and needs no globals (interpreter exit)."""
        try:
            if not self._closer and not self._calls:
                self.close()
        except BaseException:  # noqa: S110  # a finalizer must not raise
            pass

    __del__ = close_quietly

    def after_fork_in_child(self) -> None:
        """Abandons the parent's loop and calls; the child creates its own loop when it needs one."""
        if self._loop is not None:
            fork.never_finalize(self._loop, self._calls, self._abandoned)
        self._loop = None
        self._calls = {}
        self._leader = {}
        self._busy = set()
        self._abandoned = deque()
        self._executor = fork.ThreadPerJob()
        interrupts.restore_after_fork()

    def _result(self, call: SyncCall[T]) -> T:
        """Returns or raises the outcome of a call; its traceback has only this frame and the caller's of the runner."""
        failure: BaseException | None = None
        try:
            self._carry_out(call)
            if call.interrupt is not None:
                raise call.interrupt
            if call.task is None or (call.is_refused and (not call.task.done() or call.task.cancelled())):
                raise ClientClosedError("the client is closed, or was closed during the call")
            failure = None if call.task.cancelled() else call.task.exception()
            if failure is not None:
                raise self._without_own_frame(failure)
            return call.task.result()
        finally:
            # Frames of the exception's traceback hold the call, which must not hold the exception.
            call.task = call.on_end = call.interrupt = failure = None

    @classmethod
    def _without_own_frame(cls, error: BaseException) -> BaseException:
        """Returns an exception without `_stop_after` in its traceback."""
        shown = error.__traceback__
        if shown is not None and shown.tb_frame.f_code is cls._stop_after.__code__:
            return error.with_traceback(shown.tb_next)
        return error

    def _carry_out(self, call: SyncCall[Any]) -> None:
        """Carries a call out; if it was interrupted, `call.interrupt` is the exception."""
        fork.check()
        if is_finalizing() and (self._calls or not call.closes):  # threads that are in the middle of calls are frozen
            if not call.closes:
                call.interrupt = ClientClosedError("the interpreter is shutting down")
            return
        thread = threading.get_ident()
        if thread in self._busy:
            call.interrupt = ClientUsageError(_RE_ENTERED)
            return
        is_green = greenlets.is_patched()
        work = self._delegate if is_green or asyncio._get_running_loop() is not None else self._attend
        # Not for greenlets, which would restore each other's handlers, and whose loop is driven in another thread.
        if thread == threading.main_thread().ident and not is_green:
            interrupts.defer(self._keep, work, call, thread)
        else:
            work(call, thread)
        while self._abandoned:
            closing = self._abandoned.popleft()
            work(closing, thread)
            call.interrupt = call.interrupt or closing.interrupt

    # Run in the caller's thread.

    def _attend(self, call: SyncCall[Any], thread: int) -> None:
        """Waits until a call is over and cleans up, even after an asynchronous exception. Raises nothing."""
        try:
            try:
                self._busy.add(thread)
                self._drive_or_sleep(call)
            finally:
                self._leave(call, thread)
        except BaseException as error:
            self._leave(call, thread)
            call.interrupt = error

    def _drive_or_sleep(self, call: SyncCall[Any]) -> None:
        """Drives the loop, or sleeps while another thread does, until the call is over."""
        call.is_attended = True
        while call.state is not OVER:
            try:
                if call.state is NEW:
                    self._admit(call)
                elif self._leader.setdefault("", call) is call:
                    self._drive(call)
                elif call.alarm is None:
                    call.alarm = greenlets.new_lock()
                    call.alarm.acquire()
                    self._schedule(call)
                else:
                    call.alarm.acquire()
            except BaseException as error:
                self._record_stray(call, error)

    def _delegate(self, call: SyncCall[Any], thread: int) -> None:
        """Like `_attend`, but in another thread, because this one is running another loop or greenlets."""
        try:
            try:
                if not greenlets.is_patched():
                    self._busy.add(thread)
                self._wait_for_helper(call)
            finally:
                self._busy.discard(thread)
        except BaseException as error:
            self._busy.discard(thread)
            self._abandon(call)
            call.interrupt = error

    def _helper(self, call: SyncCall[Any]) -> threading.Thread | greenlets.NativeThread:
        def attend() -> None:
            self._attend(call, threading.get_ident())

        if greenlets.is_patched():
            return greenlets.NativeThread(attend)
        return threading.Thread(target=attend, name="pagerduty-alerting", daemon=True)

    def _wait_for_helper(self, call: SyncCall[Any]) -> None:
        helper = self._helper(call)
        try:
            helper.start()
        except RuntimeError:
            if not greenlets.is_patched():
                raise
            # Exit handlers can start no thread since Python 3.12; no other greenlets are held up then.
            self._attend(call, threading.get_ident())
            return
        while True:
            try:
                if not helper.is_alive():
                    return
                helper.join()
            except BaseException as error:
                self._record_stray(call, error)
                if call.state is OVER:
                    self._abandon(call)
                    return

    def _admit(self, call: SyncCall[Any]) -> None:
        """Makes the call known to the other threads, unless the runner is closed."""
        if call.closes and self._closer.setdefault("", call) is call and (self._loop is None and not self._calls):
            call.state = OVER
            return
        self._calls[call] = None
        if self._closer and self._closer[""] is not call:
            call.is_refused = True
            call.state = OVER
        else:
            call.state = WAITING
        if not call.is_attended:
            self._schedule(call)

    def _schedule(self, call: SyncCall[Any]) -> None:
        """Asks the leader to start the call; a leader without a loop starts all calls once it has one."""
        loop = self._loop
        if loop is not None:
            loop.call_soon_threadsafe(loop.call_soon, self._start, call, loop)

    def _drive(self, call: SyncCall[Any]) -> None:
        """Drives the loop as the leader until it is stopped."""
        loop = self._loop
        if loop is None:
            self._is_disturbed = True  # other calls may have entered before there was a loop to start them
            self._loop = loop = self._open_loop()
        if self._is_disturbed:
            self._check_all(loop)
        if call.state is WAITING:
            if call.is_step:
                loop.call_soon(self._start, call, loop)
            else:
                self._start(call, loop)
        if call.state is not OVER:
            loop.run_forever()
            if call.task is not None and call.task.done():
                call.mark_over(call.task)

    def _leave(self, call: SyncCall[Any], thread: int) -> None:
        """Removes the call. A leader wakes its successor; the last one of a closed runner closes the loop."""
        if call.task is not None and not call.task.done():
            self._abandon(call)
        self._executor.wait_for_ended_jobs()
        call.state = OVER
        self._calls.pop(call, None)
        if self._closer.get("") is call and not call.is_begun and call.interrupt is not None:
            self._closer.clear()  # it closed nothing
        self._give_up_leading(call)
        self._busy.discard(thread)

    def _abandon(self, call: SyncCall[Any]) -> None:
        """Schedules the cancellation of the task of a call that no caller waits for."""
        loop, task = self._loop, call.task
        if loop is not None and not loop.is_closed():
            loop.call_soon_threadsafe(self._end, call)
            if task is not None:
                loop.call_soon_threadsafe(task.cancel)

    def _record_stray(self, call: SyncCall[Any], error: BaseException) -> None:
        """Handles an exception that no other call raised: the first cancels the call, a second ends it at once."""
        self._is_disturbed = True
        lost = _lost_callback(error)
        if lost is not None and self._loop is not None:
            self._loop.call_soon(lost)
        # asyncio lets SystemExit and KeyboardInterrupt out of the loop.
        if any(other.has_raised(error) for other in list(self._calls)):
            return
        if call.interrupt is not None or self._loop is None:
            call.state = OVER
        self._keep(call, error)

    def _keep(self, call: SyncCall[Any], error: BaseException) -> bool:
        """Cancels the call and keeps the exception for its end. It runs in signal handlers, at any moment.

        Returns:
            False if the call has not ended a second after its cancellation, so that only raising can end it.
        """
        is_first = call.interrupt is None
        if not call.keep(error):
            return False
        loop = self._loop
        # The call that closes the runner is not cancelled.
        if is_first and loop is not None and not call.closes:
            loop.call_soon_threadsafe(self._cancel, call)
        return True

    def _give_up_leading(self, call: SyncCall[Any]) -> None:
        if self._leader.get("") is call:
            self._leader.clear()
        while (self._calls or self._closer) and not self._leader:
            for other in reversed(list(self._calls)):
                # The newest, because it probably waits longest, which keeps handovers rare.
                if other.is_attended and other.state is not OVER:
                    other.wake()
                    return
            if not self._closer or self._calls or self._loop is None:
                return
            if self._leader.setdefault("", call) is call:
                if not self._calls:
                    loop, self._loop = self._loop, None
                    loop.close()
                self._leader.clear()

    # Run in the thread that drives the loop, on the loop or just before it runs.

    def _start(self, call: SyncCall[Any], loop: asyncio.AbstractEventLoop) -> None:
        """Creates the task of a waiting call."""
        if call.state is not WAITING:
            return
        if call.task is None:
            call.is_refused = bool(self._closer) and not call.closes
            if call.is_refused or (call.interrupt is not None and not call.closes):
                self._end(call)
                return
            leads = self._leader.get("") is call and not call.is_step
            call.task = loop.create_task(self._stop_after(call, loop) if leads else call.begin(), context=call.context)
            call.is_begun = not leads
        call.on_end = functools.partial(self._end, call)
        call.task.add_done_callback(call.on_end)
        call.state = RUNNING

    async def _stop_after(self, call: SyncCall[T], loop: asyncio.AbstractEventLoop) -> T:
        """Carries out the leader's own call, and stops the loop in the iteration of its last step.

        The task's callback would need another iteration; it remains for the case that this coroutine is not entered or
        is interrupted.
        """
        call.is_begun = True
        try:
            return await call.begin()
        finally:
            if self._leader.get("") is call and call.task is not None and call.on_end is not None:
                loop.stop()
                call.task.remove_done_callback(call.on_end)

    def _end(self, call: SyncCall[Any], task: asyncio.Task[Any] | None = None) -> None:
        """Marks the call as over and notifies its caller."""
        call.mark_over(task)
        if self._leader.get("") is not call:
            call.wake()
        elif self._loop is not None:
            self._loop.stop()

    def _cancel(self, call: SyncCall[Any]) -> None:
        """Cancels the task of an interrupted call, and abandons it if it does not end in time."""
        if call.state is not OVER and self._loop is not None:
            call.timer = self._loop.call_later(GRACE, self._end, call)
            if call.task is not None:  # otherwise `_start` ends the call
                call.task.cancel()

    def _check_all(self, loop: asyncio.AbstractEventLoop) -> None:
        """Checks every call, in case notifications were lost."""
        self._is_disturbed = False
        check_deadlines(loop)
        for call in list(self._calls):
            if call.state is OVER or (call.task is not None and call.task.done()):
                self._end(call, call.task)
            elif call.state is WAITING:
                loop.call_soon(self._start, call, loop)
            elif call.interrupt is not None and not call.closes:
                loop.call_soon(self._cancel, call)

    def _open_loop(self) -> asyncio.AbstractEventLoop:
        try:
            loop = self._make_loop()
        except OSError as error:
            raise PagerDutyAlertingError(f"no event loop can be made: {error.strerror}") from error
        loop.set_default_executor(self._executor)
        loop.set_exception_handler(functools.partial(self._handle_callback_error, weakref.ref(self)))
        return loop

    @staticmethod
    def _handle_callback_error(
        runner: "weakref.ref[LoopRunner]", loop: asyncio.AbstractEventLoop, context: dict[str, Any]
    ) -> None:
        """Handles an exception of a callback; if it is an asynchronous one, the callback's work was not done."""
        found, error = runner(), context.get("exception")
        leader = None if found is None else found._leader.get("")
        loop.stop()
        if found is not None and leader is not None:
            found._is_disturbed = True
            # Callbacks do not raise such exceptions by themselves; a task may have, which asyncio reports too.
            of_a_task = "future" in context or "task" in context
            if not isinstance(error, Exception | asyncio.CancelledError | None) and not of_a_task:
                found._record_stray(leader, error)
                return
        loop.default_exception_handler(context)

    async def _shut_down(self) -> None:
        """The runner's last call: closes what the other calls share, and ends them."""
        calls = [call for call in list(self._calls) if not call.closes]
        for call in calls:
            call.is_refused = True
        try:
            # First, because the exceptions of calls that `aclose` ends report what was sent.
            await self._aclose()
            await _wait_for({task for task in _other_tasks() if task.cancelling()})
            for _ in range(_LAST_TURNS):
                await asyncio.sleep(0)
        finally:
            for task in _other_tasks():
                task.cancel()
            await _wait_for(_other_tasks())
            for call in calls:
                self._end(call)
        await asyncio.get_running_loop().shutdown_asyncgens()
        await asyncio.sleep(0)
        await _wait_for(_other_tasks())  # which close generators that were abandoned meanwhile


async def _close_generator(items: AsyncGenerator[Any, None]) -> None:
    """Closes a generator, or waits while the loop closes it after garbage collection."""
    while getattr(items, "ag_running", False):  # noqa: ASYNC110  # there is no event for it
        await asyncio.sleep(_MOMENT)
    await items.aclose()


def _other_tasks() -> set[asyncio.Task[Any]]:
    return asyncio.all_tasks() - {asyncio.current_task()}


async def _wait_for(tasks: set[asyncio.Task[Any]]) -> None:
    """Waits for tasks, at most `GRACE` seconds."""
    if tasks:
        await asyncio.wait(tasks, timeout=GRACE)


def _lost_callback(error: BaseException) -> Callable[[], object] | None:
    """Returns what the loop was about to call when an asynchronous exception came: it has taken that from its queue."""
    run: Any = asyncio.Handle._run
    shown = error.__traceback__
    while shown is not None:
        if shown.tb_frame.f_code is run.__code__ and shown.tb_lineno == run.__code__.co_firstlineno:
            return functools.partial(run, shown.tb_frame.f_locals["self"])
        shown = shown.tb_next
    return None


_runners: "weakref.WeakSet[LoopRunner]" = weakref.WeakSet()


@atexit.register
def _close_open_runners() -> None:
    for runner in list(_runners):
        runner.close_quietly()
