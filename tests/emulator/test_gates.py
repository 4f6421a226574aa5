"""Gates, which hold and release requests, in asynchronous and in synchronous code."""

import asyncio
import http.client
import threading

import aiohttp
import pytest

from pagerduty_alerting.emulator import Emulator, Operation

LIST, CREATE = Operation.LIST, Operation.CREATE


async def test_a_gate_holds_requests_until_it_is_opened(api, call):
    gate = api.on(LIST).hold()
    calls = [asyncio.create_task(call(LIST)) for _ in range(3)]
    await gate.arrived(3)
    assert (gate.held, gate.arrivals) == (3, 3)
    assert not any(task.done() for task in calls)
    gate.release()
    assert [reply.status for reply in await asyncio.gather(*calls)] == [200, 200, 200]
    assert (await call(LIST)).status == 200


async def test_a_gate_releases_requests_in_the_order_of_arrival(api, call):
    gate = api.on(LIST).hold()
    first = asyncio.create_task(call(LIST))
    await gate.arrived(1)
    second = asyncio.create_task(call(LIST))
    await gate.arrived(2)
    gate.release(1)
    assert (await first).status == 200
    assert not second.done()
    gate.release(1)
    assert (await second).status == 200


async def test_a_request_that_is_released_before_it_arrives_is_not_held(api, call):
    gate = api.on(LIST).hold()
    gate.release(1)
    assert (await call(LIST)).status == 200
    held = asyncio.create_task(call(LIST))
    await gate.arrived(2)
    assert gate.held == 1
    gate.release()
    await held


async def test_releases_before_arrivals_add_up(api, call):
    gate = api.on(LIST).hold()
    gate.release(1)
    gate.release(1)
    assert [(await call(LIST)).status for _ in range(2)] == [200, 200]
    held = asyncio.create_task(call(LIST))
    await gate.arrived(3)
    assert gate.held == 1
    gate.release(2)  # the held request and the next
    assert [(await held).status, (await call(LIST)).status] == [200, 200]
    held = asyncio.create_task(call(LIST))
    await gate.arrived(5)
    assert gate.held == 1
    gate.release()
    await held


async def test_requests_that_have_arrived_already_are_not_waited_for(api, call):
    gate = api.on(LIST).hold()
    gate.release()
    await call(LIST)
    await gate.arrived(1, timeout=0)
    with pytest.raises(TimeoutError):
        await gate.arrived(2, timeout=0)


async def test_a_held_request_is_logged_as_such(api, call):
    api.on(LIST).hold().release()
    await call(LIST)
    assert api.requests[-1].fault == "hold"


async def test_a_request_is_held_before_it_is_carried_out(api, call):
    with api.on(CREATE).hold() as gate:
        creating = asyncio.create_task(call(CREATE))
        await gate.arrived()
        assert api.tokens() == []
    assert (await creating).status == 201


async def test_after_acting_a_gate_holds_the_response(api, call):
    with api.on(CREATE).after_acting().hold() as gate:
        creating = asyncio.create_task(call(CREATE))
        await gate.arrived()
        assert len(api.tokens()) == 1
    assert (await creating).status == 201


async def test_a_held_request_is_carried_out_although_its_client_disconnected(api, call):
    before, after = api.on(CREATE).hold(), api.on(CREATE).after_acting().hold()
    creating = asyncio.create_task(call(CREATE))
    await before.arrived()
    creating.cancel()
    before.release()
    await after.arrived()
    assert len(api.tokens()) == 1


async def test_a_gate_without_arrivals_times_out_with_a_count(api):
    gate = api.on(LIST).hold()
    with pytest.raises(TimeoutError, match=r"0 of 1 requests reached the gate within 0\.01 seconds"):
        await gate.arrived(1, timeout=0.01)


async def test_waiting_synchronously_on_the_emulators_own_loop_is_refused(api):
    with pytest.raises(RuntimeError, match=r"^this thread runs the emulator: use `await gate\.arrived"):
        api.on(LIST).hold().wait_arrived()


async def test_reset_ends_held_requests_and_removes_the_gate(api, call):
    gate = api.on(CREATE).hold()
    held = asyncio.create_task(call(CREATE))
    await gate.arrived()
    api.reset()
    with pytest.raises(aiohttp.ServerDisconnectedError):
        await held
    assert api.tokens() == []
    assert (await call(CREATE)).status == 201


def ask(api, statuses):
    connection = http.client.HTTPConnection(api.origin.removeprefix("http://"), timeout=20)
    path = f"/client/v4/accounts/{api.account_id}/alerting/v3/destinations/pagerduty"
    connection.request("GET", path, headers={"Authorization": f"Bearer {api.api_token}"})
    statuses.append(connection.getresponse().status)
    connection.close()


def test_gates_work_from_synchronous_code():
    with Emulator() as api:
        gate = api.on(LIST).hold()
        statuses = []
        threads = [threading.Thread(target=ask, args=(api, statuses)) for _ in range(2)]
        for thread in threads:
            thread.start()
        gate.wait_arrived(2)
        assert statuses == []
        api.release()
        for thread in threads:
            thread.join()
        assert statuses == [200, 200]
        with pytest.raises(TimeoutError, match="2 of 3"):
            gate.wait_arrived(3, timeout=0.01)


async def test_a_gate_of_a_threaded_emulator_is_awaitable(caller_of):
    with Emulator() as api:
        gate = api.on(LIST).hold()
        calls = [asyncio.create_task(caller_of(api)(LIST)) for _ in range(2)]
        await gate.arrived(2)
        gate.release()
        assert [reply.status for reply in await asyncio.gather(*calls)] == [200, 200]
