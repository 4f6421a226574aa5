"""Ends calls at their deadlines, with one timer for all calls of a loop; no I/O.

`asyncio.timeout_at` would create and cancel a timer for each call, and has no grace for responses that have arrived.
"""

import asyncio
import contextlib
import math
import weakref
from collections.abc import Generator
from types import TracebackType
from typing import Protocol

# Iterations of the loop that a call gets at its deadline if it waits for a response: one that has arrived is read in
# them, also after the process or the loop was suspended. An iteration without events takes some ten microseconds.
_FINAL_ITERATIONS = 50


class Sent(Protocol):
    """What the body of a limit sends, for which a response may have arrived at the deadline."""

    @property
    def was_sent(self) -> bool:
        """Whether it was sent."""
        ...


class Expired(Exception):
    """A deadline has passed. Not a TimeoutError, which the body of a limit may raise itself."""


class Deadlines:
    """The deadlines of the calls in progress, on one event loop at a time."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._limits: dict[Limit, None] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._fires_at = math.inf
        self._stands_since: float | None = None
        _all.add(self)

    def limit(self, when: float, sent: Sent | None = None) -> "Limit":
        """Returns a context manager that raises `Expired` if its body has not ended by `when`, on the loop's clock.

        If `sent` was sent by then, a response that has arrived may still end the body.
        """
        return Limit(self, when, sent)

    def watch(self, limit: "Limit", loop: asyncio.AbstractEventLoop) -> "dict[Limit, None]":
        """Watches a deadline until it is removed from the returned dict. The timer stays for the next call."""
        self._move_to(loop)
        self._limits[limit] = None
        if limit.when < self._fires_at:
            self._arm(loop, limit.when)
        return self._limits

    def move(self, limit: "Limit", when: float) -> None:
        """Changes a watched deadline; infinity stops its clock."""
        limit.when = when
        loop = self._loop
        if limit in self._limits and when < self._fires_at and loop is not None and not loop.is_closed():
            self._arm(loop, when)

    def pass_over_standstill(self) -> None:
        """Stops the clock of all calls until the loop runs again. Called before a generator yields.

        Synchronous callers drive the loop only while they wait for a result, and asynchronous ones may block it. The
        time that they spend on a result must not count against the calls in progress.
        """
        loop = asyncio.get_running_loop()
        self._move_to(loop)
        if self._stands_since is None:
            self._stands_since = loop.time()
            # Not in the next iteration, in which the loop may be stopped, but in the one after it.
            loop.call_soon(loop.call_soon, self._go_on, loop)

    def check(self, loop: asyncio.AbstractEventLoop) -> None:
        """Checks the deadlines in the next turn of the loop, if they are on that."""
        if loop is self._loop:
            loop.call_soon(self._fire, loop)

    def end_all(self) -> None:
        """Ends all calls of the running loop at once, as if their deadlines had passed."""
        if self._loop is not None and self._loop is asyncio.get_running_loop():
            limits, self._limits = self._limits, {}
            for limit in limits:
                limit.expire()

    def _move_to(self, loop: asyncio.AbstractEventLoop) -> None:
        if loop is not self._loop:  # the first call, or the first after the client moved to another loop
            self._loop, self._limits, self._timer, self._fires_at = loop, {}, None, math.inf
            self._stands_since = None

    def _go_on(self, loop: asyncio.AbstractEventLoop) -> None:
        if loop is self._loop:
            self._leave_uncounted(loop)
        self._stands_since = None

    def _leave_uncounted(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._stands_since is not None:
            now = loop.time()
            for limit in self._limits:
                limit.when += now - self._stands_since
            self._stands_since = now

    def _arm(self, loop: asyncio.AbstractEventLoop, when: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._fires_at = when
        self._timer = loop.call_at(when, self._fire, loop)

    def _fire(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer, self._fires_at = None, math.inf
        self._leave_uncounted(loop)
        now = loop.time()
        self._expire([limit for limit in self._limits if limit.when <= now], loop, _FINAL_ITERATIONS)
        next_deadline = min((limit.when for limit in self._limits if limit.when > now), default=math.inf)
        if next_deadline < math.inf:
            self._arm(loop, next_deadline)

    def _expire(self, due: "list[Limit]", loop: asyncio.AbstractEventLoop, turns: int) -> None:
        """Ends the calls that are due; those that wait for a response first get some iterations of the loop."""
        waiting: list[Limit] = []
        for limit in due:
            if limit not in self._limits or limit.when > loop.time():  # it has ended, or its clock was stopped
                continue
            if turns and limit.sent is not None and limit.sent.was_sent:
                waiting.append(limit)
            else:
                limit.expire()
                self._limits.pop(limit, None)
        if waiting:
            loop.call_soon(self._expire, waiting, loop, turns - 1)


_all: "weakref.WeakSet[Deadlines]" = weakref.WeakSet()


def check_deadlines(loop: asyncio.AbstractEventLoop) -> None:
    """Checks all deadlines in the loop's next turn, as an exception may have kept a timer from it."""
    for deadlines in list(_all):
        deadlines.check(loop)


class Limit:
    """The deadline of one call: a context manager like `asyncio.timeout_at`, except that it raises `Expired`."""

    __slots__ = ("_cancelling", "_deadlines", "_expired", "_task", "_watched", "sent", "when")

    def __init__(self, deadlines: Deadlines, when: float, sent: Sent | None) -> None:
        self.when: float = when
        self.sent = sent
        self._deadlines = deadlines
        self._expired = False
        self._task: asyncio.Task[object] | None = None
        self._cancelling = 0

    def expire(self) -> None:
        """Cancels the task in the body; `__exit__` turns the cancellation into `Expired`."""
        if not self._expired:
            self._expired = True
            if self._task is not None:
                self._task.cancel()

    @contextlib.contextmanager
    def paused(self) -> Generator[None]:
        """Stops the clock in the body."""
        clock = asyncio.get_running_loop().time
        left = self.when - clock()
        self._deadlines.move(self, math.inf)
        try:
            yield
        finally:
            self._deadlines.move(self, clock() + left)

    def __enter__(self) -> "Limit":
        self._task = task = asyncio.current_task()
        if task is None:
            raise RuntimeError("a limit is used outside of a task")
        self._cancelling = task.cancelling()
        self._watched = self._deadlines.watch(self, task.get_loop())
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc_value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._watched.pop(self, None)
        task, self._task = self._task, None
        self.sent = None  # breaks a reference cycle with the call
        # A simultaneous cancellation from outside is not turned into `Expired`.
        if (
            self._expired
            and task is not None
            and task.uncancel() <= self._cancelling
            and exc_type is not None
            and issubclass(exc_type, asyncio.CancelledError)
        ):
            raise Expired from None
