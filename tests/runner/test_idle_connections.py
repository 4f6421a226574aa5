"""A server closes connections that idle between calls: the next call takes a new one and is sent exactly once."""

import asyncio
import importlib.util
import ssl
import threading
from typing import Any

import pytest

from pagerduty_alerting import AsyncClient, Client
from pagerduty_alerting._loop.runner import LoopRunner
from tests.support.idle_server import ACCOUNT_ID, TOKEN_ID, IdleServer, idle_server
from tests.support.threads import InThread

PLAIN = ["fin", "reset"]
TLS = ["fin", "reset", "goodbye", "goodbye and fin"]

OPERATIONS = {
    "list": (lambda client: client.list_services(), ("GET", "pagerduty")),
    "delete": (lambda client: client.delete_services(), ("DELETE", "pagerduty")),
    "create": (lambda client: client.create_integration_token(), ("POST", "connect")),
    "connect": (lambda client: client.connect(TOKEN_ID), ("GET", TOKEN_ID)),
}


def check(client: Client, server: IdleServer, way: str, operation: str) -> None:
    call, request = OPERATIONS[operation]
    client.list_services()
    server.close_idle(way)
    call(client)
    assert server.requests == [("GET", "pagerduty"), request]
    assert server.accepted == 2


def options(server: IdleServer) -> dict[str, str]:
    return {"base_url": server.url, "api_token": "test", "account_id": ACCOUNT_ID}


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("way", PLAIN)
def test_a_call_after_the_server_closed_is_sent_once_on_a_new_connection(way: str, operation: str) -> None:
    with idle_server() as server, Client(**options(server)) as client:
        check(client, server, way, operation)


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("way", TLS)
def test_a_call_after_the_server_closed_a_tls_connection_is_sent_once_on_a_new_one(
    way: str, operation: str, server_tls: ssl.SSLContext, client_tls: ssl.SSLContext
) -> None:
    with idle_server(server_tls) as server, Client(**options(server), ssl_context=client_tls) as client:
        check(client, server, way, operation)


async def test_an_asynchronous_call_after_idle_turns_of_the_loop_is_sent_once_on_a_new_connection(
    server_tls: ssl.SSLContext, client_tls: ssl.SSLContext
) -> None:
    with idle_server(server_tls) as server:
        async with AsyncClient(**options(server), ssl_context=client_tls) as client:
            await client.list_services()
            server.close_idle("goodbye and fin")
            for _ in range(3):  # whatever else the program does meanwhile
                await asyncio.sleep(0)
            await client.create_integration_token()
        assert server.requests == [("GET", "pagerduty"), ("POST", "connect")]
        assert server.accepted == 2


@pytest.mark.parametrize("operation", ["create", "connect"])
@pytest.mark.parametrize("way", TLS)
async def test_what_must_be_sent_once_takes_no_dead_connection_even_where_the_loop_did_not_turn(
    way: str, operation: str, server_tls: ssl.SSLContext, client_tls: ssl.SSLContext
) -> None:
    call, request = OPERATIONS[operation]
    with idle_server(server_tls) as server:
        async with AsyncClient(**options(server), ssl_context=client_tls) as client:
            await client.list_services()
            server.close_idle(way)
            await call(client)
        assert server.requests == [("GET", "pagerduty"), request]
        assert server.accepted == 2


async def test_what_must_be_sent_once_uses_a_connection_that_is_alive(
    server_tls: ssl.SSLContext, client_tls: ssl.SSLContext
) -> None:
    with idle_server(server_tls) as server:
        async with AsyncClient(**options(server), ssl_context=client_tls) as client:
            for _ in range(3):
                await client.create_integration_token()
        assert server.accepted == 1


def test_a_follower_that_comes_before_the_leaders_first_turn_takes_no_dead_connection(
    server_tls: ssl.SSLContext, client_tls: ssl.SSLContext
) -> None:
    with idle_server(server_tls) as server, Client(**options(server), ssl_context=client_tls) as client:
        client.list_services()
        server.close_idle("goodbye and fin")
        enter_together(client._runner, client)
        assert sorted(server.requests) == [("GET", "pagerduty"), ("POST", "connect"), ("POST", "connect")]


def enter_together(runner: LoopRunner, client: Client) -> None:
    """Makes two calls, of which the second is let in before the first drives the loop."""
    let_in = threading.Event()
    leader = threading.get_ident()
    enter = runner._admit
    followers: list[InThread[object]] = []

    def enter_and_wait(call: Any) -> None:
        enter(call)
        if threading.get_ident() == leader:
            followers.append(InThread(client.create_integration_token))
            assert let_in.wait(30)
        else:
            let_in.set()

    runner._admit = enter_and_wait  # type: ignore[method-assign]
    client.create_integration_token()
    followers[0].result()


class TestOnUvloop:
    """The same on uvloop, whose turns are others."""

    @pytest.mark.skipif(importlib.util.find_spec("uvloop") is None, reason="uvloop is not installed")
    @pytest.mark.parametrize("way", TLS)
    def test_a_call_after_the_server_closed_is_sent_once(
        self, way: str, server_tls: ssl.SSLContext, client_tls: ssl.SSLContext
    ) -> None:
        import uvloop

        with idle_server(server_tls) as server, Client(**options(server), ssl_context=client_tls) as client:
            client._runner._make_loop = uvloop.new_event_loop
            check(client, server, way, "create")
