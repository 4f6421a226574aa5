"""Clients after a fork: the child makes its own loop and connections, the parent continues."""

import importlib.util
import sys

import pytest

from pagerduty_alerting.emulator import Emulator, Operation
from tests.support.scripts import script

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there is no fork")

# Python warns of forks while threads run; the tests check that the client works after them.
QUIET = ("-Wignore::DeprecationWarning",)

SCRIPT = """
    import os, threading, aiohttp
    from pagerduty_alerting import Client

    made = []
    hooks = aiohttp.TraceConfig()
    async def on_connect(*_): made.append(os.getpid())
    hooks.on_connection_create_end.append(on_connect)
    client = Client(trace_configs=[hooks])

    def in_child(work):
        # Returns the result of the work in a forked child, as text, and the child's exit status.
        reading, writing = os.pipe()
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                os.write(writing, str(work()).encode())
                status = 0
            finally:
                os._exit(status)
        os.close(writing)
        with open(reading) as pipe:
            text = pipe.read()
        return text, os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

    def own_connection():
        before = len(made)
        client.list_services()
        return made[before:] == [os.getpid()]
"""


def check(emulator: Emulator, lines: str, expected: str, *options: str, is_fresh: bool = False) -> None:
    with script(SCRIPT + lines, emulator.environ, *options, is_fresh=is_fresh) as running:
        assert running.end() == (0, expected, "")


def test_a_used_client_works_in_the_child_over_its_own_connection(emulator: Emulator) -> None:
    lines = """
    client.list_services()
    say(*in_child(own_connection))
    """
    check(emulator, lines, "True 0\n")


def test_the_parent_continues_on_its_connection(emulator: Emulator) -> None:
    lines = """
    client.list_services()
    in_child(lambda: (client.list_services(), client.close()))
    client.list_services()
    say(len(made))
    """
    check(emulator, lines, "1\n")


@pytest.mark.skipif(importlib.util.find_spec("uvloop") is None, reason="uvloop is not installed")
def test_on_uvloop_both_sides_continue_too(emulator: Emulator) -> None:
    lines = """
    import uvloop
    client._runner._make_loop = uvloop.new_event_loop
    client.list_services()
    say(*in_child(own_connection))
    in_child(lambda: (client.list_services(), client.close()))
    client.list_services()
    say(len(made))
    """
    check(emulator, lines, "True 0\n1\n", *QUIET)  # uvloop has its own thread


def test_a_client_that_was_never_used_works_on_both_sides(emulator: Emulator) -> None:
    lines = """
    say(*in_child(own_connection))
    say(own_connection())
    """
    check(emulator, lines, "True 0\nTrue\n")


def test_a_client_that_was_closed_is_closed_in_the_child(emulator: Emulator) -> None:
    lines = """
    from pagerduty_alerting import ClientClosedError
    client.list_services()
    client.close()
    def refused():
        try:
            client.list_services()
        except ClientClosedError:
            return "refused"
    say(*in_child(refused))
    """
    check(emulator, lines, "refused 0\n")


def test_a_child_that_exits_normally_does_not_disturb_the_parent(emulator: Emulator) -> None:
    lines = """
    client.list_services()
    pid = os.fork()
    if pid == 0:
        import gc
        gc.collect()
        sys.exit(0)  # exit handlers and finalizers run
    say(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
    threads = [threading.Thread(target=client.list_services) for _ in range(4)]
    for thread in threads: thread.start()
    for thread in threads: thread.join()
    client.list_services()
    say("works")
    """
    check(emulator, lines, "0\nworks\n", is_fresh=True)


def test_a_grandchild_works_too(emulator: Emulator) -> None:
    lines = """
    client.list_services()
    say(*in_child(lambda: (own_connection(), in_child(own_connection))))
    """
    check(emulator, lines, "(True, ('True', 0)) 0\n")


def test_a_fork_while_another_thread_is_in_a_call_disturbs_neither_side(emulator: Emulator) -> None:
    gate = emulator.on(Operation.LIST).once().hold()
    lines = """
    leader = threading.Thread(target=lambda: say("parent", client.list_services()))
    leader.start()
    sys.stdin.readline()
    say("child", *in_child(own_connection))
    say("go")
    leader.join()
    client.list_services()
    """
    with script(SCRIPT + lines, emulator.environ, *QUIET) as running:
        gate.wait_arrived(1)
        running.write_line()
        assert running.read_line() == "child True 0"
        assert running.read_line() == "go"
        gate.release()
        assert running.end() == (0, "parent []\n", "")


def test_a_fork_by_a_follower_while_the_main_thread_drives_leaves_ctrl_c_working_in_the_child(
    emulator: Emulator,
) -> None:
    gate = emulator.on(Operation.LIST).once().hold()
    lines = """
    def fork():
        sys.stdin.readline()
        say("child", *in_child(lambda: signal.getsignal(signal.SIGINT) is signal.default_int_handler))
    forking = threading.Thread(target=fork)
    forking.start()
    client.list_services()
    forking.join()
    """
    with script(SCRIPT + lines, emulator.environ, *QUIET) as running:
        gate.wait_arrived(1)
        running.write_line()
        assert running.read_line() == "child True 0"
        gate.release()
        assert running.end() == (0, "", "")


def test_four_workers_forked_from_one_client_work_at_the_same_time(emulator: Emulator) -> None:
    gate = emulator.on(Operation.DELETE).hold()
    lines = """
    client.list_services()
    workers = []
    for _ in range(4):
        pid = os.fork()
        if pid == 0:
            client.delete_services()
            sys.exit(0 if own_connection() is False and made[-1] == os.getpid() else 1)
        workers.append(pid)
    say(*(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in workers))
    client.list_services()
    """
    with script(SCRIPT + lines, emulator.environ) as running:
        gate.wait_arrived(4)
        gate.release()
        assert running.end() == (0, "0 0 0 0\n", "")


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_a_module_with_a_client_works_in_processes_of_multiprocessing(
    emulator: Emulator, method: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    directory = tmp_path_factory.mktemp("worker")
    (directory / "worker.py").write_text(
        "from pagerduty_alerting import Client\n"
        "client = Client()\n"
        "def count(_): return len(client.list_services())\n"
        "def main(method):\n"
        "    import multiprocessing\n"
        "    client.list_services()\n"
        "    with multiprocessing.get_context(method).Pool(2) as pool:\n"
        "        print(pool.map(count, range(6)), count(None))\n"
    )
    lines = f"""
    sys.path.insert(0, {str(directory)!r})
    import os
    os.environ["PYTHONPATH"] = os.pathsep.join(sys.path)
    import worker
    worker.main({method!r})
    """
    with script(lines, emulator.environ, *QUIET) as running:
        assert running.end() == (0, "[0, 0, 0, 0, 0, 0] 0\n", "")


def test_the_loop_and_session_of_the_parent_are_not_finalized_in_the_child(emulator: Emulator) -> None:
    # A finalizer would affect the parent, through the shared epoll set or by a TLS close notification.
    lines = """
    import gc, weakref
    client.list_services()
    loop, session = client._runner._loop, client._async._core.transport._session
    finalized = []
    for name in ("loop", "session"):
        weakref.finalize(globals()[name], finalized.append, name).atexit = False
    def drop():
        global client, loop, session
        del client, loop, session
        gc.collect()
        return finalized
    say(*in_child(drop))
    client.list_services()
    """
    check(emulator, lines, "[] 0\n")


def test_the_loop_of_the_parent_is_not_finalized_in_the_child_even_without_connections(emulator: Emulator) -> None:
    lines = """
    import asyncio, gc, weakref
    from pagerduty_alerting._loop.runner import LoopRunner
    async def nothing(): pass
    runner = LoopRunner(nothing)
    runner.run(asyncio.sleep(0))
    finalized = []
    weakref.finalize(runner._loop, finalized.append, "loop").atexit = False
    def drop():
        global runner
        del runner
        gc.collect()
        return finalized
    say(*in_child(drop))
    """
    check(emulator, lines, "[] 0\n")


WITHOUT_HOOKS = """
    import asyncio, ctypes
    def fork_without_hooks():
        # Like uWSGI: in C, without Python's hooks.
        return ctypes.PyDLL(None).fork()
    def in_child(work):
        reading, writing = os.pipe()
        pid = fork_without_hooks()
        if pid == 0:
            try:
                os.write(writing, str(work()).encode())
            finally:
                os._exit(0)
        os.close(writing)
        with open(reading) as pipe:
            text = pipe.read()
        os.waitpid(pid, 0)
        return text
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the C library has another name")
def test_a_fork_without_hooks_is_detected_at_the_next_call(emulator: Emulator) -> None:
    lines = """
    client.list_services()
    say(in_child(own_connection))
    client.list_services()
    say(len(made))
    """
    check(emulator, WITHOUT_HOOKS + lines, "True\n1\n")


@pytest.mark.skipif(sys.platform != "linux", reason="the C library has another name")
def test_an_asynchronous_client_detects_a_fork_without_hooks_too(emulator: Emulator) -> None:
    lines = """
    from pagerduty_alerting import AsyncClient
    client = AsyncClient(trace_configs=[hooks])
    loop = asyncio.new_event_loop()
    loop.run_until_complete(client.list_services())
    def in_own_loop():
        before = len(made)
        asyncio.new_event_loop().run_until_complete(client.list_services())
        return made[before:] == [os.getpid()]
    say(in_child(in_own_loop))
    loop.run_until_complete(client.list_services())
    say(len(made))
    loop.run_until_complete(client.aclose())
    loop.close()
    """
    check(emulator, WITHOUT_HOOKS + lines, "True\n1\n")
