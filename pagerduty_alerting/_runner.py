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
import signal
import threading
import weakref
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Iterator
from types import FrameType
from typing import Any, Generic, TypeVar

from attrs import define, field

from pagerduty_alerting import _fork
from pagerduty_alerting.errors import ClientClosedError, ClientUsageError

T = TypeVar("T")


class _End:
    """Stands for the end of a generator."""


_END = _End()


@define(eq=False)
class _Call(Generic[T]):
    """One coroutine, and the caller who waits for it."""

    coroutine: Coroutine[Any, Any, T]
    context: contextvars.Context = field(factory=contextvars.copy_context)
    closes: bool = False  # it is the runner's own last call
    task: asyncio.Task[T] | None = None
    wake: threading.Event | None = None  # followers sleep on it
    interrupt: BaseException | None = None  # Ctrl-C, or what a signal handler of the host raised in the caller
    is_refused: bool = False  # the runner was closed under it
    is_over: bool = False

    def outcome(self) -> T:
        """Returns or raises what came of it."""
        try:
            if self.interrupt is not None:
                raise self.interrupt
            if self.task is None or (self.is_refused and self.task.cancelled()):
                raise ClientClosedError("the client is closed, or was while the call was under way")
            return self.task.result()
        finally:
            del self  # the exception's traceback holds this frame, which must not hold the exception in turn


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
        self._lock = threading.Lock()  # guards the four below; held for moments only
        self._loop: asyncio.AbstractEventLoop | None = None
        self._calls: dict[_Call[Any], None] = {}
        self._leader: _Call[Any] | None = None
        self._is_closed = False
        _fork.register(self)
        _runners.add(self)

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Runs a coroutine in the caller's context and returns what it returns.

        Raises:
            ClientClosedError: The runner is closed, or was while the coroutine ran.
            ClientUsageError: The caller runs on the runner's own loop.
            KeyboardInterrupt: Ctrl-C; the coroutine was cancelled and has ended.
            BaseException: Whatever the coroutine raises.
        """
        call = _Call(coroutine)
        try:
            self._complete(call)
            return call.outcome()
        finally:
            del call  # as in `outcome`

    def iterate(self, items: AsyncGenerator[T, None]) -> Iterator[T]:
        """Yields what an asynchronous generator yields; one that is left early is closed.

        Raises:
            BaseException: As `run`.
        """
        try:
            while not isinstance(item := self.run(_next_or_end(items)), _End):
                yield item
        finally:
            # A runner that was closed has closed its generators.
            with contextlib.suppress(ClientClosedError):
                self.run(items.aclose())

    def close(self) -> None:
        """Ends the calls of all threads with `ClientClosedError`, then closes the loop. Idempotent.

        Raises:
            ClientUsageError: The caller runs on the runner's own loop.
        """
        if _running_loop() is self._loop is not None:
            raise _own_loop()
        with self._lock:
            nothing_to_do = self._is_closed or self._loop is None
            self._is_closed = True
        if not nothing_to_do:
            call = _Call(self._shut_down(), closes=True)
            self._complete(call)
            call.outcome()

    def after_fork_in_child(self) -> None:
        """Leaves the loop and its calls to the parent; the child makes a loop of its own when it needs one."""
        if self._loop is not None:
            _fork.never_finalize(self._loop, self._calls)
        self._lock = threading.Lock()
        self._loop = None
        self._calls = {}
        self._leader = None

    def _complete(self, call: _Call[Any]) -> None:
        """Returns when the call is over, having driven the loop in this thread for as long as it fell to it."""
        running = _running_loop()
        if running is None:
            try:
                self._enter(call)
                self._attend(call)
            finally:
                self._leave(call)
            return
        if running is self._loop:
            call.coroutine.close()
            raise _own_loop()
        helper = threading.Thread(target=self._complete, args=(call,), name="pagerduty-alerting", daemon=True)
        helper.start()
        while helper.is_alive():
            try:
                helper.join()
            except BaseException as error:
                self._interrupt(call, error)

    def _enter(self, call: _Call[Any]) -> None:
        """Schedules the call; its thread becomes the leader if there is none."""
        with self._lock:
            if self._is_closed and not call.closes:
                call.coroutine.close()
                call.is_refused = call.is_over = True
                return
            if self._loop is None:
                self._loop = self._make_loop()
            self._calls[call] = None
            if self._leader is None:
                self._leader = call
                # Nobody has driven the loop for a while. It gets one turn before the call starts, to notice which
                # kept-alive connections the server has closed meanwhile.
                self._loop.call_soon(self._loop.call_soon, self._start, call)
            else:
                call.wake = threading.Event()
                self._loop.call_soon_threadsafe(self._start, call)

    def _attend(self, call: _Call[Any]) -> None:
        """Drives the loop, or sleeps while another thread does, until the call is over."""
        while not call.is_over:
            try:
                if self._leader is call:
                    self._drive(call)
                elif call.wake is not None:
                    call.wake.wait()
                    call.wake.clear()
            except BaseException as error:
                self._interrupt(call, error)

    def _leave(self, call: _Call[Any]) -> None:
        """Forgets the call. A leader wakes another caller to drive on; the last of a closed runner closes the loop."""
        with self._lock:
            self._calls.pop(call, None)
            if self._leader is call:
                self._leader = next((other for other in self._calls if not other.is_over), None)
                if self._leader is not None and self._leader.wake is not None:
                    self._leader.wake.set()
            loop = self._loop
            if loop is None or not self._is_closed or self._calls:
                return
            self._loop = None
        loop.close()

    def _drive(self, call: _Call[Any]) -> None:
        """Runs the loop in this thread until the call is over, Ctrl-C cancelling this call and no other."""
        loop = self._loop
        if loop is None:
            return
        in_main_thread = threading.current_thread() is threading.main_thread()
        if not in_main_thread or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
            loop.run_forever()
            return

        # Python's own handler would raise in the middle of whatever the loop is at, another caller's call included.
        def on_sigint(_signal: int, _frame: FrameType | None) -> None:
            self._interrupt(call, KeyboardInterrupt())

        signal.signal(signal.SIGINT, on_sigint)
        try:
            loop.run_forever()
        finally:
            if signal.getsignal(signal.SIGINT) is on_sigint:
                signal.signal(signal.SIGINT, signal.default_int_handler)

    def _start(self, call: _Call[Any]) -> None:
        """Makes the call a task. Runs on the loop."""
        if call.interrupt is not None or (self._is_closed and not call.closes):
            call.coroutine.close()
            self._finish(call)
            return
        call.task = asyncio.get_running_loop().create_task(call.coroutine, context=call.context)
        call.task.add_done_callback(functools.partial(self._finish, call))

    def _finish(self, call: _Call[Any], _task: object = None) -> None:
        """Wakes the caller. Runs on the loop."""
        call.is_over = True
        if self._leader is call:
            asyncio.get_running_loop().stop()
        elif call.wake is not None:
            call.wake.set()

    def _interrupt(self, call: _Call[Any], error: BaseException) -> None:
        """Cancels the call of an interrupted caller, who waits for its end; a second interrupt waits for nothing."""
        if call.interrupt is not None:
            raise error
        call.interrupt = error
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._cancel, call)

    def _cancel(self, call: _Call[Any]) -> None:
        if call.task is not None:
            call.task.cancel()

    async def _shut_down(self) -> None:
        """The runner's last call: ends the others, closes what they shared."""
        for call in list(self._calls):
            call.is_refused = not call.closes
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        if others:
            await asyncio.wait(others)
        await self._aclose()
        loop = asyncio.get_running_loop()
        await loop.shutdown_asyncgens()
        await loop.shutdown_default_executor()

    def close_quietly(self) -> None:
        """Closes a runner that was forgotten, unless calls are under way; raises nothing."""
        if not self._calls:
            with contextlib.suppress(Exception):
                self.close()

    def __del__(self) -> None:
        self.close_quietly()


def _own_loop() -> ClientUsageError:
    return ClientUsageError(
        "a synchronous call was made from code that runs on the client's own event loop, such as an aiohttp trace hook,"
        " and would wait for itself: use an AsyncClient there, or another Client"
    )


async def _next_or_end(items: AsyncGenerator[T, None]) -> T | _End:
    return await anext(items, _END)


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


_runners: "weakref.WeakSet[LoopRunner]" = weakref.WeakSet()


@atexit.register
def _close_forgotten_runners() -> None:
    for runner in list(_runners):
        runner.close_quietly()
