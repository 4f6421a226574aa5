"""Calls are driven by the threads that make them: alone, at the same time, and passed from one thread to the next."""

import asyncio
import threading
from collections.abc import Callable

import pytest

from pagerduty_alerting import APITimeoutError, Client
from pagerduty_alerting._loop.runner import LoopRunner
from pagerduty_alerting.emulator import Emulator, Operation
from tests.support.idle_server import ACCOUNT_ID, idle_server
from tests.support.threads import PATIENCE, AtGate, InThread

THREADS = 8


async def thread_after(gate: AtGate) -> int:
    """Returns the thread that the coroutine runs in once the gate is open."""
    await gate.passed()
    return threading.get_ident()


async def fails_after(gate: AtGate, error: BaseException) -> None:
    await gate.passed()
    raise error


def test_a_coroutine_runs_in_the_thread_that_calls(runner: LoopRunner) -> None:
    async def current() -> int:
        return threading.get_ident()

    assert runner.run(current()) == threading.get_ident()


def test_there_is_no_other_thread_before_during_or_after_a_call(runner: LoopRunner) -> None:
    before = threading.enumerate()

    async def present() -> list[threading.Thread]:
        await asyncio.sleep(0)
        return threading.enumerate()

    assert (runner.run(present()), threading.enumerate()) == (before, before)


def test_a_call_over_a_socket_starts_no_thread(
    emulator: Emulator, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(thread: threading.Thread) -> None:
        raise AssertionError(f"{thread.name} was started")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    assert client.list_services() == []


def test_a_name_lookup_leaves_no_thread() -> None:
    with idle_server(host="localhost") as server:
        before = threading.enumerate()
        with Client(base_url=server.url, api_token="test", account_id=ACCOUNT_ID) as client:
            client.list_services()
            for thread in set(threading.enumerate()) - set(before):
                thread.join(PATIENCE)  # it may still be ending
            assert threading.enumerate() == before


def test_eight_threads_have_their_requests_under_way_at_the_same_time(emulator: Emulator, client: Client) -> None:
    gate = emulator.on(Operation.LIST).hold()
    callers = [InThread(client.list_services) for _ in range(THREADS)]
    gate.wait_arrived(THREADS)
    gate.release()
    assert [caller.result() for caller in callers] == [[]] * THREADS


def test_a_leader_returns_after_its_call_while_a_follower_still_waits(runner: LoopRunner) -> None:
    first, second = AtGate(), AtGate()
    leader = InThread(lambda: runner.run(thread_after(first)))
    first.wait_reached()
    follower = InThread(lambda: runner.run(thread_after(second)))
    second.wait_reached()
    first.open()
    assert leader.result() == leader.ident
    assert follower.is_running
    second.open()
    follower.result()


def test_a_follower_drives_the_loop_after_the_leader_has_returned(runner: LoopRunner) -> None:
    first, second = AtGate(), AtGate()
    leader = InThread(lambda: runner.run(thread_after(first)))
    first.wait_reached()
    follower = InThread(lambda: runner.run(thread_after(second)))
    second.wait_reached()
    first.open()
    leader.result()
    second.open()
    assert follower.result() == follower.ident


def test_leadership_passes_on_until_the_last_call_ends(runner: LoopRunner) -> None:
    gates = [AtGate() for _ in range(THREADS)]
    callers = []
    for gate in gates:
        callers.append(InThread(lambda gate=gate: runner.run(thread_after(gate))))
        gate.wait_reached()
    drivers = []
    for caller, gate in zip(callers, gates, strict=True):
        gate.open()
        drivers.append(caller.result())
    assert set(drivers) <= {caller.ident for caller in callers}


def test_a_follower_whose_response_comes_first_returns_before_the_leader(runner: LoopRunner) -> None:
    first, second = AtGate(), AtGate()
    leader = InThread(lambda: runner.run(thread_after(first)))
    first.wait_reached()
    follower = InThread(lambda: runner.run(thread_after(second)))
    second.open()
    assert follower.result() == leader.ident  # the leader drove the loop
    assert leader.is_running
    first.open()
    leader.result()


def test_a_caller_that_enters_after_the_first_handover_is_served_too(runner: LoopRunner) -> None:
    gates = [AtGate() for _ in range(3)]
    first = InThread(lambda: runner.run(thread_after(gates[0])))
    gates[0].wait_reached()
    second = InThread(lambda: runner.run(thread_after(gates[1])))
    gates[1].wait_reached()
    gates[0].open()
    first.result()
    third = InThread(lambda: runner.run(thread_after(gates[2])))
    gates[2].open()
    # The second was woken to drive the loop; the third may have entered before that.
    assert third.result() in {second.ident, third.ident}
    gates[1].open()
    second.result()


@pytest.mark.parametrize("error", [ValueError("no"), SystemExit(3), KeyboardInterrupt()], ids=type)
def test_a_leader_that_fails_does_not_disturb_a_follower(runner: LoopRunner, error: BaseException) -> None:
    first, second = AtGate(), AtGate()
    leader = InThread(lambda: runner.run(fails_after(first, error)))
    first.wait_reached()
    follower = InThread(lambda: runner.run(thread_after(second)))
    second.wait_reached()
    first.open()
    with pytest.raises(type(error)):
        leader.result()
    second.open()
    assert follower.result() == follower.ident


@pytest.mark.parametrize("error", [ValueError("no"), SystemExit(3), KeyboardInterrupt()], ids=type)
def test_a_follower_that_fails_does_not_disturb_the_leader(runner: LoopRunner, error: BaseException) -> None:
    first, second = AtGate(), AtGate()
    leader = InThread(lambda: runner.run(thread_after(first)))
    first.wait_reached()
    follower = InThread(lambda: runner.run(fails_after(second, error)))
    second.open()
    with pytest.raises(type(error)):
        follower.result()
    first.open()
    assert leader.result() == leader.ident


def test_a_leader_that_times_out_does_not_disturb_a_follower(emulator: Emulator, client: Client) -> None:
    gate = emulator.on(Operation.LIST).hold()
    leader = InThread(lambda: client.list_services(timeout=3))  # long enough to reach the gate on a busy machine
    gate.wait_arrived(1)
    follower = InThread(client.list_services)
    gate.wait_arrived(2)
    with pytest.raises(APITimeoutError):
        leader.result()
    gate.release()
    assert follower.result() == []


def test_a_follower_that_times_out_does_not_disturb_the_leader(emulator: Emulator, client: Client) -> None:
    gate = emulator.on(Operation.LIST).hold()
    leader = InThread(client.list_services)
    gate.wait_arrived(1)
    follower = InThread(lambda: client.list_services(timeout=0.2))
    with pytest.raises(APITimeoutError):
        follower.result()
    gate.release()
    assert leader.result() == []


def test_threads_share_the_connections(emulator: Emulator) -> None:
    with idle_server() as server, Client(base_url=server.url, api_token="test", account_id=ACCOUNT_ID) as client:
        for _ in range(3):
            InThread(client.list_services).result()
        assert server.accepted == 1


def test_clients_made_with_options_share_the_loop_of_the_first(client: Client) -> None:
    client.list_services()
    assert client.with_options(timeout=5)._runner is client._runner


def test_a_loop_that_cannot_be_created_is_an_error_of_the_package(leaks: Callable[[], dict[str, int]]) -> None:
    def refuse() -> asyncio.AbstractEventLoop:
        raise OSError(24, "Too many open files")

    async def nothing() -> None:
        """Is never run."""

    with pytest.raises(Exception, match="no event loop can be made: Too many open files"):
        LoopRunner(nothing, loop_factory=refuse).run(nothing())
    assert leaks() == {}
