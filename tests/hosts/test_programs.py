"""Programs that use a module-level `Client`: pools, a scheduler, a window, a test suite, interpreter exit."""

import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.hosts.harness import CALLS, PROGRAMS, account_ids, answers_of, check, names_of, needs, run, running


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_every_process_of_a_pool_gets_its_own_results(method: str, api: Mapping[str, str], tmp_path: Path) -> None:
    check(answers_of("processes", method, environ=api, directory=tmp_path), account_ids())


@needs("apscheduler")
def test_every_job_of_apscheduler_gets_its_own_result(api: Mapping[str, str], tmp_path: Path) -> None:
    check(answers_of("scheduled_jobs", environ=api, directory=tmp_path), account_ids())


@pytest.fixture
def display() -> Iterator[str]:
    """Starts an X server without a screen; yields its display name."""
    program = shutil.which("Xvfb")
    if program is None:
        pytest.skip("not installed: Xvfb (Debian: apt-get install xvfb)")
    process = subprocess.Popen(
        [program, "-displayfd", "1", "-nolisten", "tcp"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert process.stdout is not None
    try:
        yield f":{process.stdout.readline().strip()}"
    finally:
        process.terminate()
        process.communicate()


@needs("tkinter")
def test_the_main_loop_and_threads_of_a_window_get_their_own_results(
    api: Mapping[str, str], display: str, tmp_path: Path
) -> None:
    check(answers_of("window", environ={**api, "DISPLAY": display}, directory=tmp_path), account_ids())


@needs("pytest_timeout")
def test_the_client_still_works_after_pytest_timeout_ended_a_test(api: Mapping[str, str], tmp_path: Path) -> None:
    suite = str(PROGRAMS / "suite_with_timeouts.py")
    options = ["--quiet", "-p", "pytest_timeout", "--noconftest", "-p", "no:cacheprovider", "--config-file", os.devnull]
    environ = {**api, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    with running(["pytest", *options, suite], environ, tmp_path) as process:
        ended = process.end()
        output = process.stdout

    assert ended == (1, "")
    assert "Timeout (>1.0s) from pytest-timeout" in output
    assert f"1 failed, {CALLS} passed" in output


ANSWER = str(names_of(account_ids(1)[0]))
CLOSED = "ClientClosedError"
WITHIN_A_CALL = "ClientUsageError"

EXITS = {
    "exit_handler_before_the_clients_own": [ANSWER],
    "exit_handler_that_resolves_a_name": [ANSWER],
    "exit_handler_with_gevent": [ANSWER],
    "exit_handler_with_eventlet": [ANSWER],
    "exit_handler_after_the_clients_own": [CLOSED],
    "finalizer_at_exit": [CLOSED],
    "finalizer_in_a_call": [WITHIN_A_CALL, ANSWER],
    "daemon_thread_in_a_call": [ANSWER],
    "finalizer_at_exit_during_a_call_of_a_daemon_thread": [CLOSED],
    "exit_by_a_signal_handler_in_a_call": [ANSWER],
}


HOSTS_OF_EXITS = {"exit_handler_with_gevent": ("gevent",), "exit_handler_with_eventlet": ("eventlet",)}


@pytest.mark.parametrize("case", [pytest.param(case, marks=needs(*HOSTS_OF_EXITS.get(case, ()))) for case in EXITS])
def test_a_call_at_exit_or_in_a_finalizer_returns_or_raises_an_error_of_the_client(
    case: str, api: Mapping[str, str], tmp_path: Path
) -> None:
    assert run("exits", case, environ=api, directory=tmp_path).stdout.splitlines() == EXITS[case]
