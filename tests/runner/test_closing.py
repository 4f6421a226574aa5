"""Closing the synchronous client: during calls, from several threads, by the garbage collector and at exit."""

import asyncio
import gc
import threading

import pytest

from pagerduty_alerting import Client, ClientClosedError
from pagerduty_alerting._loop.runner import LoopRunner
from pagerduty_alerting.emulator import Emulator, Operation
from tests.support.scripts import script
from tests.support.threads import AtGate, InThread


def options(emulator: Emulator) -> dict[str, str]:
    return {"base_url": emulator.url, "api_token": emulator.api_token, "account_id": emulator.account_id}


@pytest.mark.parametrize("callers", [1, 8])
def test_closing_from_another_thread_ends_the_calls_under_way(emulator: Emulator, client: Client, callers: int) -> None:
    gate = emulator.on(Operation.LIST).hold()
    calls = [InThread(client.list_services) for _ in range(callers)]
    gate.wait_arrived(callers)
    client.close()
    for call in calls:
        with pytest.raises(ClientClosedError):
            call.result()


def test_closing_ends_a_back_off(emulator: Emulator, client: Client) -> None:
    backing_off = threading.Event()
    emulator.on(Operation.LIST).respond(503, headers={"Retry-After": "25"})
    emulator.listen(lambda _: backing_off.set())
    call = InThread(client.list_services)
    assert backing_off.wait(30)
    client.close()
    with pytest.raises(ClientClosedError):
        call.result()


def test_eight_threads_may_close_at_once(client: Client) -> None:
    client.list_services()
    barrier = threading.Barrier(8)
    for closing in [InThread(lambda: (barrier.wait(), client.close())) for _ in range(8)]:
        closing.result()


async def test_closing_inside_a_coroutine_works(client: Client) -> None:
    client.list_services()
    client.close()
    with pytest.raises(ClientClosedError):
        client.list_services()


def test_an_error_in_closing_is_raised_and_the_loop_is_still_closed() -> None:
    async def fail() -> None:
        raise ValueError("no")

    runner = LoopRunner(fail)
    runner.run(asyncio.sleep(0))
    loop = runner._loop
    assert loop is not None
    with pytest.raises(ValueError, match="no"):
        runner.close()
    assert loop.is_closed()


def test_a_call_that_ends_while_another_thread_starts_closing_leaves_the_closing_to_that_thread() -> None:
    # The closing thread is held between its decision to close and its entry; the last call leaves meanwhile.
    closed_on: list[asyncio.AbstractEventLoop] = []
    gate, entering, go_on = AtGate(), threading.Event(), threading.Event()

    async def aclose() -> None:
        closed_on.append(asyncio.get_running_loop())

    class DelayedClosing(LoopRunner):
        def _admit(self, call: object) -> None:
            if getattr(call, "closes", False):
                entering.set()
                assert go_on.wait(30)
            super()._admit(call)  # type: ignore[arg-type]

    runner = DelayedClosing(aclose)
    call = InThread(lambda: runner.run(gate.passed()))
    gate.wait_reached()
    loop = runner._loop
    closing = InThread(runner.close)
    assert entering.wait(30)
    gate.open()
    call.result()
    go_on.set()
    closing.result()
    assert closed_on == [loop]


def test_a_call_admitted_just_before_closing_is_not_started(runner: LoopRunner) -> None:
    started = []
    gate, hold_loop, loop_is_held = AtGate(), threading.Event(), threading.Event()

    async def start() -> None:
        started.append(True)

    async def hold() -> None:
        await gate.passed()
        loop_is_held.set()
        assert hold_loop.wait(30)  # so that nothing starts before both are admitted

    entered = threading.Semaphore(0)
    enter = runner._admit
    runner._admit = lambda call: (enter(call), entered.release())[0]  # type: ignore[method-assign]
    leader = InThread(lambda: runner.run(hold()))
    gate.open()
    assert loop_is_held.wait(30)
    assert entered.acquire(timeout=30)
    late = InThread(lambda: runner.run(start()))
    assert entered.acquire(timeout=30)
    closing = InThread(runner.close)
    assert entered.acquire(timeout=30)
    hold_loop.set()
    leader.result()
    closing.result()
    with pytest.raises(ClientClosedError):
        late.result()
    assert started == []


def test_a_client_that_is_dropped_closes_its_connections(emulator: Emulator) -> None:
    client = Client(**options(emulator))
    client.list_services()
    loop = client._runner._loop
    assert loop is not None
    del client
    gc.collect()
    assert loop.is_closed()


@pytest.mark.parametrize("options", [(), ("-Xdev", "-Werror")], ids=["plain", "strict"])
@pytest.mark.parametrize(
    "lines",
    [
        "client.list_services()",
        "import asyncio\n    async def main(): client.list_services()\n    asyncio.run(main())",
        "import threading\n    t = threading.Thread(target=client.list_services)\n    t.start()\n    t.join()",
        "import threading\n    threading.Thread(target=client.list_services).start()",
        "client.list_services(); del client",
        "client.list_services(); cycle = [client]; cycle.append(cycle); del client, cycle",
        "pass",
    ],
    ids=["plain", "coroutine", "thread", "thread at the end", "dropped", "in a cycle", "unused"],
)
def test_a_program_that_never_closes_its_client_ends_without_a_message(
    emulator: Emulator, lines: str, options: tuple[str, ...]
) -> None:
    program = f"""
    from pagerduty_alerting import Client
    client = Client()
    {lines}
    """
    # Forked, most of the plain ones end without the teardown of modules, which the strict ones all have.
    with script(program, emulator.environ, *options, is_fresh=lines == "client.list_services()") as running:
        assert running.end() == (0, "", "")


def test_a_program_that_ends_during_a_call_of_a_daemon_thread_ends_without_a_message(emulator: Emulator) -> None:
    gate = emulator.on(Operation.LIST).hold()
    program = """
    import threading
    from pagerduty_alerting import Client
    client = Client()
    threading.Thread(target=client.list_services, daemon=True).start()
    sys.stdin.readline()
    """
    with script(program, emulator.environ, is_fresh=True) as running:
        gate.wait_arrived(1)
        running.write_line()
        assert running.end() == (0, "", "")


@pytest.mark.parametrize("method", ["list_services", "close"])
def test_a_finalizer_at_exit_does_not_wait_for_a_daemon_thread_in_a_call(emulator: Emulator, method: str) -> None:
    """The daemon thread is frozen, so a call would wait for it without end, and so would `close`."""
    gate = emulator.on(Operation.LIST).hold()
    program = f"""
    import os, threading
    from pagerduty_alerting import Client, ClientClosedError
    client = Client()
    threading.Thread(target=client.list_services, daemon=True).start()
    class Late:
        def __del__(self, write=os.write, method=client.{method}, error=ClientClosedError):
            try:
                method()
            except error as raised:
                write(1, str(raised).encode())
    late = [Late()]
    late.append(late)
    sys.stdin.readline()
    """
    with script(program, emulator.environ, is_fresh=True) as running:
        gate.wait_arrived(1)
        running.write_line()
        printed = "the interpreter is shutting down" if method == "list_services" else ""
        assert running.end() == (0, printed, "")


@pytest.mark.parametrize("operation", ["list_services", "create_integration_token"])
def test_closing_from_another_thread_reports_whether_the_request_may_have_been_carried_out(
    emulator: Emulator, client: Client, operation: str
) -> None:
    gate = emulator.on().hold()
    calling = InThread(getattr(client, operation))
    gate.wait_arrived(1)
    client.close()
    with pytest.raises(ClientClosedError) as caught:
        calling.result()
    assert caught.value.may_have_acted is True
    assert ("carried out nevertheless" in str(caught.value)) is (operation == "create_integration_token")


def test_closing_from_another_thread_reports_that_nothing_was_sent(client: Client) -> None:
    gate = AtGate()

    class Held:
        async def __aenter__(self) -> None:
            await gate.passed()

        async def __aexit__(self, *_: object) -> None:
            pass

    calling = InThread(client.with_options(limiter=Held()).create_integration_token)
    gate.wait_reached()
    client.close()
    with pytest.raises(ClientClosedError) as caught:
        calling.result()
    assert caught.value.may_have_acted is False


def test_closing_from_another_thread_reports_an_account_whose_services_may_be_deleted(
    emulator: Emulator, client: Client
) -> None:
    gate = emulator.on(Operation.DELETE).hold()
    deleting = InThread(lambda: next(client.delete_services_in([emulator.account_id])))
    gate.wait_arrived(1)
    client.close()
    result = deleting.result()
    assert isinstance(result.error, ClientClosedError)
    assert result.error.may_have_acted is True
