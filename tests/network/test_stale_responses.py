"""Data that a server sends on an idle connection are never taken for the response to the next request.

`nox -s soak` runs every combination, `nox -s tests` a selection in which every value occurs.
"""

import asyncio
import contextlib
import importlib.util
import itertools
import ssl
from collections.abc import AsyncIterator, Iterator
from typing import Any

import aiohttp
import pytest
import trustme
from aiohttp.http_parser import HttpResponseParserPy

from pagerduty_alerting import AsyncClient, Client, ConnectedDestination, IntegrationToken, RetryPolicy, Service
from pagerduty_alerting._http import connector
from tests.support.idle_server import ACCOUNT_ID, SERVICE, TOKEN_ID, IdleServer, idle_server
from tests.support.size import sample

SERVICES = [Service(SERVICE["id"], SERVICE["name"])]

# Each operation: its call, the request that the server gets for it, and its right result.
OPERATIONS: dict[str, tuple[Any, tuple[str, str], Any]] = {
    "list": (lambda client: client.list_services(), ("GET", "pagerduty"), SERVICES),
    "delete": (lambda client: client.delete_services(), ("DELETE", "pagerduty"), None),
    "create": (lambda client: client.create_integration_token(), ("POST", "connect"), IntegrationToken(TOKEN_ID)),
    "connect": (lambda client: client.connect(TOKEN_ID), ("GET", TOKEN_ID), ConnectedDestination(TOKEN_ID)),
}
FLEETS: dict[str, tuple[Any, tuple[str, str]]] = {
    "list": (lambda client: client.list_services_in([ACCOUNT_ID]), ("GET", "pagerduty")),
    "delete": (lambda client: client.delete_services_in([ACCOUNT_ID]), ("DELETE", "pagerduty")),
}

_SUCCESS = b'{"success":true,"errors":[],"messages":[],"result":{"id":"another caller\'s"}}'


def _answer(status: str, body: bytes) -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


UNSOLICITED = {
    "a response": _answer("200 OK", _SUCCESS),
    "a refusal": _answer("403 Forbidden", b'{"success":false,"errors":[{"message":"no"}]}'),
    "a 408 without a close": _answer("408 Request Timeout", b""),
    "an interim response": b"HTTP/1.1 103 Early Hints\r\n\r\n",
    "a letter": b"H",
    "half a status line": b"HTTP/1.1 20",
    "half a head": b"HTTP/1.1 408 Request Timeout\r\nContent-Len",
    "a head without its last line break": _answer("200 OK", b"")[:-1],
    "half a body": _answer("200 OK", _SUCCESS)[:-20],
    "half a chunked body": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{",
    "a response and half a head": _answer("200 OK", _SUCCESS) + b"HTTP/1.1 2",
    "not HTTP": b"hello\r\n\r\n",
}


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def trusted(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    return context


@pytest.fixture(params=["plain", "tls"])
def server(request: pytest.FixtureRequest, trusted: ssl.SSLContext) -> Iterator[IdleServer]:
    with idle_server(trusted if request.param == "tls" else None) as running:
        yield running


@pytest.fixture(scope="module")
def trusting(authority: trustme.CA) -> ssl.SSLContext:
    return ssl.create_default_context(cadata=authority.cert_pem.bytes().decode())


def settings(server: IdleServer) -> dict[str, Any]:
    return {
        "base_url": server.url,
        "api_token": "test",
        "account_id": ACCOUNT_ID,
        "retry": RetryPolicy(max_attempts=1),
    }


@contextlib.asynccontextmanager
async def client_with(
    session_of: str, server: IdleServer, trusting: ssl.SSLContext, *trace_configs: aiohttp.TraceConfig
) -> AsyncIterator[AsyncClient]:
    """Yields a client with its own session or the caller's."""
    if session_of == "the client":
        async with AsyncClient(**settings(server), ssl_context=trusting, trace_configs=trace_configs) as client:
            yield client
    else:
        connections = aiohttp.TCPConnector(ssl=trusting)
        async with aiohttp.ClientSession(connector=connections, trace_configs=list(trace_configs)) as session:
            yield AsyncClient(**settings(server), session=session)


def check(server: IdleServer, request: tuple[str, str], result: Any, right: Any) -> None:
    assert (None if right is None else result) == right
    assert server.requests == [("GET", "pagerduty"), request]
    assert server.accepted == 2


@pytest.mark.parametrize(
    ("unsolicited", "operation", "session_of", "turns"),
    sample(itertools.product(UNSOLICITED, OPERATIONS, ["the client", "the caller"], [0, 5]), every=5),
)
async def test_an_asynchronous_call_gets_its_own_response(
    server: IdleServer, trusting: ssl.SSLContext, unsolicited: str, operation: str, session_of: str, turns: int
) -> None:
    call, request, right = OPERATIONS[operation]
    async with client_with(session_of, server, trusting) as client:
        await client.list_services()
        server.push(UNSOLICITED[unsolicited])
        for _ in range(turns):
            await asyncio.sleep(0)
        check(server, request, await call(client), right)


@pytest.mark.parametrize(("unsolicited", "operation"), sample(itertools.product(UNSOLICITED, OPERATIONS), every=3))
def test_a_synchronous_call_gets_its_own_response(
    server: IdleServer, trusting: ssl.SSLContext, unsolicited: str, operation: str
) -> None:
    call, request, right = OPERATIONS[operation]
    with Client(**settings(server), ssl_context=trusting) as client:
        client.list_services()
        server.push(UNSOLICITED[unsolicited])
        check(server, request, call(client), right)


@pytest.mark.skipif(importlib.util.find_spec("uvloop") is None, reason="uvloop is not installed")
@pytest.mark.parametrize("unsolicited", UNSOLICITED)
def test_a_synchronous_call_on_uvloop_gets_its_own_response(
    server: IdleServer, trusting: ssl.SSLContext, unsolicited: str
) -> None:
    import uvloop

    call, request, right = OPERATIONS["create"]
    with Client(**settings(server), ssl_context=trusting) as client:
        client._runner._make_loop = uvloop.new_event_loop
        client.list_services()
        server.push(UNSOLICITED[unsolicited])
        check(server, request, call(client), right)


@pytest.mark.parametrize("session_of", ["the client", "the caller"])
@pytest.mark.parametrize("operation", FLEETS)
@pytest.mark.parametrize("unsolicited", ["a response", "half a head", "half a body"])
async def test_an_asynchronous_fleet_gets_its_own_responses(
    server: IdleServer, trusting: ssl.SSLContext, unsolicited: str, operation: str, session_of: str
) -> None:
    fleet, request = FLEETS[operation]
    async with client_with(session_of, server, trusting) as client:
        await client.list_services()
        server.push(UNSOLICITED[unsolicited])
        (result,) = [result async for result in fleet(client)]
    check(server, request, result.error, None)
    assert result.error is None


@pytest.mark.parametrize("operation", FLEETS)
@pytest.mark.parametrize("unsolicited", ["a response", "half a head", "half a body"])
def test_a_synchronous_fleet_gets_its_own_responses(
    server: IdleServer, trusting: ssl.SSLContext, unsolicited: str, operation: str
) -> None:
    fleet, request = FLEETS[operation]
    with Client(**settings(server), ssl_context=trusting) as client:
        client.list_services()
        server.push(UNSOLICITED[unsolicited])
        (result,) = fleet(client)
    check(server, request, result.error, None)
    assert result.error is None


@pytest.mark.parametrize("hook", ["on_connection_reuseconn", "on_request_headers_sent"])
@pytest.mark.parametrize("session_of", ["the client", "the caller"])
@pytest.mark.parametrize("operation", OPERATIONS)
async def test_data_that_arrives_while_a_hook_runs_is_not_the_response(
    server: IdleServer, trusting: ssl.SSLContext, operation: str, session_of: str, hook: str
) -> None:
    call, request, right = OPERATIONS[operation]
    calls: list[str] = []

    async def push(*_: Any) -> None:
        calls.append(hook)
        # The first call reuses no connection, but sends headers too.
        if len(calls) == (1 if hook == "on_connection_reuseconn" else 2):
            server.push(UNSOLICITED["a response"])
        for _ in range(5):
            await asyncio.sleep(0)

    trace = aiohttp.TraceConfig()
    getattr(trace, hook).append(push)
    async with client_with(session_of, server, trusting, trace) as client:
        await client.list_services()
        check(server, request, await call(client), right)


@pytest.mark.parametrize("session_of", ["the client", "the caller"])
async def test_only_idle_connections_without_unsolicited_data_are_reused(
    server: IdleServer, trusting: ssl.SSLContext, session_of: str
) -> None:
    async with client_with(session_of, server, trusting) as client:
        await asyncio.gather(client.list_services(), client.list_services())
        assert server.accepted == 2
        server.push(UNSOLICITED["a response"], of_first=1)
        for _ in range(3):
            assert await client.create_integration_token() == IntegrationToken(TOKEN_ID)
        assert server.accepted == 2


@pytest.mark.parametrize("session_of", ["the client", "the caller"])
async def test_a_connection_without_unsolicited_data_is_reused(
    server: IdleServer, trusting: ssl.SSLContext, session_of: str
) -> None:
    async with client_with(session_of, server, trusting) as client:
        for call, _, _ in OPERATIONS.values():
            await call(client)
            await call(client)
    assert server.accepted == 1
    assert len(server.requests) == 8


@pytest.mark.parametrize("unsolicited", UNSOLICITED)
async def test_with_the_pure_python_parser_of_aiohttp_a_call_gets_its_own_response(
    server: IdleServer, trusting: ssl.SSLContext, unsolicited: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aiohttp.client_proto.HttpResponseParser", HttpResponseParserPy)
    async with client_with("the client", server, trusting) as client:
        await client.list_services()
        server.push(UNSOLICITED[unsolicited])
        for _ in range(5):
            await asyncio.sleep(0)
        assert await client.list_services() == SERVICES
    assert server.accepted == 2


@pytest.mark.parametrize("system", ["with poll", "without poll"])
async def test_unsolicited_data_are_detected_with_and_without_poll(
    server: IdleServer, trusting: ssl.SSLContext, system: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if system == "without poll":
        monkeypatch.setattr(connector, "_poll", None)
    async with client_with("the client", server, trusting) as client:
        await client.list_services()
        await client.list_services()
        assert server.accepted == 1
        server.push(UNSOLICITED["a response"])
        assert await client.list_services() == SERVICES
        assert server.accepted == 2
