"""The runner under -X dev, asyncio's debug mode, warnings as errors, and uvloop."""

import asyncio
import importlib.util
from collections.abc import Iterator

import pytest

from pagerduty_alerting import Client
from pagerduty_alerting._loop.runner import LoopRunner
from pagerduty_alerting.emulator import Emulator, Operation
from tests.support.scripts import script
from tests.support.threads import AtGate, InThread

JOB = """
    import threading
    from pagerduty_alerting import Client, NotFoundError
    with Client() as client:
        client.create_integration_token()
        threads = [threading.Thread(target=client.list_services) for _ in range(8)]
        for thread in threads: thread.start()
        for thread in threads: thread.join()
        try:
            client.list_services(account_id="0" * 32)
        except Exception as error:
            say(type(error).__name__)
        client.delete_services()
    say("done")
"""

MODES = {
    "plain": ((), {}),
    "-X dev": (("-Xdev",), {}),
    "-W error": (("-Werror",), {}),
    "asyncio debug": ((), {"PYTHONASYNCIODEBUG": "1"}),
    "all": (("-Xdev", "-Werror"), {"PYTHONASYNCIODEBUG": "1"}),
}

needs_uvloop = pytest.mark.skipif(importlib.util.find_spec("uvloop") is None, reason="uvloop is not installed")


@pytest.mark.parametrize("mode", MODES)
def test_the_job_runs_without_messages(emulator: Emulator, mode: str) -> None:
    options, environ = MODES[mode]
    with script(JOB, {**emulator.environ, **environ}, *options) as running:
        status, output, errors = running.end()
    assert (status, output.splitlines()[-1], errors) == (0, "done", "")


@needs_uvloop
@pytest.mark.parametrize("mode", ["plain", "-X dev"])
def test_the_job_runs_on_uvloop_by_its_policy(emulator: Emulator, mode: str) -> None:
    options, environ = MODES[mode]
    lines = """
    import asyncio, uvloop, warnings
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # policies are deprecated
        asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
"""
    with script(lines + JOB, {**emulator.environ, **environ}, *options) as running:
        status, output, errors = running.end()
    assert (status, output.splitlines()[-1], errors) == (0, "done", "")


@needs_uvloop
def test_ctrl_c_ends_a_call_on_uvloop(emulator: Emulator) -> None:
    gate = emulator.on(Operation.LIST).once().hold()
    lines = """
    import uvloop
    from pagerduty_alerting import Client
    client = Client()
    client._runner._make_loop = uvloop.new_event_loop
    try:
        client.list_services()
    except KeyboardInterrupt:
        say("interrupted", len(client.list_services()))
    """
    with script(lines, emulator.environ) as running:
        gate.wait_arrived(1)
        running.interrupt()
        assert running.end() == (0, "interrupted 0\n", "")


@needs_uvloop
def test_a_client_on_uvloop_works_on_both_sides_of_a_fork(emulator: Emulator) -> None:
    lines = """
    import os, uvloop
    from pagerduty_alerting import Client
    client = Client()
    client._runner._make_loop = uvloop.new_event_loop
    client.list_services()
    pid = os.fork()
    say(os.getpid() if pid and os.waitpid(pid, 0)[1] else len(client.list_services()))
    """
    # uvloop has its own threads, of which Python warns.
    with script(lines, emulator.environ, "-Wignore::DeprecationWarning") as running:
        assert running.end() == (0, "0\n0\n", "")


@pytest.fixture
def uv_runner() -> Iterator[LoopRunner]:
    """A runner on uvloop."""
    import uvloop

    async def nothing() -> None:
        """Closes nothing."""

    made = LoopRunner(nothing, loop_factory=uvloop.new_event_loop)
    yield made
    made.close()


@needs_uvloop
def test_a_loop_of_uvloop_passes_from_thread_to_thread(uv_runner: LoopRunner) -> None:
    gates = [AtGate() for _ in range(4)]
    callers = []
    for gate in gates:
        callers.append(InThread(lambda gate=gate: uv_runner.run(gate.passed())))
        gate.wait_reached()
    for caller, gate in zip(callers, gates, strict=True):
        gate.open()
        assert caller.result() is None


def test_the_loop_has_the_type_that_asyncio_uses(client: Client) -> None:
    client.list_services()
    loop = client._runner._loop
    with asyncio.Runner() as usual:
        assert type(loop) is type(usual.get_loop())
