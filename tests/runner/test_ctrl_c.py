"""Ctrl-C and other signals in real programs, in every state of their main thread."""

import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from pagerduty_alerting.emulator import Emulator, Operation
from tests.support.scripts import Script, script
from tests.support.threads import InThread

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals cannot be sent to a child there")

PROMPT = 8.0  # seconds: enough for a busy machine, and far below the timeout of 30 s

SCRIPT = """
    import aiohttp, threading
    from pagerduty_alerting import Client, RetryPolicy

    hooks = aiohttp.TraceConfig()
    async def on_exception(session, context, parameters):
        say("request ended by", type(parameters.exception).__name__)
    hooks.on_request_exception.append(on_exception)

    client = Client(trace_configs=[hooks], retry=RetryPolicy(on_retry=lambda event: say("backing off")))

    def call(name):
        try:
            result = len(client.list_services())
        except BaseException as error:
            result = type(error).__name__
        say(name, result)
"""


@contextmanager
def program(emulator: Emulator, lines: str) -> Iterator[Script]:
    with script(SCRIPT + lines, emulator.environ) as running:
        yield running


ALONE = """
    call("main")
    call("again")
    say(signal.getsignal(signal.SIGINT) is signal.default_int_handler)
"""

MAIN_LEADS = """
    def follow():
        sys.stdin.readline()
        call("other")
    other = threading.Thread(target=follow)
    other.start()
    call("main")
    other.join()
    call("again")
"""

MAIN_FOLLOWS = """
    other = threading.Thread(target=call, args=("other",))
    other.start()
    sys.stdin.readline()
    call("main")
    other.join()
    call("again")
"""


def test_ctrl_c_during_a_call_cancels_the_request_and_leaves_the_client_usable(emulator: Emulator) -> None:
    gate = emulator.on(Operation.LIST).once().hold()
    with program(emulator, ALONE) as running:
        gate.wait_arrived(1)
        started = time.monotonic()
        running.interrupt()
        assert running.read_line() == "request ended by CancelledError"
        assert running.read_line() == "main KeyboardInterrupt"
        assert time.monotonic() - started < PROMPT
        assert running.end() == (0, "again 0\nTrue\n", "")


@pytest.mark.parametrize("lines", [MAIN_LEADS, MAIN_FOLLOWS], ids=["main leads", "main follows"])
def test_ctrl_c_ends_the_main_threads_call_and_no_other(emulator: Emulator, lines: str) -> None:
    gate = emulator.on(Operation.LIST).times(2).hold()
    with program(emulator, lines) as running:
        gate.wait_arrived(1)
        running.write_line()
        gate.wait_arrived(2)
        started = time.monotonic()
        running.interrupt()
        assert running.read_line() == "request ended by CancelledError"
        assert running.read_line() == "main KeyboardInterrupt"
        assert time.monotonic() - started < PROMPT
        gate.release()
        assert running.end() == (0, "other 0\nagain 0\n", "")


def test_ctrl_c_during_back_off_ends_the_call_at_once(emulator: Emulator) -> None:
    emulator.on(Operation.LIST).once().respond(503, headers={"Retry-After": "25"})
    with program(emulator, ALONE) as running:
        assert running.read_line() == "backing off"
        started = time.monotonic()
        running.interrupt()
        assert running.read_line() == "main KeyboardInterrupt"
        assert time.monotonic() - started < PROMPT
        assert running.end() == (0, "again 0\nTrue\n", "")
    emulator.requests.assert_operations(Operation.LIST, Operation.LIST)


def test_ctrl_c_inside_a_coroutine_ends_the_call_at_the_second_signal_at_the_latest(emulator: Emulator) -> None:
    gate = emulator.on(Operation.LIST).once().hold()
    lines = """
    import asyncio
    async def main():
        say("calling")
        call("main")
        call("again")
    try:
        asyncio.run(main())
    except KeyboardInterrupt:
        say("interrupted")
    """
    # asyncio uses the first Ctrl-C to cancel the coroutine, which does not run during a synchronous call.
    with program(emulator, lines) as running:
        assert running.read_line() == "calling"
        gate.wait_arrived(1)
        started = time.monotonic()
        interrupt_until_line(running, "request ended by CancelledError", "main KeyboardInterrupt")
        assert time.monotonic() - started < PROMPT
        running.end()


def interrupt_until_line(running: Script, *lines: str) -> None:
    """Sends Ctrl-C until the program prints a line; more than once, because simultaneous signals are merged."""
    said = InThread(running.read_line)
    while said.is_running:
        running.interrupt()
        said.wait(0.2)
    assert said.result() in lines


def test_a_second_ctrl_c_ends_a_hook_that_blocks(emulator: Emulator) -> None:
    lines = """
    async def block(*_):
        say("blocking")
        threading.Event().wait()
    hooks.on_request_start.append(block)
    client = Client(trace_configs=[hooks])
    call("main")
    """
    with program(emulator, lines) as running:
        assert running.read_line() == "blocking"
        interrupt_until_line(running, "request ended by KeyboardInterrupt", "main KeyboardInterrupt")
        running.end()


def test_a_signal_handler_that_exits_ends_the_main_threads_call_and_leaves_no_other_waiting(emulator: Emulator) -> None:
    gate = emulator.on(Operation.LIST).times(2).hold()
    lines = """
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(3))
    def follow():
        sys.stdin.readline()
        call("other")
    threading.Thread(target=follow).start()
    client.list_services()
    """
    with program(emulator, lines) as running:
        gate.wait_arrived(1)
        running.write_line()
        gate.wait_arrived(2)
        running.interrupt(signal.SIGTERM)
        assert running.read_line().startswith("request ended by")
        gate.release()
        status, output, errors = running.end()
    # The handler raises wherever it runs, which may be within the request of the other thread.
    assert (status, errors) == (3, "")
    assert {"other 0", "other SystemExit"} & set(output.splitlines())


def test_a_programs_own_handler_for_ctrl_c_is_left_in_place(emulator: Emulator) -> None:
    gate = emulator.on(Operation.LIST).once().hold()
    lines = """
    def noted(*_): say("noted")
    signal.signal(signal.SIGINT, noted)
    call("main")
    say(signal.getsignal(signal.SIGINT) is noted)
    """
    with program(emulator, lines) as running:
        gate.wait_arrived(1)
        running.interrupt()
        assert running.read_line() == "noted"
        gate.release()
        assert running.end() == (0, "main 0\nTrue\n", "")


def test_a_handler_that_a_hook_sets_during_a_call_stays_set(emulator: Emulator) -> None:
    lines = """
    def other(*_): pass
    async def set_other(*_): signal.signal(signal.SIGINT, other)
    hooks.on_request_start.append(set_other)
    client = Client(trace_configs=[hooks])
    call("main")
    say(signal.getsignal(signal.SIGINT) is other)
    """
    with program(emulator, lines) as running:
        assert running.end() == (0, "main 0\nTrue\n", "")


def test_ctrl_c_while_closing_lets_the_closing_finish(emulator: Emulator) -> None:
    lines = """
    from pagerduty_alerting._loop.runner import LoopRunner
    import asyncio
    async def slowly():
        say("closing")
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)
        say("closed")
    runner = LoopRunner(slowly)
    runner.run(asyncio.sleep(0))
    try:
        runner.close()
    except KeyboardInterrupt:
        say("interrupted")
    """
    with program(emulator, lines) as running:
        assert running.read_line() == "closing"
        running.interrupt()
        running.write_line()
        assert running.end() == (0, "closed\ninterrupted\n", "")


@pytest.mark.skipif(sys.platform != "linux", reason="the disposition of signals is read from /proc")
def test_a_signal_handler_that_uwsgi_sets_without_python_stays_in_place(emulator: Emulator) -> None:
    lines = """
    import ctypes, types
    sys.modules["uwsgi"] = types.ModuleType("uwsgi")
    ctypes.CDLL(None).signal(signal.SIGINT, ctypes.c_void_p(1))  # SIG_IGN, unknown to Python
    call("main")
    status = open("/proc/self/status").read()
    ignored = int(status.partition("SigIgn:")[2].split()[0], 16)
    say(bool(ignored & 1 << signal.SIGINT - 1), signal.getsignal(signal.SIGINT) is signal.default_int_handler)
    """
    with program(emulator, lines) as running:
        assert running.end() == (0, "main 0\nTrue True\n", "")
