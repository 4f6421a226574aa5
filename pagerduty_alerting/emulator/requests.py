"""A request as the emulator saw it, for tests to look at; it must not show a secret unless asked for it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime

import attrs
import orjson

from pagerduty_alerting.emulator.rules.answers import Json
from pagerduty_alerting.emulator.rules.contract import Operation
from pagerduty_alerting.emulator.rules.credentials import bearer_token
from pagerduty_alerting.emulator.rules.operations import Call

MASK = "***"

_SECRET_HEADERS = frozenset({"x-auth-key", "x-auth-user-service-key", "cookie", "proxy-authorization"})


def mask_header(name: str, value: str) -> str:
    """Hide a credential; of ``Authorization`` the scheme stays."""
    if name.lower() == "authorization":
        scheme, space, _ = value.partition(" ")
        return f"{scheme} {MASK}" if space else MASK
    return MASK if name.lower() in _SECRET_HEADERS else value


def mask_path(path: str, token_id: str | None) -> str:
    """Hide the integration token at the end of a path."""
    return path if token_id is None else f"{path.rpartition('/')[0]}/{MASK}"


class MaskedHeaders(Mapping[str, str]):
    """The headers of a request with credentials masked; names compare without case."""

    def __init__(self, headers: Mapping[str, str]) -> None:
        self._headers = headers

    def __getitem__(self, name: str) -> str:
        return mask_header(name, self._headers[name])

    def __contains__(self, name: object) -> bool:
        return name in self._headers

    def __iter__(self) -> Iterator[str]:
        return map(str, self._headers)  # plain strings, whatever kind aiohttp keeps

    def __len__(self) -> int:
        return len(self._headers)

    def __repr__(self) -> str:
        return repr(dict(self))

    def unmasked(self, name: str) -> str | None:
        """The value of a header as it was sent, or None where it was not."""
        return self._headers.get(name)


@attrs.frozen(repr=False)
class RecordedRequest:
    """One request as it arrived. Its ``repr`` and its `headers` hide credentials and integration tokens.

    Attributes:
        number: Counts the requests since the start or the last reset, from 1.
        method: The HTTP method.
        path: The path as sent, percent-encoded, with the integration token if there was one.
        query: The query string, without the question mark.
        operation: The operation asked for, or None where there was none.
        account_id: The account in the path, as sent.
        token_id: The integration token in the path, as sent.
        headers: The headers, with credentials masked; names compare without case.
        body: The body.
        remote: The IP address that it came from.
        at: When it arrived, in seconds of the emulator's clock.
        received_at: When it arrived, by the calendar (UTC).
        status: The status that it was answered with; None while it is not, or where a fault cut it off.
        fault: The fault that was ordered for it, in words, or None.
        elapsed: Seconds from its arrival until it was answered; None while it is not.
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
        """Tell whether the request was made with this API token or API key."""
        authorization = self.headers.unmasked("Authorization")
        if authorization is not None:
            return bearer_token(authorization) == secret
        return self.headers.unmasked("X-Auth-Key") == secret

    def json(self) -> Json:
        """The body, read as JSON.

        Raises:
            ValueError: It is not JSON.
        """
        value: Json = orjson.loads(self.body)
        return value

    @property
    def masked_path(self) -> str:
        """The path with the integration token masked."""
        return mask_path(self.path, self.token_id)

    def __repr__(self) -> str:
        outcome = self.fault or self.status or "not answered"
        return f"<{self.number}: {self.method} {self.masked_path} -> {outcome}>"


@attrs.frozen
class Arrival:
    """A request on its way through: as little as must be kept of it, because every request pays for it.

    Attributes:
        number: Counts the requests, from 1.
        call: The request itself.
        query: The query string.
        body: The body.
        remote: The IP address that it came from.
        at: When it arrived, in seconds of the emulator's clock.
        time: When it arrived, in seconds since 1970.
        started: When it arrived, in seconds of a clock that never goes back.
    """

    number: int
    call: Call
    query: str
    body: bytes
    remote: str
    at: float
    time: float
    started: float


@attrs.frozen
class Outcome:
    """How a request ended.

    Attributes:
        status: The status that it was answered with, or None.
        fault: The fault that was ordered for it, in words, or None.
        elapsed: Seconds from its arrival.
    """

    status: int | None
    fault: str | None
    elapsed: float


def record(arrival: Arrival, outcome: Outcome | None) -> RecordedRequest:
    """Put together what is known of a request."""
    call, route = arrival.call, arrival.call.route
    request = RecordedRequest(
        number=arrival.number,
        method=call.method,
        path=call.path,
        query=arrival.query,
        operation=route.operation,
        account_id=route.account_id,
        token_id=route.token_id,
        headers=MaskedHeaders(call.headers),
        body=arrival.body,
        remote=arrival.remote,
        at=arrival.at,
        received_at=datetime.fromtimestamp(arrival.time, UTC),
    )
    if outcome is None:
        return request
    return attrs.evolve(request, status=outcome.status, fault=outcome.fault, elapsed=outcome.elapsed)
