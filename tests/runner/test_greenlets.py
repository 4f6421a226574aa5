"""Greenlets of gevent and eventlet: patched before or after the client is imported, timeouts, forks, and unpatched."""

import importlib.util
import os
import select
import selectors
import subprocess
import sys
from pathlib import Path

import pytest

from pagerduty_alerting._loop import greenlets
from pagerduty_alerting.emulator import Emulator, Operation
from tests.support.scripts import script

# eventlet warns at import that it is deprecated.
QUIET = ("-Wignore",)

PATCH = {
    "gevent": """
    def patch():
        from gevent import monkey
        monkey.patch_all()
    def together(function, count):
        import gevent
        running = [gevent.spawn(function) for _ in range(count)]
        return [one.get() for one in running]
""",
    "eventlet": """
    def patch():
        import eventlet
        eventlet.monkey_patch()
    def together(function, count):
        import eventlet
        running = [eventlet.spawn(function) for _ in range(count)]
        return [one.wait() for one in running]
""",
}

# uWSGI forks without Python's hooks: what a thread holds then, such as the interpreter's lock, stays held in the child.
COUNT_THREADS = """
    import socket, sys
    from pagerduty_alerting import APIConnectionError, Client, RetryPolicy
    with socket.create_server(("127.0.0.1", 0)) as closed:
        url = f"http://localhost:{closed.getsockname()[1]}"
    def count():
        with Client() as client:
            client.list_services()
            threads = {len(sys._current_frames())}
        with Client(base_url=url, allow_insecure_http=True, retry=RetryPolicy(max_attempts=1)) as client:
            try:
                client.list_services()
            except APIConnectionError as error:
                return {*threads, len(sys._current_frames())}
    say(set().union(*(count() for _ in range(100))))
"""


def needs(host: str) -> None:
    """Skips the test if the host is not installed."""
    if importlib.util.find_spec(host) is None:
        pytest.skip(f"{host} is not installed")


both = pytest.mark.parametrize("host", ["gevent", "eventlet"])


@both
@pytest.mark.parametrize("when", ["early", "late"])
def test_calls_of_greenlets_overlap_in_a_patched_program(emulator: Emulator, host: str, when: str) -> None:
    needs(host)
    gate = emulator.on(Operation.LIST).times(24).hold()
    lines = f"""
    if {when!r} == "early": patch()
    from pagerduty_alerting import Client
    client = Client()
    if {when!r} == "late": patch()
    say(together(client.list_services, 24) == [[]] * 24)
    client.close()
    """
    with script(PATCH[host] + lines, emulator.environ, *QUIET, is_fresh=True) as running:
        gate.wait_arrived(24, timeout=60)
        gate.release()
        assert running.end() == (0, "True\n", "")


HUBS = {"gevent": "from gevent.hub import Hub", "eventlet": "from eventlet.hubs.hub import BaseHub as Hub"}


@both
def test_the_threads_that_drive_the_loop_make_no_hubs(emulator: Emulator, host: str) -> None:
    """A hub in a thread that ends can crash the process: `_loop/greenlets.py` says how."""
    needs(host)
    lines = f"""
    patch()
    import gc
    {HUBS[host]}
    from pagerduty_alerting import Client
    gc.disable()
    client = Client()
    client.list_services()
    client.close()
    say(len([it for it in gc.get_objects() if isinstance(it, Hub)]))
    """
    environ = {**emulator.environ, "CLOUDFLARE_BASE_URL": emulator.url.replace("127.0.0.1", "localhost")}
    with script(PATCH[host] + lines, environ, *QUIET, is_fresh=True) as running:
        assert running.end() == (0, "1\n", "")


@both
def test_greenlets_leave_no_file_descriptors_behind(emulator: Emulator, host: str) -> None:
    needs(host)
    lines = """
    patch()
    import os
    from pagerduty_alerting import Client
    client = Client()
    def count():
        client.list_services()
        return len(os.listdir("/proc/self/fd"))
    before = count()
    for _ in range(30): after = count()
    say(after - before)
    """
    if not Path("/proc/self/fd").exists():
        pytest.skip("there is no /proc here")
    with script(PATCH[host] + lines, emulator.environ, *QUIET, is_fresh=True) as running:
        status, output, errors = running.end()
    assert (status, errors) == (0, "")
    assert int(output) <= 2


def test_making_a_native_selector_changes_nothing_for_other_threads() -> None:
    seen: list[object] = []

    class Select:
        def __getattr__(self, name: str) -> object:
            seen.append(sys.modules["select"])
            return getattr(select, name)

    made = greenlets._selectors_on(Select())
    assert set(seen) == {select}
    assert made is not selectors
    assert made.DefaultSelector().select(0) == []


@both
def test_host_names_are_resolved_in_a_patched_program(emulator: Emulator, host: str) -> None:
    needs(host)
    lines = """
    patch()
    from pagerduty_alerting import Client
    say(together(Client().list_services, 2))
    """
    environ = {**emulator.environ, "CLOUDFLARE_BASE_URL": emulator.url.replace("127.0.0.1", "localhost")}
    with script(PATCH[host] + lines, environ, *QUIET, is_fresh=True) as running:
        assert running.end() == (0, "[[], []]\n", "")


TIMEOUTS = {
    "gevent": """
    import gevent
    class Limit(gevent.Timeout): pass
    start = Limit.start_new
    spawn, kill = gevent.spawn, gevent.kill
""",
    "eventlet": """
    import eventlet, eventlet.greenthread
    class Limit(eventlet.Timeout): pass
    start = Limit
    spawn, kill = eventlet.spawn, eventlet.greenthread.kill
""",
}


@both
def test_a_timeout_of_the_host_ends_the_call_unwrapped_and_leaves_the_client_usable(
    emulator: Emulator, host: str
) -> None:
    needs(host)
    emulator.on(Operation.LIST).hold()
    lines = """
    patch()
    from pagerduty_alerting import Client
    client = Client()
    limit = start(0.2)
    try:
        client.list_services()
    except Limit as error:
        say(error is limit)
    limit.cancel()
    say(client.delete_services().success, client._runner._calls)
    """
    with script(PATCH[host] + TIMEOUTS[host] + lines, emulator.environ, *QUIET, is_fresh=True) as running:
        assert running.end() == (0, "True\nTrue {}\n", "")


@both
def test_a_greenlet_that_is_killed_during_its_call_leaves_the_client_usable(emulator: Emulator, host: str) -> None:
    needs(host)
    gate = emulator.on(Operation.LIST).once().hold()
    lines = """
    patch()
    import time
    from pagerduty_alerting import Client
    client = Client()
    def work():
        try:
            client.list_services()
        except BaseException as error:
            say(type(error).__name__)
            raise
    greenlet = spawn(work)
    time.sleep(0)
    sys.stdin.readline()
    kill(greenlet)
    while client._runner._calls: time.sleep(0.01)
    say(client.list_services())
    """
    with script(PATCH[host] + TIMEOUTS[host] + lines, emulator.environ, *QUIET, is_fresh=True) as running:
        gate.wait_arrived(1, timeout=60)
        running.write_line()
        assert running.end() == (0, "GreenletExit\n[]\n", "")


@both
def test_a_client_that_was_used_works_on_both_sides_of_a_fork(emulator: Emulator, host: str) -> None:
    needs(host)
    lines = """
    patch()
    import os
    from pagerduty_alerting import Client
    client = Client()
    client.list_services()
    pid = os.fork()
    say("child" if pid == 0 else os.waitpid(pid, 0)[1], together(client.list_services, 2))
    sys.stdout.flush()
    os._exit(0)
    """
    with script(PATCH[host] + lines, emulator.environ, *QUIET, is_fresh=True) as running:
        assert running.end() == (0, "child [[], []]\n0 [[], []]\n", "")


@both
def test_a_call_returns_after_its_native_threads_have_ended(emulator: Emulator, host: str) -> None:
    needs(host)
    with script(PATCH[host] + "    patch()" + COUNT_THREADS, emulator.environ, *QUIET, is_fresh=True) as running:
        assert running.end() == (0, "{1}\n", "")


def test_a_call_returns_after_the_threads_that_resolve_names_have_ended(emulator: Emulator) -> None:
    with script(COUNT_THREADS, emulator.environ) as running:
        assert running.end() == (0, "{1}\n", "")


@both
def test_a_limiter_that_switches_between_unpatched_greenlets_is_a_usage_error(emulator: Emulator, host: str) -> None:
    needs(host)
    lines = f"""
    import {host}
    from pagerduty_alerting import Client, ClientUsageError
    class Limiter:
        async def __aenter__(self): {host}.sleep(0.05)
        async def __aexit__(self, *_): pass
    client = Client(limiter=Limiter())
    def call():
        try:
            return client.list_services()
        except ClientUsageError as error:
            return "monkey-patched" in str(error)
    say(together(call, 3))
    say(client.list_services())
    """
    with script(PATCH[host] + lines, emulator.environ, *QUIET, is_fresh=True) as running:
        assert running.end() == (0, "[[], True, True]\n[]\n", "")


# Some situations are left out because a full collection takes long, and signals because it is undefined in which
# greenlet Python calls their handlers, and therefore which greenlet gets their exceptions.
INTERRUPTIONS = {"exception": [], "call": [], "garbage-collection": ["alone", "leaves", "closes"]}


@both
@pytest.mark.timeout(300)
@pytest.mark.parametrize("interruption", INTERRUPTIONS)
def test_an_interruption_of_a_waiting_greenlet_at_any_line_blocks_nothing(host: str, interruption: str) -> None:
    needs(host)
    program = Path(__file__).parent / "every_line.py"
    command = [sys.executable, "-W", "ignore", program, interruption, *INTERRUPTIONS[interruption]]
    environ = {**os.environ, "EVERY_LINE_HOST": host}
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    situations = len(INTERRUPTIONS[interruption]) or 8
    assert [line.rpartition(", ")[2] for line in done.stdout.splitlines()] == ["0 failed"] * situations, done.stdout
