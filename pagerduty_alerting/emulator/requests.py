"""The log of requests that the emulator received, with masked secrets and assertions for tests."""

import re
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import overload
from urllib.parse import unquote

import orjson
from attrs import frozen

from pagerduty_alerting.emulator.rules.answers import Json
from pagerduty_alerting.emulator.rules.contract import Operation
from pagerduty_alerting.emulator.rules.credentials import bearer_token
from pagerduty_alerting.emulator.rules.operations import Exchange

MASK = "***"

KEPT_OF_BODY = 4096
KEPT_IN_ALL = 16 * 1024 * 1024
"""Bytes of a body, and of all requests together, that the log keeps."""

_ACCOUNT_ID = re.compile(r"[0-9a-f]{32}")
_SECRET_SIZE = 32  # characters; no other segment of the API's paths is that long
_LONG = re.compile(rf"[^&=;+]{{{_SECRET_SIZE},}}")
_SECRET_HEADERS = frozenset({"x-auth-key", "x-auth-user-service-key", "cookie", "proxy-authorization"})


def mask_path(path: str) -> str:
    """Returns a path with every segment after `connect` masked, and every long segment except account ids."""
    masked: list[str] = []
    before, connecting = "", False
    for segment in path.split("/"):
        plain = unquote(segment)
        if before == "accounts":
            masked.append(mask_account(segment))
        else:
            masked.append(MASK if plain and (connecting or len(plain) >= _SECRET_SIZE) else segment)
        before, connecting = plain, connecting or plain.lower() == "connect"
    return "/".join(masked)


def mask_account(segment: str) -> str:
    """Returns an account id as sent, masked if it is long and malformed."""
    return segment if len(segment) < _SECRET_SIZE or _ACCOUNT_ID.fullmatch(segment) else MASK


def mask_query(query: str) -> str:
    """Returns a query string with every long value masked."""
    return _LONG.sub(MASK, query)


class MaskedHeaders(Mapping[str, str]):
    """The headers of a request with credentials masked; names are case-insensitive."""

    def __init__(self, headers: Mapping[str, str]) -> None:
        self._headers = headers

    def __getitem__(self, name: str) -> str:
        value = self._headers[name]
        if name.lower() == "authorization":
            scheme, space, _ = value.partition(" ")
            return f"{scheme} {MASK}" if space else MASK
        return MASK if name.lower() in _SECRET_HEADERS else value

    def __iter__(self) -> Iterator[str]:
        return map(str, self._headers)  # aiohttp's are instances of a subclass of str

    def __len__(self) -> int:
        return len(self._headers)

    def __repr__(self) -> str:
        return repr(dict(self))

    def unmasked(self, name: str) -> str | None:
        """Returns the value of a header as it was sent, or None without that header."""
        return self._headers.get(name)


@frozen(repr=False)
class RecordedRequest:
    """One request as it arrived. Its `repr` and its `headers` hide credentials and integration tokens.

    Attributes:
        number: The number of the request since the start or the last reset, from 1.
        method: The HTTP method.
        path: The path as sent, percent-encoded, with the integration token if there is one.
        query: The query string, without the question mark.
        operation: The requested operation, or None if there is none.
        account_id: The account in the path, as sent.
        token_id: The integration token in the path, as sent.
        headers: The headers, with credentials masked; names are case-insensitive.
        body: The body's first 4 KiB.
        remote: The IP address of the client.
        at: When it arrived, in seconds of the emulator's clock.
        received_at: When it arrived, in UTC.
        status: The status of the response; None before it is sent, and if a fault sends none.
        fault: The description of the faults that were applied, or None.
        elapsed: Seconds from the arrival to the end of its handling; None before that.
    """

    number: int
    method: str
    path: str
    query: str
    operation: Operation | None
    account_id: str | None
    token_id: str | None
    headers: MaskedHeaders
    body: bytes
    remote: str
    at: float
    received_at: datetime
    status: int | None = None
    fault: str | None = None
    elapsed: float | None = None

    def uses(self, secret: str) -> bool:
        """Returns whether the request was made with this API token or API key."""
        authorization = self.headers.unmasked("Authorization")
        if authorization is not None:
            return bearer_token(authorization) == secret
        return self.headers.unmasked("X-Auth-Key") == secret

    def json(self) -> Json:
        """Returns the body, parsed as JSON.

        Raises:
            ValueError: It is not JSON, or it was too long to be kept.
        """
        value: Json = orjson.loads(self.body)
        return value

    @property
    def masked_path(self) -> str:
        """The path with integration tokens masked, and, in unknown paths, every segment that may be a secret."""
        return mask_path(self.path)

    def __repr__(self) -> str:
        outcome = self.fault or self.status or "not answered"
        return f"<{self.number}: {self.method} {self.masked_path} -> {outcome}>"


def record(exchange: Exchange) -> RecordedRequest:
    """Returns the public record of a request in its current state."""
    route = exchange.route
    return RecordedRequest(
        number=exchange.number,
        method=exchange.method,
        path=exchange.path,
        query=exchange.query,
        operation=route.operation,
        account_id=route.account_id,
        token_id=route.token_id,
        headers=MaskedHeaders(exchange.headers),
        body=exchange.body,
        remote=exchange.remote,
        at=exchange.at,
        received_at=datetime.fromtimestamp(exchange.received_at, UTC),
        status=exchange.status,
        fault=exchange.fault,
        elapsed=exchange.elapsed,
    )


class RequestLog(Sequence[RecordedRequest]):
    """The latest requests as a sequence, oldest first; limited by `keep_requests` and to 16 MiB.

    If an assertion fails, the message of its `AssertionError` lists the requests.

    Examples:
        >>> api.requests.assert_operations(Operation.LIST, Operation.CREATE)  # doctest: +SKIP
        >>> assert api.requests[-1].uses(api.api_token)  # doctest: +SKIP
    """

    def __init__(self, lock: threading.RLock, keep: int) -> None:
        self._lock = lock
        self._keep = keep
        self._exchanges: deque[Exchange] = deque()
        self._bytes = 0
        self._total = 0

    @property
    def total(self) -> int:
        """The number of requests since the start or the last reset, including those no longer kept."""
        return self._total

    def __len__(self) -> int:
        return len(self._exchanges)

    @overload
    def __getitem__(self, index: int) -> RecordedRequest: ...

    @overload
    def __getitem__(self, index: slice) -> list[RecordedRequest]: ...

    def __getitem__(self, index: int | slice) -> RecordedRequest | list[RecordedRequest]:
        with self._lock:
            if isinstance(index, slice):
                return [record(exchange) for exchange in list(self._exchanges)[index]]
            return record(self._exchanges[index])

    def __repr__(self) -> str:
        return repr(self[:])

    def of(self, *operations: Operation | str) -> list[RecordedRequest]:
        """Returns the requests for any of these operations.

        Raises:
            EmulatorUsageError: There is no such operation. The assertions raise it, too.
        """
        wanted = set(map(Operation, operations))
        return [request for request in self[:] if request.operation in wanted]

    def where(self, predicate: Callable[[RecordedRequest], bool]) -> list[RecordedRequest]:
        """Returns the requests for which `predicate` holds."""
        return [request for request in self[:] if predicate(request)]

    def assert_operations(self, *operations: Operation | str) -> None:
        """Asserts that exactly these operations were requested, in this order.

        Raises:
            AssertionError: They were not, or there was a request for none of the operations.
        """
        seen, wanted = self[:], list(map(Operation, operations))
        if [request.operation for request in seen] != wanted:
            expected = ", ".join(wanted) or "no request at all"
            raise AssertionError(f"expected {expected}, but the emulator received:{_listed(seen)}")

    def assert_called(self, operation: Operation | str, *, times: int | None = None) -> None:
        """Asserts that an operation was requested.

        Args:
            operation: The operation.
            times: The exact number of times; None for at least once.

        Raises:
            AssertionError: It was not, or not that many times.
        """
        found = len(self.of(operation))
        if found == 0 if times is None else found != times:
            expected = "at least once" if times is None else f"{times} times"
            counted = f"expected {operation} {expected}, but it was requested {found} times"
            raise AssertionError(f"{counted}; the emulator received:{_listed(self[:])}")

    def assert_not_called(self, *operations: Operation | str) -> None:
        """Asserts that none of these operations was requested; without arguments, that there was no request.

        Raises:
            AssertionError: There was such a request.
        """
        found = self.of(*operations) if operations else self[:]
        if found:
            raise AssertionError(f"expected no such request, but the emulator received:{_listed(found)}")

    def assert_all_use(self, secret: str) -> None:
        """Asserts that every request used this API token or API key.

        Raises:
            AssertionError: A request used another or none; the message shows no credential.
        """
        others = self.where(lambda request: not request.uses(secret))
        if others:
            raise AssertionError(f"these requests used another credential or none:{_listed(others)}")

    def clear(self) -> None:
        """Removes all requests; the numbers start at 1 again."""
        with self._lock:
            self._exchanges.clear()
            self._bytes = self._total = 0

    def add(self, exchange: Exchange) -> None:
        """Numbers and keeps a request, and drops the oldest ones beyond the limits; the caller holds the lock."""
        self._total += 1
        exchange.number = self._total
        exchange.body = exchange.body[:KEPT_OF_BODY]
        self._exchanges.append(exchange)
        self._bytes += exchange.size
        while len(self._exchanges) > self._keep or self._bytes > KEPT_IN_ALL:
            self._bytes -= self._exchanges.popleft().size


def _listed(requests: Sequence[RecordedRequest]) -> str:
    return "".join(f"\n  {request!r}" for request in requests) or " nothing"
