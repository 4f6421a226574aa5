"""Calls in finalizers, signal handlers and exit handlers, at any moment."""

import signal
import sys

import aiohttp
import pytest

from pagerduty_alerting import Client, ClientUsageError
from pagerduty_alerting.emulator import Emulator, Operation
from tests.support.scripts import script

needs_signals = pytest.mark.skipif(sys.platform == "win32", reason="signals cannot be sent to a child there")

ABANDONING = """
    import faulthandler, gc, threading
    from pagerduty_alerting import Client
    faulthandler.dump_traceback_later(60, exit=True)
    gc.set_threshold(1, 1, 1)
    client = Client()
    accounts = [f"{number:032x}" for number in range(50)]
    def abandon():
        items = client.list_services_in(accounts, concurrency=3)
        next(items)
        cycle = [items]
        cycle.append(cycle)
    def work():
        for _ in range(25):
            abandon()
            client.list_services()
"""


def test_fleets_abandoned_in_reference_cycles_block_nothing(emulator: Emulator) -> None:
    lines = """
    work()
    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads: thread.start()
    for thread in threads: thread.join()
    gc.collect()
    say(len(client._runner._calls), len(client._runner._abandoned))
    client.close()
    """
    with script(ABANDONING + lines, emulator.environ) as running:
        assert running.end() == (0, "0 0\n", "")


def test_a_fleet_left_by_break_sends_no_more_requests(emulator: Emulator) -> None:
    started: list[object] = []

    async def note(_session: object, _context: object, request: object) -> None:
        started.append(request)

    # Counted when requests start, because those under way at the break may arrive later, or never.
    trace = aiohttp.TraceConfig()
    trace.on_request_start.append(note)
    settings = {"base_url": emulator.url, "api_token": emulator.api_token, "account_id": emulator.account_id}
    with Client(**settings, trace_configs=[trace]) as client:
        for _ in client.list_services_in(["b", "c", "d", "e", "f", "g"], concurrency=2):
            break
        before = len(started)
        for _ in range(5):
            client.delete_services()  # drives the loop
    assert len(started) == before + 5


HANDLER = """
    from pagerduty_alerting import Client, ClientUsageError
    client, other = Client(), Client()
    def use(number, frame):
        try:
            say("handler", chosen.list_services())
        except ClientUsageError as error:
            say("handler", str(error).split(",")[0])
    signal.signal(signal.SIGUSR1, use)
"""


@needs_signals
def test_a_signal_handler_that_uses_the_client_during_its_call_gets_an_error_and_the_call_continues(
    emulator: Emulator,
) -> None:
    gate = emulator.on(Operation.LIST).once().hold()
    lines = """
    chosen = client
    say("main", client.list_services())
    signal.raise_signal(signal.SIGUSR1)
    """
    with script(HANDLER + lines, emulator.environ) as running:
        gate.wait_arrived(1)
        running.interrupt(signal.SIGUSR1)
        assert running.read_line().startswith(
            "handler a synchronous call was made from code that runs inside another call"
        )
        gate.release()
        assert running.end() == (0, "main []\nhandler []\n", "")


@needs_signals
def test_a_signal_handler_may_use_another_client(emulator: Emulator) -> None:
    gate = emulator.on(Operation.LIST).once().hold()
    lines = """
    chosen = other
    say("main", client.list_services())
    """
    with script(HANDLER + lines, emulator.environ) as running:
        gate.wait_arrived(1)
        running.interrupt(signal.SIGUSR1)
        assert running.read_line() == "handler []"
        gate.release()
        assert running.end() == (0, "main []\n", "")


@needs_signals
def test_an_exception_of_a_signal_handler_is_raised_unwrapped_and_its_traceback_shows_the_handler(
    emulator: Emulator,
) -> None:
    gate = emulator.on(Operation.LIST).once().hold()
    lines = """
    import traceback
    from pagerduty_alerting import Client
    class SoftTimeLimit(Exception): pass
    def limit(number, frame):
        raise SoftTimeLimit("too long")
    signal.signal(signal.SIGALRM, limit)
    client = Client()
    try:
        client.list_services()
    except SoftTimeLimit as error:
        say(error, [frame.name for frame in traceback.extract_tb(error.__traceback__)][-1])
    say(len(client.list_services()), signal.getsignal(signal.SIGALRM) is limit)
    """
    with script(lines, emulator.environ) as running:
        gate.wait_arrived(1)
        running.interrupt(signal.SIGALRM)
        assert running.end() == (0, "too long limit\n0 True\n", "")


@needs_signals
def test_exceptions_of_two_handlers_during_one_call_are_both_visible(emulator: Emulator) -> None:
    gate = emulator.on(Operation.LIST).once().hold()
    lines = """
    import aiohttp
    from pagerduty_alerting import Client
    def one(number, frame): raise KeyError("one")
    def two(number, frame): raise ValueError("two")
    signal.signal(signal.SIGUSR1, one)
    signal.signal(signal.SIGUSR2, two)
    hooks = aiohttp.TraceConfig()
    async def on_exception(*_): signal.raise_signal(signal.SIGUSR2)
    hooks.on_request_exception.append(on_exception)
    try:
        Client(trace_configs=[hooks]).list_services()
    except ValueError as error:
        say(repr(error), repr(error.__context__), repr(error.__context__.__context__))
    """
    with script(lines, emulator.environ) as running:
        gate.wait_arrived(1)
        running.interrupt(signal.SIGUSR1)
        assert running.end() == (0, "ValueError('two') CancelledError() KeyError('one')\n", "")


def test_a_call_inside_a_call_of_the_same_client_is_a_usage_error(client: Client) -> None:
    async def call() -> object:
        return client.list_services()

    with pytest.raises(ClientUsageError, match="inside another call of the same client"):
        client._runner.run(call())
    assert client.list_services() == []


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ("atexit.register(lambda: say(client.list_services()))", "[]\n"),
        ("atexit.register(lambda: say(client.list_services())); client.list_services()", "[]\n"),
        ("client.list_services(); kept = Kept()", "ClientClosedError\n"),
        ("kept = Kept()", "ClientClosedError\n"),
        ("client.list_services(); first.append(client)", "ClientClosedError\n"),
    ],
    ids=["exit handler", "used before", "finalizer", "finalizer, unused", "exit handler older than the client"],
)
def test_at_program_exit_a_call_works_or_raises_an_error_of_the_package(
    emulator: Emulator, lines: str, expected: str
) -> None:
    program = f"""
    import atexit
    first = []
    def call(client):
        try:
            say(client.list_services())
        except Exception as error:
            say(type(error).__name__)
    atexit.register(lambda: [call(client) for client in first])
    from pagerduty_alerting import Client
    client = Client()
    class Kept:
        def __init__(self): self.call, self.client = call, client
        def __del__(self): self.call(self.client)
    {lines}
    """
    with script(program, emulator.environ, "-Werror", is_fresh=True) as running:
        assert running.end() == (0, expected, "")


def test_a_program_that_exits_during_a_call_of_a_daemon_thread_prints_nothing(emulator: Emulator) -> None:
    # The client is finalized after the names of the modules are gone.
    gate = emulator.on(Operation.LIST).hold()
    program = """
    import sys, threading
    from pagerduty_alerting import Client
    sys.modules["pagerduty_alerting"].kept = client = Client()
    threading.Thread(target=client.list_services, daemon=True).start()
    sys.stdin.readline()
    """
    with script(program, emulator.environ, is_fresh=True) as running:
        gate.wait_arrived(1)
        running.write_line()
        assert running.end() == (0, "", "")
