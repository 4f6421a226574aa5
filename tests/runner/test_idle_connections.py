"""After a server closed an idle connection, the next call uses a new one and is sent exactly once."""

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
            for _ in range(3):  # as if other tasks ran meanwhile
                await asyncio.sleep(0)
            await client.create_integration_token()
        assert server.requests == [("GET", "pagerduty"), ("POST", "connect")]
        assert server.accepted == 2


@pytest.mark.parametrize("operation", ["create", "connect"])
@pytest.mark.parametrize("way", TLS)
async def test_create_and_connect_take_no_closed_connection_even_if_the_loop_did_not_run(
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


async def test_create_reuses_an_open_connection(server_tls: ssl.SSLContext, client_tls: ssl.SSLContext) -> None:
    with idle_server(server_tls) as server:
        async with AsyncClient(**options(server), ssl_context=client_tls) as client:
            for _ in range(3):
                await client.create_integration_token()
        assert server.accepted == 1


def test_a_follower_admitted_before_the_leader_drives_takes_no_closed_connection(
    server_tls: ssl.SSLContext, client_tls: ssl.SSLContext
) -> None:
    with idle_server(server_tls) as server, Client(**options(server), ssl_context=client_tls) as client:
        client.list_services()
        server.close_idle("goodbye and fin")
        enter_together(client._runner, client)
        assert sorted(server.requests) == [("GET", "pagerduty"), ("POST", "connect"), ("POST", "connect")]


def enter_together(runner: LoopRunner, client: Client) -> None:
    """Makes two calls, of which the second is admitted before the first drives the loop."""
    admitted = threading.Event()
    leader = threading.get_ident()
    enter = runner._admit
    followers: list[InThread[object]] = []

    def enter_and_wait(call: Any) -> None:
        enter(call)
        if threading.get_ident() == leader:
            followers.append(InThread(client.create_integration_token))
            assert admitted.wait(30)
        else:
            admitted.set()

    runner._admit = enter_and_wait  # type: ignore[method-assign]
    client.create_integration_token()
    followers[0].result()


class TestOnUvloop:
    """The same on uvloop, which has another order of callbacks."""

    @pytest.mark.skipif(importlib.util.find_spec("uvloop") is None, reason="uvloop is not installed")
    @pytest.mark.parametrize("way", TLS)
    def test_a_call_after_the_server_closed_is_sent_once(
        self, way: str, server_tls: ssl.SSLContext, client_tls: ssl.SSLContext
    ) -> None:
        import uvloop

        with idle_server(server_tls) as server, Client(**options(server), ssl_context=client_tls) as client:
            client._runner._make_loop = uvloop.new_event_loop
            check(client, server, way, "create")
