"""The log of requests and the assertions on it; it must not change what is answered."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import overload

from pagerduty_alerting.emulator.requests import Arrival, Outcome, RecordedRequest, record
from pagerduty_alerting.emulator.rules.contract import Operation
from pagerduty_alerting.emulator.rules.operations import Call


class RequestLog(Sequence[RecordedRequest]):
    """The latest requests as a sequence, oldest first.

    Every ``assert_…`` method raises `AssertionError` and shows the requests that there were.

    Examples:
        >>> api.requests.assert_operations(Operation.LIST, Operation.CREATE)  # doctest: +SKIP
        >>> assert api.requests[-1].uses(api.api_token)  # doctest: +SKIP
    """

    def __init__(self, lock: threading.RLock, keep: int) -> None:
        self._lock = lock
        self._keep = keep
        self._arrivals: deque[Arrival] = deque(maxlen=keep)
        self._outcomes: dict[int, Outcome] = {}
        self._total = 0

    @property
    def total(self) -> int:
        """How many requests came since the start or the last reset, also those that are no longer kept."""
        return self._total

    def __len__(self) -> int:
        return len(self._arrivals)

    @overload
    def __getitem__(self, index: int) -> RecordedRequest: ...

    @overload
    def __getitem__(self, index: slice) -> list[RecordedRequest]: ...

    def __getitem__(self, index: int | slice) -> RecordedRequest | list[RecordedRequest]:
        with self._lock:
            if isinstance(index, slice):
                return [record(it, self._outcomes.get(it.number)) for it in list(self._arrivals)[index]]
            arrival = self._arrivals[index]
            return record(arrival, self._outcomes.get(arrival.number))

    def __repr__(self) -> str:
        return f"[{_shown(self[:])}]"

    def of(self, *operations: Operation) -> list[RecordedRequest]:
        """The requests for any of these operations."""
        return [request for request in self[:] if request.operation in operations]

    def where(self, predicate: Callable[[RecordedRequest], bool]) -> list[RecordedRequest]:
        """The requests for which `predicate` holds."""
        return [request for request in self[:] if predicate(request)]

    def assert_operations(self, *operations: Operation) -> None:
        """Assert that exactly these operations were asked for, in this order.

        Raises:
            AssertionError: They were not, or there was a request that is no operation.
        """
        seen = self[:]
        if [request.operation for request in seen] != list(operations):
            expected = ", ".join(operation.value for operation in operations) or "no request at all"
            raise AssertionError(f"expected {expected}, but the emulator saw:{_listed(seen)}")

    def assert_called(self, operation: Operation, *, times: int | None = None) -> None:
        """Assert that an operation was asked for.

        Args:
            operation: The operation.
            times: How often, exactly; None for at least once.

        Raises:
            AssertionError: It was not, or not that often.
        """
        found = len(self.of(operation))
        if found == 0 if times is None else found != times:
            expected = "at least once" if times is None else f"{times} times"
            counted = f"expected {operation.value} {expected}, but it came {found} times"
            raise AssertionError(f"{counted}; the emulator saw:{_listed(self[:])}")

    def assert_not_called(self, *operations: Operation) -> None:
        """Assert that none of these operations was asked for; without any, that there was no request at all.

        Raises:
            AssertionError: One was.
        """
        found = self.of(*operations) if operations else self[:]
        if found:
            raise AssertionError(f"expected no such request, but the emulator saw:{_listed(found)}")

    def assert_all_use(self, secret: str) -> None:
        """Assert that every request was made with this API token or API key.

        Raises:
            AssertionError: One was made with another or with none; the message shows neither.
        """
        others = self.where(lambda request: not request.uses(secret))
        if others:
            raise AssertionError(f"these requests used another credential or none:{_listed(others)}")

    def clear(self) -> None:
        """Forget all requests; the numbers start at 1 again."""
        with self._lock:
            self._arrivals.clear()
            self._outcomes.clear()
            self._total = 0

    def arrive(self, call: Call, query: str, body: bytes, remote: str, at: float) -> Arrival:
        """Record a request; the lock is held."""
        self._total += 1
        arrivals = self._arrivals
        if len(arrivals) == self._keep:
            self._outcomes.pop(arrivals[0].number, None)
        arrival = Arrival(self._total, call, query, body, remote, at, time.time(), time.perf_counter())
        arrivals.append(arrival)
        return arrival

    def finish(self, arrival: Arrival, status: int | None, fault: str | None = None) -> None:
        """Record how a request ended, unless it was forgotten meanwhile; the lock is held."""
        arrivals = self._arrivals
        if arrivals and arrivals[0].number <= arrival.number:
            self._outcomes[arrival.number] = Outcome(status, fault, time.perf_counter() - arrival.started)

    def ended(self, arrival: Arrival) -> RecordedRequest:
        """A request with how it ended; the lock is held."""
        return record(arrival, self._outcomes.get(arrival.number))


def _shown(requests: Sequence[RecordedRequest]) -> str:
    return ", ".join(map(repr, requests))


def _listed(requests: Sequence[RecordedRequest]) -> str:
    return "".join(f"\n  {request!r}" for request in requests) or " nothing"
