"""Ends calls at their deadlines, with one timer for all calls of a loop; no I/O.

`asyncio.timeout_at` does the same with a timer for each call, which is a tenth of what a whole call costs.
"""

import asyncio
import contextlib
import math
from collections.abc import Callable, Generator
from types import TracebackType

# Turns of the loop that a call gets at its deadline if it waits for an answer: one that has arrived is read in them,
# also after the process, or the loop, stood still. A turn without news takes some ten microseconds.
_LAST_TURNS = 50


class Expired(Exception):
    """A deadline is over. Not a TimeoutError, which the body of a limit may raise for reasons of its own."""


class Deadlines:
    """The deadlines of the calls that are under way on one event loop at a time."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._limits: dict[Limit, None] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._fires_at = math.inf
        self._stands_since: float | None = None

    def limit(self, when: float, awaits_answer: Callable[[], bool] = lambda: False) -> "Limit":
        """Returns a context that raises `Expired` when its body is not over by `when`, on the loop's clock.

        Args:
            when: The deadline.
            awaits_answer: Tells at the deadline whether what has arrived by then may still end the body.
        """
        return Limit(self, when, awaits_answer)

    def watch(self, limit: "Limit") -> "dict[Limit, None]":
        """Watches a deadline until it is taken out of what is returned. The timer stays, for the next call to use."""
        loop = asyncio.get_running_loop()
        if loop is not self._loop:  # the first call, or the first after the client moved to another loop
            self._loop, self._limits, self._timer, self._fires_at = loop, {}, None, math.inf
            self._stands_since = None
        self._limits[limit] = None
        if limit.when < self._fires_at:
            self._arm(loop, limit.when)
        return self._limits

    def move(self, limit: "Limit", when: float) -> None:
        """Changes a deadline that is watched; infinity stops the clock."""
        limit.when = when
        if limit in self._limits and when < self._fires_at and self._loop is not None:
            self._arm(self._loop, when)

    def pass_over_standstill(self) -> None:
        """Leaves the time uncounted until the loop turns again: to be called before a generator yields.

        Synchronous callers drive the loop only while they wait for a result, and asynchronous ones may block it. What
        they do with a result would else use up the time of the calls that are under way, whose answers may have come.
        """
        if self._stands_since is None:
            loop = asyncio.get_running_loop()
            self._stands_since = loop.time()
            # Not with the next turn, in which the loop learns that it is to stop, but with the one after it.
            loop.call_soon(loop.call_soon, self._go_on, loop)

    def end_all(self) -> None:
        """Ends all calls of the running loop at once, as if their deadlines were over."""
        if self._loop is not None and self._loop is asyncio.get_running_loop():
            limits, self._limits = self._limits, {}
            for limit in limits:
                limit.expire()

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
        self._expire([limit for limit in self._limits if limit.when <= now], loop, _LAST_TURNS)
        next_deadline = min((limit.when for limit in self._limits if limit.when > now), default=math.inf)
        if next_deadline < math.inf:
            self._arm(loop, next_deadline)

    def _expire(self, due: "list[Limit]", loop: asyncio.AbstractEventLoop, turns: int) -> None:
        """Ends the calls that are due; those that wait for an answer get some turns of the loop first."""
        waiting: list[Limit] = []
        for limit in due:
            if limit not in self._limits or limit.when > loop.time():  # it is over, or its clock was stopped
                continue
            if turns and limit.awaits_answer():
                waiting.append(limit)
            else:
                del self._limits[limit]
                limit.expire()
        if waiting:
            loop.call_soon(self._expire, waiting, loop, turns - 1)


class Limit:
    """The deadline of one call: a context manager like `asyncio.timeout_at`, but for what it raises."""

    __slots__ = ("_cancelling", "_deadlines", "_expired", "_task", "_watched", "awaits_answer", "when")

    def __init__(self, deadlines: Deadlines, when: float, awaits_answer: Callable[[], bool]) -> None:
        self.when = when
        self.awaits_answer = awaits_answer
        self._deadlines = deadlines
        self._expired = False
        self._task: asyncio.Task[object] | None = None
        self._cancelling = 0

    def expire(self) -> None:
        """Cancels the task in the body; on its way out that becomes `Expired`."""
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
        if task is not None:
            self._cancelling = task.cancelling()
        self._watched = self._deadlines.watch(self)
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc_value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._watched.pop(self, None)
        task, self._task = self._task, None
        # A cancellation from outside that came at the same time stays one.
        if (
            self._expired
            and task is not None
            and task.uncancel() <= self._cancelling
            and exc_type is not None
            and issubclass(exc_type, asyncio.CancelledError)
        ):
            raise Expired from None
