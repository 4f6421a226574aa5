"""What a call waits for besides the network: its back-off and the API's quota. For one event loop; no I/O."""

import asyncio

from pagerduty_alerting import _fork
from pagerduty_alerting._rate_limit import Quotas, block, hold_back, observe, roll
from pagerduty_alerting.errors import ClientClosedError
from pagerduty_alerting.models import RateLimits

# Futures in the order in which they began to wait; a dict because one that is cancelled leaves from the middle.
_Waiters = dict[asyncio.Future[None], None]


class Pacer:
    """Holds calls back while the quota that they share is used up.

    Every request passes `admit` before it is sent and `settle` when it is over. What the pacer knows of the quota is
    what the answers said, and how many requests are still under way.
    """

    def __init__(self) -> None:
        self._quotas: Quotas = {}
        self._under_way = 0
        self._queue: _Waiters = {}
        self._pauses: _Waiters = {}
        _fork.register(self)

    def admits(self, now: float) -> bool:
        """Admits one more request, as `admit` does, if it can go at once."""
        if self._hold_back(now, self._under_way) > 0:
            return False
        self._under_way += 1
        return True

    async def admit(self, deadline: float) -> float:
        """Waits until one more request fits into the quota, and counts it as under way.

        Args:
            deadline: When to stop waiting, on the clock of the event loop.

        Returns:
            Zero when the request was admitted; otherwise the seconds for which it would have to be held back still,
            which last beyond the deadline.

        Raises:
            ClientClosedError: The client was closed meanwhile.
        """
        clock = asyncio.get_running_loop().time
        while not self.admits(now := clock()):
            seconds = self._hold_back(now, self._under_way)
            # While no quota is left it is known that waiting is in vain; otherwise an answer may still make room.
            if now >= deadline or now + self._hold_back(now, 0) > deadline:
                return seconds
            await _wait(min(seconds, deadline - now), self._queue)
        return 0.0

    def settle(self, limits: RateLimits | None = None, blocked_for: float | None = None) -> None:
        """Counts a request as over, and learns from its answer.

        Args:
            limits: What the answer said of quotas; None where there was no answer.
            blocked_for: Seconds that the API asked to wait, for an answer that said "too many requests".
        """
        self._under_way -= 1
        now = asyncio.get_running_loop().time()
        if limits is not None:
            self._quotas = observe(self._quotas, limits, now)
        if blocked_for is not None:
            self._quotas = block(self._quotas, blocked_for, now)
        if self._queue and self._hold_back(now, self._under_way) == 0:
            # Each that is woken looks for itself whether there is room, in the order of the queue.
            for waiter in list(self._queue):
                _wake(waiter)

    async def pause(self, seconds: float) -> None:
        """Waits for a back-off.

        Raises:
            ClientClosedError: The client was closed meanwhile.
        """
        await _wait(seconds, self._pauses)

    def close(self) -> None:
        """Ends all waiting with `ClientClosedError`."""
        for waiter in [*self._queue, *self._pauses]:
            if not waiter.done():
                waiter.set_exception(ClientClosedError("the client was closed while the call was waiting"))

    def after_fork_in_child(self) -> None:
        """Forgets the parent's calls; what is known of the quota stays true."""
        self._under_way = 0
        self._queue = {}
        self._pauses = {}

    def _hold_back(self, now: float, under_way: int) -> float:
        self._quotas = roll(self._quotas, now)
        return hold_back(self._quotas, under_way, now)


async def _wait(seconds: float, waiters: _Waiters) -> None:
    loop = asyncio.get_running_loop()
    waiter = loop.create_future()
    timer = loop.call_later(seconds, _wake, waiter)
    waiters[waiter] = None
    try:
        await waiter
    finally:
        timer.cancel()
        del waiters[waiter]


def _wake(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)
