"""Holds calls back while the API's quota is used up. For one event loop at a time; no I/O."""

import asyncio
import time
import weakref
from collections.abc import Hashable

from pagerduty_alerting._loop import fork
from pagerduty_alerting._protocol.answer import RawResponse
from pagerduty_alerting._protocol.rate_limit import (
    Quotas,
    block,
    has_room,
    hold_back,
    observe,
    parse_retry_after,
    roll,
    spacing,
    spend,
)

_TOO_MANY_REQUESTS = 429


class Pacer:
    """What is known of a quota, and the calls that wait for it, first come, first served.

    Every request is admitted before it is sent and settled when it is over. What the pacer knows of the quota is what
    the answers said, and how many requests are still under way.
    """

    def __init__(self) -> None:
        self._quotas: Quotas = {}
        self._under_way = 0
        # Each with its deadline, in the order in which they came; a dict because one may leave from the middle.
        self._waiters: dict[asyncio.Future[float], float] = {}
        self._timer: asyncio.TimerHandle | None = None
        fork.register(self)

    def admit(self, now: float, *, regardless: bool = False) -> bool:
        """Counts one more request as under way if it can go at once, or `regardless` of the quota."""
        if not regardless and (self._waiters or not (has_room(self._quotas, self._under_way) or self._hold(now) == 0)):
            return False
        self._under_way += 1
        return True

    async def wait_for_admission(self, deadline: float) -> float:
        """Waits until one more request fits into the quota, and counts it as under way.

        Args:
            deadline: When to have gone, on the clock of the event loop.

        Returns:
            Zero when the request was admitted; otherwise, at once, the seconds for which the quota is used up, because
            they last beyond the deadline.
        """
        waiter: asyncio.Future[float] = asyncio.get_running_loop().create_future()
        self._waiters[waiter] = deadline
        self._serve()
        try:
            return await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled() and waiter.result() == 0:
                self._under_way -= 1  # it was admitted in the very moment, and will not go
            raise
        finally:
            self._waiters.pop(waiter, None)
            self._serve()

    def settle(self, answer: RawResponse | None, *, was_sent: bool) -> None:
        """Counts a request as over, and learns from its answer.

        Args:
            answer: What came of it; None where nothing came.
            was_sent: Whether the request can have reached the API.
        """
        self._under_way -= 1
        if answer is not None:
            now = asyncio.get_running_loop().time()
            self._quotas = observe(self._quotas, answer, now)
            if answer.status == _TOO_MANY_REQUESTS:
                blocked_for = parse_retry_after(answer.header("Retry-After"), time.time())
                if blocked_for is not None:
                    self._quotas = block(self._quotas, blocked_for, now)
        elif was_sent:
            self._quotas = spend(self._quotas)
        if self._waiters:
            self._serve()

    def spacing(self, now: float) -> float:
        """Returns the seconds that a long run leaves between its requests, so that the quota lasts to its reset."""
        self._quotas = roll(self._quotas, now)
        return spacing(self._quotas, self._under_way, now)

    def after_fork_in_child(self) -> None:
        """Forgets the parent's calls; what is known of the quota stays true."""
        self._under_way = 0
        self._waiters = {}
        self._timer = None

    def _hold(self, now: float) -> float:
        """Returns the seconds to hold the next request back: zero when it can go now."""
        self._quotas = roll(self._quotas, now)
        return hold_back(self._quotas, self._under_way, now)

    def _serve(self) -> None:
        """Admits those in front for whom there is room, sends away those who would wait in vain, and sets the timer."""
        loop = asyncio.get_running_loop()
        now = loop.time()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        seconds = self._hold(now)
        while self._waiters and seconds == 0:
            waiter = next(iter(self._waiters))
            del self._waiters[waiter]
            if not waiter.done():
                self._under_way += 1
                waiter.set_result(0.0)
            seconds = self._hold(now)
        if not self._waiters:
            return
        self._timer = loop.call_later(seconds, self._serve)
        # As long as some of the quota is left, an answer to a request under way may make room sooner.
        used_up = hold_back(self._quotas, 0, now)
        for waiter, deadline in list(self._waiters.items()):
            if used_up and now + used_up >= deadline and not waiter.done():
                del self._waiters[waiter]
                waiter.set_result(used_up)


_pacers: "weakref.WeakKeyDictionary[object, dict[Hashable, Pacer]]" = weakref.WeakKeyDictionary()


def pacer_for(session: object | None, account: Hashable) -> Pacer:
    """Returns the pacer of the clients that share a session and an account's quota; a new one where none is shared."""
    if session is None:
        return Pacer()
    return _pacers.setdefault(session, {}).setdefault(account, Pacer())
