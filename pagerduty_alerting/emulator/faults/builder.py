"""The fluent way to order a fault: `api.on(…).times(2).respond(503)`."""

import re
from collections.abc import Callable, Mapping
from typing import Self

from attrs import evolve, field, frozen

from pagerduty_alerting.emulator.errors import EmulatorUsageError
from pagerduty_alerting.emulator.faults.gates import Gate
from pagerduty_alerting.emulator.faults.kinds import (
    Drip,
    GzipBomb,
    Hang,
    Huge,
    Latency,
    Refuse,
    Reset,
    Respond,
    Truncate,
    WrongLength,
)
from pagerduty_alerting.emulator.faults.selection import Effect, Order, Predicate, Selection
from pagerduty_alerting.emulator.rules.answers import ErrorCode, Json, to_json
from pagerduty_alerting.emulator.rules.contract import Headers

_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_HEADER_VALUE = re.compile(r"[\t\x20-\x7e\x80-\uffff]*")

_HTML = """<!DOCTYPE html>
<html><head><title>Bad gateway</title></head>
<body><h1>Error 502</h1><p>The web server reported a bad gateway error.</p></body></html>
"""


@frozen
class FaultBuilder:
    """Says which requests to disturb, and then how. Made by `api.on(…)`.

    The first methods choose requests and can be combined; the others order what happens to them and return
    the `Order`, which can be cancelled. Of several orders for one request every latency and gate holds, and
    the oldest other one that is not spent: orders with `times` make a script.

    A fault takes the place of the answer *without the request being carried out*, unless `after_acting` says
    so or the fault spoils an answer (`drip`, `truncate`, `wrong_length`).

    Examples:
        >>> api.on(Operation.LIST).times(2).respond(503, headers={"Retry-After": "1"})  # doctest: +SKIP
        >>> api.on(Operation.CONNECT).once().reset_after_acting()  # doctest: +SKIP
        >>> api.on().when(lambda request: request.uses(token)).latency(0.2)  # doctest: +SKIP
    """

    _place: Callable[[Order], None] = field(repr=False)
    _make_gate: Callable[[], Gate] = field(repr=False)
    _selection: Selection

    def times(self, count: int) -> Self:
        """Only for `count` requests, then never again.

        Raises:
            EmulatorUsageError: `count` is below 1.
        """
        return evolve(self, selection=evolve(self._selection, times=count))

    def once(self) -> Self:
        """Only for one request."""
        return self.times(1)

    def skip(self, count: int) -> Self:
        """Leaves the first `count` of the requests alone.

        Raises:
            EmulatorUsageError: `count` is below 0.
        """
        return evolve(self, selection=evolve(self._selection, skip=count))

    def sometimes(self, probability: float) -> Self:
        """Only for some of the requests, at random: the same ones in every run where the emulator has a seed.

        Args:
            probability: How likely each request is to be disturbed, 0 to 1.

        Raises:
            EmulatorUsageError: It is not between 0 and 1.
        """
        return evolve(self, selection=evolve(self._selection, probability=probability))

    def when(self, predicate: Predicate) -> Self:
        """Only for requests for which `predicate` holds; several must all hold.

        Args:
            predicate: Called with the request on the emulator's event loop: it must not block. Where it
                raises, the request is answered with 500 and the traceback is logged.
        """
        predicates = (*self._selection.predicates, predicate)
        return evolve(self, selection=evolve(self._selection, predicates=predicates))

    def after_acting(self) -> Self:
        """Carries the request out first, so that the client is left in doubt about what was done."""
        return evolve(self, selection=evolve(self._selection, acting=True))

    def respond(
        self,
        status: int,
        *,
        json: Json = None,
        body: bytes | str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Order:
        """Answers with this.

        Args:
            status: The HTTP status.
            json: The body as a JSON value.
            body: The body as it is; without `json` and `body` it is an envelope that tells the status.
            headers: Headers beside those of every answer, or in their place.

        Raises:
            EmulatorUsageError: The status is not from 200 to 599, a header cannot be one, or both `json` and `body`
                are given.
        """
        if not 200 <= status <= 599:
            raise EmulatorUsageError(f"{status} is not an HTTP status to answer with: use 200 to 599")
        if json is not None and body is not None:
            raise EmulatorUsageError("give either json or body, not both")
        given = dict(headers or {})
        for name, value in given.items():
            if not _HEADER_NAME.fullmatch(name) or not _HEADER_VALUE.fullmatch(value):
                raise EmulatorUsageError(f"{name!r}: {value!r} is not an HTTP header")
        typed = "content-type" in {name.lower() for name in given}
        kind: Headers = () if typed else (("Content-Type", "application/json"),)
        if body is None:
            body = to_json(_envelope(status) if json is None else json)
        content = body.encode() if isinstance(body, str) else body
        return self._order(Respond(status, content, (*kind, *given.items())))

    def rate_limited(self, retry_after: float | str = 1) -> Order:
        """Answers 429.

        Args:
            retry_after: The value of `Retry-After`: seconds, or any text, such as an HTTP date.
        """
        return self.respond(429, headers={"Retry-After": str(retry_after)})

    def html(self, status: int = 502, body: bytes | str = _HTML) -> Order:
        """Answers with a web page, as Cloudflare's edge does when what is behind it fails."""
        return self.respond(status, body=body, headers={"Content-Type": "text/html; charset=UTF-8"})

    def malformed_json(self, status: int = 200, body: bytes | str = '{"success": true, "result": [') -> Order:
        """Answers with a body that is labelled as JSON and is not."""
        return self.respond(status, body=body)

    def wrong_shape(self, status: int = 200, json: Json = None) -> Order:
        """Answers with JSON that is not what was promised: `json`, or an envelope all of wrong types."""
        wrong: Json = {"success": True, "errors": {}, "messages": 7, "result": "not what was promised"}
        return self.respond(status, json=wrong if json is None else json)

    def redirect(self, to: str, status: int = 302) -> Order:
        """Answers with a redirect; `to` is the value of `Location`."""
        return self.respond(status, body=b"", headers={"Location": to})

    def reset_before_acting(self) -> Order:
        """Cuts the connection off without carrying the request out."""
        return evolve(self, selection=evolve(self._selection, acting=False))._order(Reset())

    def reset_after_acting(self) -> Order:
        """Carries the request out and cuts the connection off in place of an answer."""
        return self.after_acting()._order(Reset())

    def refuse(self, seconds: float | None = None) -> Order:
        """Cuts this request off and stops listening, so that the system refuses new connections.

        Args:
            seconds: For how long, in real time; None until `api.accept_connections()` or a reset.
        """
        return self._order(Refuse(seconds))

    def hang(self) -> Order:
        """Never answers, and keeps the connection open until the emulator stops or is reset."""
        return self._order(Hang())

    def drip(self, size: int = 1, interval: float = 0.05) -> Order:
        """Sends the answer slowly.

        Args:
            size: Bytes of the body at a time.
            interval: Seconds between them, in real time.
        """
        return self._order(Drip(size, interval))

    def truncate(self, keep: int | None = None) -> Order:
        """Closes the connection in the middle of the body.

        Args:
            keep: Bytes of the body to send; None for half of it.
        """
        return self._order(Truncate(keep))

    def wrong_length(self, by: int = 10) -> Order:
        """Announces a wrong `Content-Length` and keeps the connection open.

        Args:
            by: Bytes to add: above 0 the client waits for bytes that never come; below 0 the end of the body
                stands in front of the next answer.
        """
        return self._order(WrongLength(by))

    def huge(self, size: int) -> Order:
        """Answers with a list that is at least `size` bytes long."""
        return self._order(Huge(size))

    def gzip_bomb(self, size: int) -> Order:
        """Answers with a small compressed body that unpacks to at least `size` bytes."""
        return self._order(GzipBomb(size))

    def latency(self, seconds: float) -> Order:
        """Waits so many seconds, in real time, before going on; with `after_acting`, before answering."""
        return self._order(Latency(seconds))

    def hold(self) -> Gate:
        """Holds the requests at a gate; with `after_acting`, between carrying out and answering.

        Returns:
            The gate, which tells how many arrived and lets them go.
        """
        gate = self._make_gate()
        self._order(gate)
        return gate

    def _order(self, effect: Effect) -> Order:
        order = Order(self._selection, effect)
        self._place(order)
        return order


def _envelope(status: int) -> Json:
    if status < 400:
        return {"success": True, "errors": [], "messages": [], "result": None}
    message = f"HTTP {status}, as ordered from the emulator"
    error: Json = {"code": int(ErrorCode.INTERNAL_ERROR), "message": message}
    return {"success": False, "errors": [error], "messages": [], "result": None}
