"""Ends calls at their deadlines, with one timer for all calls of a loop; no I/O.

`asyncio.timeout_at` does the same with a timer for each call, which is a tenth of what a whole call costs.
"""

import asyncio
import math
from types import TracebackType


class Deadlines:
    """The deadlines of the calls that are under way on one event loop at a time."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._limits: dict[Limit, None] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._fires_at = math.inf

    def limit(self, when: float) -> "Limit":
        """Returns a context that raises TimeoutError when its body is not over by `when`, on the loop's clock."""
        return Limit(self, when)

    def add(self, limit: "Limit") -> None:
        """Watches a deadline."""
        loop = asyncio.get_running_loop()
        if loop is not self._loop:  # the first call, or the first after the client moved to another loop
            self._loop, self._limits, self._timer, self._fires_at = loop, {}, None, math.inf
        self._limits[limit] = None
        if limit.when < self._fires_at:
            self._arm(loop, limit.when)

    def discard(self, limit: "Limit") -> None:
        """Watches a deadline no more. The timer stays: most likely it serves the next call, too."""
        self._limits.pop(limit, None)

    def _arm(self, loop: asyncio.AbstractEventLoop, when: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._fires_at = when
        self._timer = loop.call_at(when, self._fire, loop)

    def _fire(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer, self._fires_at = None, math.inf
        now = loop.time()
        for limit in [limit for limit in self._limits if limit.when <= now]:
            del self._limits[limit]
            limit.expire()
        if self._limits:
            self._arm(loop, min(limit.when for limit in self._limits))


class Limit:
    """The deadline of one call: a context manager with the semantics of `asyncio.timeout_at`."""

    __slots__ = ("_cancelling", "_deadlines", "_expired", "_task", "when")

    def __init__(self, deadlines: Deadlines, when: float) -> None:
        self.when = when
        self._deadlines = deadlines
        self._expired = False
        self._task: asyncio.Task[object] | None = None
        self._cancelling = 0

    def expire(self) -> None:
        """Cancels the task in the body; on its way out that becomes a TimeoutError."""
        self._expired = True
        if self._task is not None:
            self._task.cancel()

    def __enter__(self) -> None:
        self._task = asyncio.current_task()
        if self._task is not None:
            self._cancelling = self._task.cancelling()
        self._deadlines.add(self)

    def __exit__(
        self, exc_type: type[BaseException] | None, exc_value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._deadlines.discard(self)
        task, self._task = self._task, None
        # A cancellation from outside that came at the same time stays one.
        if (
            self._expired
            and task is not None
            and task.uncancel() <= self._cancelling
            and exc_type is not None
            and issubclass(exc_type, asyncio.CancelledError)
        ):
            raise TimeoutError from None
