"""Limits of connections, idle connections, and the detection of a dead network path."""

import asyncio
import ctypes
import os
import socket
from typing import Any

import aiohttp
import pytest

from pagerduty_alerting import APITimeoutError, AsyncClient, ConfigurationError
from tests.support.operations import ACCOUNT_ID
from tests.support.raw_calls import client_of, settings
from tests.support.raw_server import LISTED, Conversation, answering, http, raw_server
from tests.support.scripts import script

pytestmark = pytest.mark.virtual_time

ACCOUNTS = [f"{number:032x}" for number in range(120)]


async def slow(peer: Conversation) -> None:
    """Takes 1.2 s for each response."""
    while True:
        await peer.request()
        await asyncio.sleep(1.2)
        peer.send(http(200, LISTED))


async def outcomes(client: AsyncClient, calls: int) -> list[Any]:
    return await asyncio.gather(*(client.list_services(timeout=2) for _ in range(calls)), return_exceptions=True)


def phases(found: list[Any]) -> list[str]:
    return [found.phase if isinstance(found, APITimeoutError) else "succeeded" for found in found]


async def test_a_timeout_while_waiting_for_a_free_connection_names_that_phase_and_nothing_was_sent() -> None:
    async with client_of(slow, max_connections=2) as (client, server):
        found = await outcomes(client, 6)

    assert phases(found) == ["succeeded"] * 2 + ["waiting for the response"] * 2 + ["waiting for a free connection"] * 2
    assert [error.may_have_acted for error in found[2:]] == [True, True, False, False]
    assert "while waiting for a free connection" in str(found[-1])
    assert len(server.requests) == 4


async def test_calls_wait_for_the_connection_limit_of_the_callers_session_too() -> None:
    for limits in ({"limit": 1}, {"limit": 7, "limit_per_host": 1}):
        async with (
            raw_server(slow) as server,
            aiohttp.ClientSession(connector=aiohttp.TCPConnector(**limits)) as session,
        ):
            found = await outcomes(AsyncClient(**settings(server.url, session=session)), 3)
        assert phases(found) == ["succeeded", "waiting for the response", "waiting for a free connection"]


async def test_calls_cancelled_while_waiting_for_a_connection_leave_it_to_others() -> None:
    async with client_of(slow, max_connections=1) as (client, _):
        first, second, third = (asyncio.create_task(client.list_services()) for _ in range(3))
        await asyncio.sleep(0.5)
        second.cancel()
        await asyncio.wait([first])
        third.cancel()  # at the moment at which it gets the connection
        await asyncio.wait([second, third])
        assert len(await client.list_services()) == 1


async def test_by_default_a_fleet_opens_as_many_connections_as_it_makes_calls_at_once() -> None:
    started = 0
    all_started = asyncio.Event()

    async def respond_together(peer: Conversation) -> None:
        nonlocal started
        await peer.request()
        started += 1
        if started == len(ACCOUNTS):
            all_started.set()
        await all_started.wait()
        peer.send(http(200, LISTED))

    async with client_of(respond_together, respect_rate_limits=False) as (client, _):
        fleet = client.list_services_in(ACCOUNTS, concurrency=len(ACCOUNTS))
        assert [result.error async for result in fleet] == [None] * len(ACCOUNTS)


async def test_by_default_single_calls_share_a_hundred_connections() -> None:
    async with client_of(slow, respect_rate_limits=False) as (client, server):
        calls = [asyncio.create_task(client.list_services()) for _ in range(101)]
        await asyncio.sleep(0.6)
        assert len(server.requests) == 100
        await asyncio.gather(*calls)


@pytest.mark.parametrize("value", [0, -1, True, "10", 1.5])
def test_an_invalid_max_connections_is_refused(value: Any) -> None:
    with pytest.raises((TypeError, ValueError), match="max_connections must be"):
        AsyncClient(**settings("https://api.example/v4", max_connections=value))


async def test_max_connections_cannot_be_combined_with_a_session() -> None:
    async with aiohttp.ClientSession() as session:
        with pytest.raises(ConfigurationError, match="max_connections belong to the session"):
            AsyncClient(**settings("https://api.example/v4", session=session, max_connections=1))


# Sockets.


async def test_a_system_without_the_socket_options_can_connect(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pagerduty_alerting._http.transport._SOCKET_OPTIONS", [(socket.IPPROTO_TCP, 9999, 1)])
    async with client_of(answering(http(200, LISTED))) as (client, _):
        assert len(await client.list_services()) == 1


async def test_a_response_is_received_in_blocks_of_64_kib(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    class Recording(socket.socket):
        def recv(self, size: int, flags: int = 0, /) -> bytes:
            asked.append(size)
            return super().recv(size, flags)

    monkeypatch.setattr(socket, "socket", Recording)
    async with client_of(answering(http(200, LISTED))) as (client, _):
        await client.list_services()

    assert 64 * 1024 in asked  # and asyncio's own number in the server


# A fork that runs none of Python's hooks, like that of uWSGI.

FORK_WITHOUT_HOOKS = """
    import asyncio, ctypes, os
    from pagerduty_alerting import AsyncClient

    fork = ctypes.PyDLL(None).fork  # keeps the interpreter's lock, and calls no hook
    client = AsyncClient()
    loop = asyncio.new_event_loop()
    loop.run_until_complete(client.list_services())
    pid = fork()
    if pid == 0:
        status = 1
        try:
            asyncio.set_event_loop(None)
            child_loop = asyncio.new_event_loop()
            child_loop.run_until_complete(client.list_services())
            status = 0
        finally:
            os._exit(status)
    say(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
    loop.run_until_complete(client.list_services())
    loop.run_until_complete(client.aclose())
    loop.close()
"""


@pytest.mark.skipif(not hasattr(os, "fork") or not hasattr(ctypes.PyDLL(None), "fork"), reason="there is no fork")
async def test_a_child_forked_without_hooks_opens_its_own_connections() -> None:
    made = 0

    async def answer(peer: Conversation) -> None:
        nonlocal made
        made += 1
        await answering(http(200, LISTED))(peer)

    async with raw_server(answer) as server:
        environ = {
            "CLOUDFLARE_BASE_URL": server.url,
            "CLOUDFLARE_API_TOKEN": "test",
            "CLOUDFLARE_ACCOUNT_ID": ACCOUNT_ID,
        }

        def run() -> Any:
            with script(FORK_WITHOUT_HOOKS, environ) as running:
                return running.end()

        end = await asyncio.to_thread(run)
        assert end == (0, "0\n", "")
        assert made == 2
