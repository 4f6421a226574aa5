"""A client whose event loop was closed while calls waited: the next loop's calls go at once, and nothing is left."""

import asyncio
import gc
from typing import Any

import pytest

from pagerduty_alerting import AsyncClient, Client
from pagerduty_alerting.emulator import Emulator, Operation

UNDER_WAY = 50
"""Calls under way until the first response: the next ones wait for it, without a timer."""

WAITING = 5


KINDS = ["calls", "a fleet", "calls that wait for a connection", "a fleet that waits for a connection"]


def client_for(api: Emulator, what: str) -> AsyncClient:
    connections = 2 if "connection" in what else None
    return AsyncClient(
        base_url=api.url, api_token=api.api_token, account_id=api.account_id, max_connections=connections
    )


async def start(client: AsyncClient, api: Emulator, what: str) -> list[asyncio.Task[Any]]:
    """Starts more calls than may be under way, and returns when the emulator holds those that are."""

    if what == "a fleet that waits for a connection":
        client = client.with_options(respect_rate_limits=False)

    async def run() -> None:
        accounts = [api.account_id] * (UNDER_WAY + WAITING)
        async for result in client.list_services_in(accounts, concurrency=len(accounts)):
            pytest.fail(f"{result} was not expected")

    gate = api.on(Operation.LIST).hold()
    is_fleet = what.startswith("a fleet")
    coroutines = [run()] if is_fleet else [client.list_services() for _ in range(UNDER_WAY + WAITING)]
    tasks = [asyncio.create_task(coroutine) for coroutine in coroutines]
    await gate.arrived({"calls": UNDER_WAY, "a fleet": 1}.get(what, 2))
    return tasks


async def go_on(client: AsyncClient, what: str) -> None:
    if what == "a fleet":
        results = client.list_services_in([client.account_id or ""] * 3, concurrency=1)
        assert [result.error async for result in results] == [None] * 3
    else:
        assert await client.list_services(timeout=20) == []
    assert client._core.pacer._under_way == 0
    assert not client._core.pacer._waiters


@pytest.mark.parametrize("then", ["a call", "a fleet"])
@pytest.mark.parametrize("what", KINDS)
def test_after_a_run_of_asyncio_the_next_one_waits_for_nothing(emulator: Emulator, what: str, then: str) -> None:
    client = client_for(emulator, what)

    async def leave() -> None:
        await start(client, emulator, what)

    asyncio.run(leave())  # cancels what is left
    emulator.release()
    asyncio.run(go_on(client, then))


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # sockets that were left open
@pytest.mark.filterwarnings("ignore:coroutine .* was never awaited:RuntimeWarning")  # tasks that had not begun
@pytest.mark.parametrize("then", ["a call", "a fleet"])
@pytest.mark.parametrize("what", KINDS)
def test_after_a_loop_that_was_closed_with_calls_pending_the_next_one_waits_for_nothing(
    emulator: Emulator, noticed: list[str], what: str, then: str
) -> None:
    """asyncio and aiohttp report what the program has left open; no finalizer of the client adds an error to that."""
    client = client_for(emulator, what)
    loop = asyncio.new_event_loop()
    tasks = loop.run_until_complete(start(client, emulator, what))
    loop.close()
    emulator.release()

    asyncio.run(go_on(client, then))

    del tasks
    gc.collect()
    # Any coroutine may be finalized first; where that is one that waits in aiohttp, aiohttp fails on the closed loop.
    errors = [report for report in noticed if "RuntimeError" in report and "/aiohttp/" not in report]
    assert [report for report in errors if "pagerduty_alerting/_" in report] == []
    noticed.clear()


def test_after_a_synchronous_fleet_that_was_left_early_the_next_call_waits_for_nothing(emulator: Emulator) -> None:
    gate = emulator.on(Operation.LIST).hold()
    accounts = [emulator.account_id] * (UNDER_WAY + WAITING)
    with Client(base_url=emulator.url, api_token=emulator.api_token, account_id=emulator.account_id) as client:
        gate.release(1)
        results = client.list_services_in(accounts, concurrency=len(accounts))
        assert next(results).error is None
        results.close()
        gate.release()
        assert client.list_services(timeout=20) == []
        pacer = client._async._core.pacer
        assert (pacer._under_way, len(pacer._waiters)) == (0, 0)
