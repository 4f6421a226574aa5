"""Whatever response Hypothesis generates, a call returns a valid result or raises an exception of the package, in time.

The suite generates a few hundred responses; `nox -s fuzz` sets PAGERDUTY_ALERTING_FUZZ to the number for each test.
"""

import asyncio
import contextlib
import os
import threading
from collections.abc import Iterator
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, Phase, given, settings, target
from hypothesis import strategies as st

from pagerduty_alerting import (
    APIConnectionError,
    AsyncClient,
    ConnectedDestination,
    Envelope,
    IntegrationToken,
    PagerDutyAlertingError,
    RateLimits,
    Response,
    ResponseInfo,
    ResultInfo,
    RetryPolicy,
    Service,
)
from tests.support.operations import TOKEN_ID
from tests.support.raw_calls import CALLS
from tests.support.raw_calls import settings as client_settings
from tests.support.raw_server import CREATED, LISTED, Conversation, raw_server
from tests.support.strategies import CHARACTERS

EXAMPLES = int(os.environ.get("PAGERDUTY_ALERTING_FUZZ", "100"))

many = settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize="PAGERDUTY_ALERTING_FUZZ" not in os.environ,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.explicit, Phase.generate, Phase.target, Phase.shrink],
    database=None,
)

# Seconds that a call may take: by its own deadline, and before the test fails.
TIMEOUT = 3.0
TEST_TIMEOUT = 20.0


class Exchange:
    """A client and a server that sends `answer` to each request, on a loop in a thread."""

    def __init__(self) -> None:
        self.answer = b""
        self.rest: bytes | None = None  # sent before later answers of a connection; None closes it after the first
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever)
        self.thread.start()
        self.stack = contextlib.AsyncExitStack()
        self.client: Any = self.run(self._open())

    async def _open(self) -> AsyncClient:
        server = await self.stack.enter_async_context(raw_server(self._script))
        client = AsyncClient(
            **client_settings(
                server.url,
                timeout=TIMEOUT,
                retry=RetryPolicy(max_attempts=2, initial_delay=0),
                max_response_bytes=200_000,
                respect_rate_limits=False,
            )
        )
        return await self.stack.enter_async_context(client)

    async def _script(self, peer: Conversation) -> None:
        await peer.request()
        peer.send(self.answer)
        await peer.drain()
        while self.rest is not None:
            await peer.request()
            peer.send(self.rest + self.answer)

    def run(self, coroutine: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(TEST_TIMEOUT)

    def close(self) -> None:
        self.run(self.stack.aclose())
        self.run(self.loop.shutdown_default_executor())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.loop.close()


@pytest.fixture(scope="module")
def exchange() -> Iterator[Exchange]:
    made = Exchange()
    yield made
    made.close()


RESULTS: dict[str, Any] = {
    "list_services": lambda result: type(result) is list and all(map(is_service, result)),
    "delete_services": lambda result: result is None,
    "create_integration_token": lambda result: type(result) is IntegrationToken and type(result.id) is str,
    "connect": lambda result: type(result) is ConnectedDestination and type(result.id) is str,
}


def is_service(value: object) -> bool:
    return type(value) is Service and type(value.id) is str and type(value.name) is str


def is_info(value: object) -> bool:
    return type(value) is ResponseInfo and type(value.message) is str and type(value.code) in {int, type(None)}


def is_valid(operation: str, response: object) -> bool:
    """Returns whether a response and all its fields have the documented types."""
    assert type(response) is Response
    envelope = response.envelope
    assert type(envelope) is Envelope
    assert envelope.success is True
    assert all(map(is_info, envelope.errors + envelope.messages))
    assert envelope.result_info is None or type(envelope.result_info) is ResultInfo
    assert type(response.rate_limits) is RateLimits
    assert 200 <= response.status < 300
    assert response.ray_id is None or response.ray_id.isprintable()
    return bool(RESULTS[operation](response.result))


def check_error(error: PagerDutyAlertingError) -> None:
    text = str(error)
    # The text of errors of aiohttp that the package does not know.
    assert not (isinstance(error, APIConnectionError) and ": unexpected " in text), text
    assert text.isprintable(), text
    assert len(text) < 3000
    assert TOKEN_ID not in text


def check(exchange: Exchange, operation: str, answer: bytes) -> bool:
    """Makes a call that gets this answer, and returns whether it succeeded."""
    exchange.answer = answer
    try:
        response = exchange.run(getattr(exchange.client.with_response, operation)(*CALLS[operation]))
    except PagerDutyAlertingError as error:
        check_error(error)
        return False
    assert is_valid(operation, response)
    return True


operations = st.sampled_from(sorted(CALLS))
statuses = st.sampled_from(
    [200, 200, 200, 201, 202, 204, 299, 302, 400, 401, 403, 404, 429, 500, 502, 503]
) | st.integers(0, 999)

FIELDS = ["success", "errors", "messages", "result", "result_info", "id", "name", "code", "message", "count"]
fields = st.sampled_from(FIELDS) | st.text(CHARACTERS, max_size=5)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text(CHARACTERS, max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(fields, inner, max_size=6),
    max_leaves=12,
)  # fmt: skip
VALID: list[Any] = [
    orjson.loads(LISTED),
    orjson.loads(CREATED),
    {"success": True, "errors": [], "messages": [], "result": None, "result_info": {"count": 1, "page": 1}},
    {"success": False, "errors": [{"code": 10000, "message": "Authentication error"}]},
    {"success": True, "errors": [], "messages": [{"code": 1000, "message": "m"}], "result": []},
]


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """A valid body in which values anywhere are replaced."""
    document = draw(st.sampled_from(VALID))

    def replaced(value: Any) -> Any:
        if draw(st.integers(0, 4)) == 0:
            return draw(json_values)
        if isinstance(value, dict):
            return {name: replaced(inner) for name, inner in value.items() if draw(st.integers(0, 15))}
        if isinstance(value, list):
            return [replaced(inner) for inner in value] * draw(st.integers(0, 3))
        return value

    return orjson.dumps(replaced(document))


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A valid body with some bytes removed, doubled or changed."""
    data = bytearray(orjson.dumps(draw(st.sampled_from(VALID))))
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(data)))
        end = min(len(data), start + draw(st.integers(0, 10)))
        data[start:end] = draw(st.binary(max_size=6) | st.just(bytes(data[start:end]) * 2))
    return bytes(data)


bodies = mutated() | damaged() | json_values.map(orjson.dumps) | st.binary(max_size=300)

NAMES = [
    "Content-Type", "Content-Encoding", "Transfer-Encoding", "Content-Length", "Connection", "Retry-After", "Ratelimit",
    "Ratelimit-Policy", "CF-Ray", "Location", "Set-Cookie", "Upgrade", "Trailer", "Date", "X-Anything",
]  # fmt: skip
VALUES = [
    "gzip", "deflate", "br", "zstd", "identity", "chunked", "close", "keep-alive", "upgrade", "0", "1", "5", "-1",
    "9" * 30,
    '"default";r=0;t=1', '"default";q=1;w=1, "burst"', "application/json; charset=utf-16", "text/html",
    "/", "//host/path",
    "http://[", "a=b; Domain=x; Expires=never", "Fri, 31 Dec 9999 23:59:59 GMT", "8f5e3c2a1b0d4e6f-FRA", "websocket",
]  # fmt: skip
names = st.sampled_from(NAMES).map(str.encode) | st.binary(max_size=12)
values = st.sampled_from(VALUES).map(str.encode) | st.binary(max_size=40)
headers = st.lists(st.tuples(names, values), max_size=8)


def framed(status: int, header_list: list[tuple[bytes, bytes]], body: bytes, *, with_length: bool) -> bytes:
    lines = [b"HTTP/1.1 %d Reason" % status, *(name + b": " + value for name, value in header_list)]
    if with_length:
        lines.append(b"Content-Length: %d" % len(body))
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


@many
@given(operations, statuses, bodies)
def test_any_body_with_any_status_gives_a_result_or_an_error(
    exchange: Exchange, operation: str, status: int, body: bytes
) -> None:
    target(float(check(exchange, operation, framed(status, [], body, with_length=True))))


@many
@given(operations, statuses, headers, st.sampled_from([LISTED, CREATED]) | bodies, st.booleans())
def test_any_headers_give_a_result_or_an_error(
    exchange: Exchange,
    operation: str,
    status: int,
    header_list: list[tuple[bytes, bytes]],
    body: bytes,
    with_length: bool,
) -> None:
    target(float(check(exchange, operation, framed(status, header_list, body, with_length=with_length))))


@many
@given(operations, st.binary(max_size=400))
def test_any_bytes_give_a_result_or_an_error(exchange: Exchange, operation: str, data: bytes) -> None:
    check(exchange, operation, data)


@many
@given(operations, st.sampled_from([LISTED, CREATED]), st.data())
def test_a_damaged_response_gives_a_result_or_an_error(
    exchange: Exchange, operation: str, body: bytes, data: st.DataObject
) -> None:
    answer = bytearray(framed(200, [(b"Content-Type", b"application/json"), (b"CF-Ray", b"r")], body, with_length=True))
    for _ in range(data.draw(st.integers(1, 5))):
        start = data.draw(st.integers(0, len(answer)))
        end = min(len(answer), start + data.draw(st.integers(0, 6)))
        answer[start:end] = data.draw(st.binary(max_size=6))
    check(exchange, operation, bytes(answer))


whole = framed(200, [], b'{"success":true,"result":{"id":"another\'s"}}', with_length=True)
starts = st.integers(1, len(whole)).map(lambda length: (whole[:length], whole[length:]))
unsolicited = starts | st.tuples(st.binary(min_size=1, max_size=300), st.just(b""))


BODIES = {"list_services": LISTED, "delete_services": b'{"success":true,"result":null}'}


@many
@given(operations, unsolicited)
def test_data_after_a_response_is_not_the_next_response(
    exchange: Exchange, operation: str, data: tuple[bytes, bytes]
) -> None:
    """The data are the start of another caller's response, whose rest arrives later, or any bytes."""
    sent, exchange.rest = data
    try:
        check(exchange, operation, framed(200, [], BODIES.get(operation, CREATED), with_length=True) + sent)
        exchange.answer = framed(201, [], b'{"success":true,"result":{"id":"its own"}}', with_length=True)
        assert exchange.run(exchange.client.create_integration_token()) == IntegrationToken("its own")
    finally:
        exchange.rest = None
