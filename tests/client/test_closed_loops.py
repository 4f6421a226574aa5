"""After an event loop was closed while calls waited, calls on the next loop do not wait, and nothing is left open."""

import asyncio
import gc
from typing import Any

import pytest

from pagerduty_alerting import AsyncClient, Client
from pagerduty_alerting.emulator import Emulator, Operation

UNDER_WAY = 50  # calls at most before the first response; further calls wait for that, without a timer
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


async def call_again(client: AsyncClient, what: str) -> None:
    if what == "a fleet":
        results = client.list_services_in([client.account_id or ""] * 3, concurrency=1)
        assert [result.error async for result in results] == [None] * 3
    else:
        assert await client.list_services(timeout=20) == []
    assert client._core.pacer._under_way == 0
    assert not client._core.pacer._waiters


@pytest.mark.parametrize("then", ["a call", "a fleet"])
@pytest.mark.parametrize("what", KINDS)
def test_calls_cancelled_at_the_end_of_a_loop_do_not_delay_the_next_loop(
    emulator: Emulator, what: str, then: str
) -> None:
    client = client_for(emulator, what)

    async def leave() -> None:
        await start(client, emulator, what)

    asyncio.run(leave())  # cancels what is left
    emulator.release()
    asyncio.run(call_again(client, then))


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # sockets that were left open
@pytest.mark.filterwarnings("ignore:coroutine .* was never awaited:RuntimeWarning")  # tasks that had not begun
@pytest.mark.parametrize("then", ["a call", "a fleet"])
@pytest.mark.parametrize("what", KINDS)
def test_pending_calls_of_a_closed_loop_do_not_delay_the_next_loop(
    emulator: Emulator, noticed: list[str], what: str, then: str
) -> None:
    """asyncio and aiohttp report what the program left open; the client's finalizers add no error."""
    client = client_for(emulator, what)
    loop = asyncio.new_event_loop()
    tasks = loop.run_until_complete(start(client, emulator, what))
    loop.close()
    emulator.release()

    asyncio.run(call_again(client, then))

    del tasks
    gc.collect()
    # Coroutines are finalized in any order; if one waits in aiohttp, aiohttp fails on the closed loop.
    errors = [report for report in noticed if "RuntimeError" in report and "/aiohttp/" not in report]
    assert [report for report in errors if "pagerduty_alerting/_" in report] == []
    noticed.clear()


def test_a_synchronous_fleet_left_early_does_not_delay_the_next_call(emulator: Emulator) -> None:
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
