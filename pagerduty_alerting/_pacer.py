"""Holds calls back while the API's quota is used up. For one event loop at a time; no I/O."""

import asyncio
import math
import weakref
from collections import deque
from collections.abc import Hashable

from pagerduty_alerting._loop import fork
from pagerduty_alerting._protocol.answer import RawResponse
from pagerduty_alerting._protocol.rate_limit import Quotas, has_room, hold_back, observe, roll, spacing

# Requests in progress until the first response, before which the quota is unknown.
_MOST_BEFORE_AN_ANSWER = 50

# Requests without a response that are remembered: as many as Cloudflare's quota allows.
_MOST_UNANSWERED = 1200

# Seconds that the API may take to count a request that ended without a response. Meanwhile it may answer later
# requests: it reads a new connection after those that it knows.
_COUNTED_WITHIN = 1.0

Ticket = int
"""The number of an admitted request, from 1, in the order of admission."""


class Pacer:
    """The known quotas, and the calls that wait for them in order of arrival.

    Every request is admitted before it is sent and settled when it has ended. The pacer knows the quotas that responses
    report, the number of requests in progress, and those that ended without a response. The API may count the latter
    late, so they count as in progress until the response to a request that was admitted a second later, or until the
    window in which they ended is over.
    """

    def __init__(self) -> None:
        self._quotas: Quotas = {}
        self._has_answer = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._last_ticket: Ticket = 0
        self._under_way = 0
        # When each request that got no response ended.
        self._unanswered: deque[float] = deque(maxlen=_MOST_UNANSWERED)
        self._mark: tuple[float, Ticket] = (-math.inf, 0)  # a time, and the newest ticket then
        self._begin(None)
        fork.register(self)

    def _begin(self, loop: asyncio.AbstractEventLoop | None) -> None:
        """Begins on a loop without the calls of the previous one, whose requests will get no response."""
        if self._loop is not None and loop is not None:
            self._unanswered.extend([loop.time()] * self._under_way)
        self._loop = loop
        self._first_ticket = self._last_ticket + 1  # older tickets are of calls on another loop
        self._under_way = 0
        # Waiters with their deadlines, in order of arrival; a dict, because any of them may be removed.
        self._waiters: dict[asyncio.Future[tuple[Ticket, float]], float] = {}
        self._timer: asyncio.TimerHandle | None = None

    def admit(self, loop: asyncio.AbstractEventLoop, now: float, *, regardless: bool = False) -> Ticket:
        """Counts one more request as under way if it can go at once, or `regardless` of the quota; else returns 0."""
        if loop is not self._loop:
            self._begin(loop)
        if not regardless:
            counted = self._under_way + len(self._unanswered)
            certainly_fits = (self._has_answer or counted < _MOST_BEFORE_AN_ANSWER) and has_room(self._quotas, counted)
            if self._waiters or not (certainly_fits or self._hold(now) == 0):
                return 0
        return self._issue()

    async def wait_for_admission(self, deadline: float) -> tuple[Ticket, float]:
        """Waits until one more request fits into the quota, and counts it as under way.

        Returns its ticket and zero; or at once, if the quota is used up beyond the deadline, no ticket and the seconds.
        """
        waiter: asyncio.Future[tuple[Ticket, float]] = asyncio.get_running_loop().create_future()
        self._waiters[waiter] = deadline
        self._serve()
        try:
            return await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled() and waiter.result()[0]:
                self.settle(waiter.result()[0], is_unanswered=False)  # admitted, but will not be sent
            raise
        finally:
            if self._waiters.pop(waiter, None) is not None:
                self._serve()

    def learn(self, ticket: Ticket, answer: RawResponse, now: float) -> None:
        """Updates the quotas from a response."""
        self._has_answer = True
        if self._unanswered and answer.header("Ratelimit"):
            marked_at, newest = self._mark
            if ticket > newest:
                while self._unanswered and self._unanswered[0] <= marked_at - _COUNTED_WITHIN:
                    self._unanswered.popleft()
                self._mark = now, self._last_ticket
        self._quotas = observe(self._quotas, answer, now)

    def settle(self, ticket: Ticket, *, is_unanswered: bool) -> None:
        """Counts a request as ended; `is_unanswered` if it can have reached the API, and no response arrived."""
        loop = self._loop
        if loop is None or ticket < self._first_ticket:
            return
        self._under_way -= 1
        if is_unanswered:
            # Not the running loop: a coroutine may be closed where none runs.
            self._unanswered.append(loop.time())
        if self._waiters:
            self._serve()

    def spacing(self, now: float) -> float:
        """Returns the seconds that a long run leaves between its requests, so that the quota lasts to its reset."""
        self._quotas = roll(self._quotas, now)
        return spacing(self._quotas, self._under_way, now, self._unanswered)

    def after_fork_in_child(self) -> None:
        """Discards the parent's calls."""
        self._unanswered.clear()
        self._begin(None)

    def _hold(self, now: float) -> float:
        """Returns the seconds to hold the next request back: zero to send it now, infinity until a response."""
        if not self._has_answer and self._under_way + len(self._unanswered) >= _MOST_BEFORE_AN_ANSWER:
            return math.inf if self._under_way else 0.0  # one at a time, until there is a response
        self._quotas = roll(self._quotas, now)
        return hold_back(self._quotas, self._under_way, now, self._unanswered)

    def _issue(self) -> Ticket:
        self._under_way += 1
        self._last_ticket += 1
        return self._last_ticket

    def _serve(self) -> None:
        """Admits waiters while the quota has room, rejects those it cannot admit in time, and sets the timer."""
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
        # While some of the quota is left, the response to a request in progress may make room sooner.
        used_up = hold_back(self._quotas, 0, now, () if self._under_way else self._unanswered)
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
