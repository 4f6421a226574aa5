"""Holds calls back while the API's quota is used up. For one event loop at a time; no I/O."""

import asyncio
import math
import time
import weakref
from collections import deque
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
)

_TOO_MANY_REQUESTS = 429

# Requests under way as long as nothing was answered: what is left of the quota is not known.
_MOST_BEFORE_AN_ANSWER = 50

# Requests without an answer that are kept in mind: as many as Cloudflare's quota has.
_MOST_UNANSWERED = 1200

Ticket = int
"""The number of an admitted request, from 1, in the order of admission."""


class Pacer:
    """What is known of a quota, and the calls that wait for it, first come, first served.

    Every request is admitted before it is sent and settled when it is over. What the pacer knows of the quota is what
    the answers said, how many requests are under way, and how many ended without an answer: the API may count those
    later than answers that came meanwhile, so they count as under way until an answer to a later request.
    """

    def __init__(self) -> None:
        self._quotas: Quotas = {}
        self._has_answer = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._begin(None)
        fork.register(self)

    def _begin(self, loop: asyncio.AbstractEventLoop | None) -> None:
        """Begins on a loop, without the calls of the one before; what is known of the quota stays true."""
        self._loop = loop
        self._last_ticket: Ticket = getattr(self, "_last_ticket", 0)
        self._first_ticket = self._last_ticket + 1  # older ones are of calls that another loop left behind
        self._under_way = 0
        # For each request that ended without an answer, the newest ticket at that time.
        self._unanswered: deque[Ticket] = deque(maxlen=_MOST_UNANSWERED)
        # Each with its deadline, in the order in which they came; a dict because one may leave from the middle.
        self._waiters: dict[asyncio.Future[tuple[Ticket, float]], float] = {}
        self._timer: asyncio.TimerHandle | None = None

    def admit(self, now: float, *, regardless: bool = False) -> Ticket:
        """Counts one more request as under way if it can go at once, or `regardless` of the quota; else returns 0."""
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            self._begin(loop)
        if not regardless and (self._waiters or not (self._has_room() or self._hold(now) == 0)):
            return 0
        return self._issue()

    async def wait_for_admission(self, deadline: float) -> tuple[Ticket, float]:
        """Waits until one more request fits into the quota, and counts it as under way.

        Args:
            deadline: When to have gone, on the clock of the event loop.

        Returns:
            The request's ticket and zero; otherwise, at once, no ticket and the seconds for which the quota is used up,
            because they last beyond the deadline.
        """
        waiter: asyncio.Future[tuple[Ticket, float]] = asyncio.get_running_loop().create_future()
        self._waiters[waiter] = deadline
        self._serve()
        try:
            return await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled() and waiter.result()[0]:
                self.settle(waiter.result()[0], was_answered=False, was_sent=False)  # admitted, and will not go
            raise
        finally:
            if self._waiters.pop(waiter, None) is not None:
                self._serve()

    def learn(self, ticket: Ticket, answer: RawResponse) -> None:
        """Learns from an answer what is left of the quota."""
        now = asyncio.get_running_loop().time()
        self._has_answer = True
        if self._unanswered and answer.header("Ratelimit"):
            while self._unanswered and self._unanswered[0] < ticket:
                self._unanswered.popleft()
        self._quotas = observe(self._quotas, answer, now)
        if answer.status == _TOO_MANY_REQUESTS:
            blocked_for = parse_retry_after(answer.header("Retry-After"), time.time())
            if blocked_for is not None:
                self._quotas = block(self._quotas, blocked_for, now)

    def settle(self, ticket: Ticket, *, was_answered: bool, was_sent: bool) -> None:
        """Counts a request as over.

        Args:
            ticket: The ticket with which it was admitted.
            was_answered: Whether an answer came.
            was_sent: Whether the request can have reached the API.
        """
        if ticket < self._first_ticket:
            return
        self._under_way -= 1
        if was_sent and not was_answered:
            self._unanswered.append(self._last_ticket)
        if self._waiters:
            self._serve()

    def spacing(self, now: float) -> float:
        """Returns the seconds that a long run leaves between its requests, so that the quota lasts to its reset."""
        self._quotas = roll(self._quotas, now)
        return spacing(self._quotas, self._counted(), now)

    def after_fork_in_child(self) -> None:
        """Forgets the parent's calls."""
        self._begin(None)

    def _counted(self) -> int:
        """Returns how many requests the newest answer may not have counted yet."""
        return self._under_way + len(self._unanswered)

    def _has_room(self) -> bool:
        """Returns whether one more request is sure to fit; otherwise `_hold` tells."""
        if not self._has_answer and self._under_way >= _MOST_BEFORE_AN_ANSWER:
            return False
        return has_room(self._quotas, self._under_way + len(self._unanswered))

    def _hold(self, now: float) -> float:
        """Returns the seconds to hold the next request back: zero when it can go now, infinity until an answer."""
        if not self._has_answer and self._under_way >= _MOST_BEFORE_AN_ANSWER:
            return math.inf
        self._quotas = roll(self._quotas, now)
        return hold_back(self._quotas, self._counted(), now)

    def _issue(self) -> Ticket:
        self._under_way += 1
        self._last_ticket += 1
        return self._last_ticket

    def _serve(self) -> None:
        """Admits those in front for whom there is room, sends away those who would wait in vain, and sets the timer."""
        loop = self._loop
        if loop is None or loop.is_closed():  # a call that is finalized later than its loop
            return
        now = loop.time()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        seconds = self._hold(now)
        while self._waiters and seconds == 0:
            waiter = next(iter(self._waiters))
            del self._waiters[waiter]
            if not waiter.done():
                waiter.set_result((self._issue(), 0.0))
            seconds = self._hold(now)
        if not self._waiters:
            return
        if seconds < math.inf:
            self._timer = loop.call_later(seconds, self._serve)
        # As long as some of the quota is left, an answer to a request under way may make room sooner.
        used_up = hold_back(self._quotas, 0 if self._under_way else len(self._unanswered), now)
        for waiter, deadline in list(self._waiters.items()):
            if used_up and now + used_up >= deadline and not waiter.done():
                del self._waiters[waiter]
                waiter.set_result((0, used_up))


_pacers: "weakref.WeakKeyDictionary[object, dict[Hashable, Pacer]]" = weakref.WeakKeyDictionary()


def pacer_for(session: object | None, account: Hashable) -> Pacer:
    """Returns the pacer of the clients that share a session and an account's quota; a new one where none is shared."""
    if session is None:
        return Pacer()
    return _pacers.setdefault(session, {}).setdefault(account, Pacer())
