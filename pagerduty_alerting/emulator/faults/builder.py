"""The fluent interface that orders faults: `api.on(…).times(2).respond(503)`."""

import re
from collections.abc import Callable, Mapping
from typing import Self

import orjson
from attrs import evolve, field, frozen

from pagerduty_alerting.emulator.errors import EmulatorUsageError
from pagerduty_alerting.emulator.faults import kinds
from pagerduty_alerting.emulator.faults.gates import Gate
from pagerduty_alerting.emulator.faults.selection import Effect, Order, Predicate, Selection
from pagerduty_alerting.emulator.rules.answers import JSON_HEADERS, Dialect, ErrorCode, Json, Refusal, failure, success
from pagerduty_alerting.emulator.rules.contract import Headers

_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_HEADER_VALUE = re.compile(r"[\t\x20-\x7e\x80-\uffff]*")

_HTML = """<!DOCTYPE html>
<html><head><title>Bad gateway</title></head>
<body><h1>Error 502</h1><p>The web server reported a bad gateway error.</p></body></html>
"""


@frozen
class FaultBuilder:
    """Selects requests, then orders a fault for them. Returned by `api.on(…)`.

    The methods that select requests return a builder and can be combined. The methods that order a fault return
    its `Order`, which can be cancelled. Every latency and gate ordered for a request applies to it, and of the
    other faults the oldest one that is not spent; so a sequence of orders with `times` is a script.

    With a fault, the operation is *not carried out*, except after `after_acting` and for the faults that change a
    real response (`drip`, `truncate`, `wrong_length`).

    Examples:
        >>> api.on(Operation.LIST).times(2).respond(503, headers={"Retry-After": "1"})  # doctest: +SKIP
        >>> api.on(Operation.CONNECT).once().reset_after_acting()  # doctest: +SKIP
        >>> api.on().when(lambda request: request.uses(token)).latency(0.2)  # doctest: +SKIP
    """

    _add_order: Callable[[Order], None] = field(repr=False)
    _on_server_thread: Callable[[], bool] = field(repr=False)
    _selection: Selection

    def times(self, count: int) -> Self:
        """Applies the fault to `count` requests only.

        Raises:
            EmulatorUsageError: `count` is below 1.
        """
        return self._for(evolve(self._selection, times=count))

    def once(self) -> Self:
        """Applies the fault to one request only."""
        return self.times(1)

    def skip(self, count: int) -> Self:
        """Skips the first `count` of the selected requests.

        Raises:
            EmulatorUsageError: `count` is below 0.
        """
        return self._for(evolve(self._selection, skip=count))

    def sometimes(self, probability: float) -> Self:
        """Applies the fault to random requests; with the emulator's `seed`, to the same ones in every run.

        Args:
            probability: The probability for each request, 0 to 1.

        Raises:
            EmulatorUsageError: It is not between 0 and 1.
        """
        return self._for(evolve(self._selection, probability=probability))

    def when(self, predicate: Predicate) -> Self:
        """Applies the fault to requests for which `predicate` is true; several predicates must all be true.

        Args:
            predicate: Called with the request on the emulator's event loop; it must not block. If it raises, the
                response is a 500 and the traceback is logged.
        """
        return self._for(evolve(self._selection, predicates=(*self._selection.predicates, predicate)))

    def after_acting(self) -> Self:
        """Carries the operation out before the fault, so that its outcome is unknown to the client."""
        return self._for(evolve(self._selection, acting=True))

    def respond(
        self,
        status: int,
        *,
        json: Json = None,
        body: bytes | str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Order:
        """Sends this response.

        Clients wait before they retry; with the header `"Retry-After": "0"` they retry at once.

        Args:
            status: The HTTP status.
            json: The body as a JSON value.
            body: The body as bytes or text; without `json` and `body` it is an envelope for the status.
            headers: Additional headers, which replace standard ones of the same name.

        Raises:
            EmulatorUsageError: The status is not from 200 to 599, a header is malformed, or both `json` and `body`
                are given.
        """
        if not 200 <= status <= 599:
            raise EmulatorUsageError(f"{status} is not the status of an HTTP response: use 200 to 599")
        if json is not None and body is not None:
            raise EmulatorUsageError("give either json or body, not both")
        given = dict(headers or {})
        for name, value in given.items():
            if not _HEADER_NAME.fullmatch(name) or not _HEADER_VALUE.fullmatch(value):
                raise EmulatorUsageError(f"{name!r}: {value!r} is not an HTTP header")
        typed = "content-type" in {name.lower() for name in given}
        kind: Headers = () if typed else JSON_HEADERS
        if body is None:
            body = _envelope(status) if json is None else orjson.dumps(json)
        content = body.encode() if isinstance(body, str) else body
        return self._order(kinds.Respond(status, content, (*kind, *given.items())))

    def rate_limited(self, retry_after: float | str = 1) -> Order:
        """Sends a 429 response.

        Args:
            retry_after: The value of `Retry-After`: seconds, or any text, such as an HTTP date.
        """
        return self.respond(429, headers={"Retry-After": str(retry_after)})

    def html(self, status: int = 502, body: bytes | str = _HTML) -> Order:
        """Sends an HTML page, as Cloudflare's proxies do when the API behind them fails."""
        return self.respond(status, body=body, headers={"Content-Type": "text/html; charset=UTF-8"})

    def malformed_json(self, status: int = 200, body: bytes | str = '{"success": true, "result": [') -> Order:
        """Sends a body that is labelled as JSON but is not valid JSON."""
        return self.respond(status, body=body)

    def wrong_shape(self, status: int = 200, json: Json = None) -> Order:
        """Sends JSON that does not fit the API: `json`, or by default an envelope with wrong types."""
        wrong: Json = {"success": True, "errors": {}, "messages": 7, "result": "not a result"}
        return self.respond(status, json=wrong if json is None else json)

    def redirect(self, to: str, status: int = 302) -> Order:
        """Sends a redirect; `to` is the value of `Location`."""
        return self.respond(status, body=b"", headers={"Location": to})

    def reset_before_acting(self) -> Order:
        """Resets the connection without carrying the operation out."""
        return self._for(evolve(self._selection, acting=False))._order(kinds.Reset())

    def reset_after_acting(self) -> Order:
        """Carries the operation out, then resets the connection instead of sending the response."""
        return self.after_acting()._order(kinds.Reset())

    def refuse(self, seconds: float | None = None) -> Order:
        """Resets this connection and stops listening, so that the system refuses new connections.

        Args:
            seconds: How long, in real time; None until `api.accept_connections()` or a reset.
        """
        return self._order(kinds.Refuse(seconds))

    def hang(self) -> Order:
        """Sends no response, and keeps the connection open until the emulator stops or is reset."""
        return self._order(kinds.Hang())

    def drip(self, size: int = 1, interval: float = 0.05) -> Order:
        """Sends the response slowly.

        Args:
            size: Bytes of the body at a time.
            interval: Seconds between them, in real time.
        """
        return self._order(kinds.Drip(size, interval))

    def truncate(self, keep: int | None = None) -> Order:
        """Closes the connection in the middle of the body.

        Args:
            keep: Bytes of the body to send; None for half of it.
        """
        return self._order(kinds.Truncate(keep))

    def wrong_length(self, by: int = 10) -> Order:
        """Sends a wrong `Content-Length` and keeps the connection open.

        Args:
            by: The difference in bytes: above 0 the client waits for bytes that are never sent; below 0 the end of
                the body precedes the next response.
        """
        return self._order(kinds.WrongLength(by))

    def huge(self, size: int) -> Order:
        """Sends a list of at least `size` bytes."""
        return self._order(kinds.Huge(size))

    def gzip_bomb(self, size: int) -> Order:
        """Sends a small compressed body that expands to at least `size` bytes."""
        return self._order(kinds.GzipBomb(size))

    def latency(self, seconds: float) -> Order:
        """Waits `seconds`, in real time, before the operation; with `after_acting`, before the response."""
        return self._order(kinds.Latency(seconds))

    def hold(self) -> Gate:
        """Holds requests at a gate before the operation; with `after_acting`, before the response.

        Returns:
            The gate, which counts and releases the requests.
        """
        gate = Gate(self._on_server_thread)
        self._order(gate)
        return gate

    def _for(self, selection: Selection) -> Self:
        return evolve(self, selection=selection)

    def _order(self, effect: Effect) -> Order:
        order = Order(self._selection, effect)
        self._add_order(order)
        return order


def _envelope(status: int) -> bytes:
    if status < 400:
        return success(None).body
    message = f"HTTP {status}, as ordered from the emulator"
    return failure(Refusal(status, ErrorCode.INTERNAL_ERROR, message), Dialect()).body
