"""Starts hosts as separate processes, makes them call the API, and checks their results and how they end.

A host runs one of the modules in `programs/`, which report what `Client` returned for an account. Every call of a run
has an account of its own, so a result that was lost, or returned to the wrong caller, is detected.
"""

import contextlib
import http.client
import importlib.util
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import pytest

PROGRAMS = Path(__file__).parent / "programs"
ROOT = Path(__file__).parents[2]

CALLS = 320
THREADS = 32
PATIENCE = 60.0  # seconds for a host to start, to respond, or to stop

HANGING_ACCOUNT = "f" * 32
"""The emulator never responds to a list of the services of this account."""


def needs(*names: str) -> pytest.MarkDecorator:
    """Returns a mark that skips a test where a module or program is missing, with its name as the reason."""
    missing = [name for name in names if importlib.util.find_spec(name) is None and program(name) is None]
    return pytest.mark.skipif(bool(missing), reason=f"not installed: {', '.join(missing)} (`nox -s hosts`)")


def program(name: str) -> str | None:
    """Returns the path of a program, first looked for in the environment that the tests run in."""
    return shutil.which(name, path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))


def account_ids(calls: int = CALLS) -> list[str]:
    """Returns the account of each call."""
    return [f"{number:032x}" for number in range(1, calls + 1)]


def names_of(account_id: str) -> list[str]:
    """Returns the names of an account's services, which differ from those of every other account."""
    return [f"{account_id} {number}" for number in range(1 + int(account_id, 16) % 3)]


def check(answers: Mapping[str, object], accounts: Sequence[str]) -> None:
    """Fails unless there is a result for each account, with the names of that account's services."""
    wrong: Counter[str] = Counter()
    for account_id in accounts:
        answer = answers.get(account_id, "no result")
        if answer != names_of(account_id):
            wrong[answer if isinstance(answer, str) else "the result of another call"] += 1
    assert not wrong, f"{wrong.total()} of {len(accounts)} calls failed: {dict(wrong.most_common(5))}"


def without(usual_stderr: str, stderr: str) -> str:
    """Returns standard error without the lines that such a host always writes."""
    return re.sub(usual_stderr, "", stderr, flags=re.DOTALL | re.MULTILINE)


class End(NamedTuple):
    """How a process ended."""

    status: int
    stderr: str


class Process:
    """A process that writes its output to files, so that it never blocks on a full pipe."""

    def __init__(self, command: Sequence[str], environ: Mapping[str, str], directory: Path, fds: Sequence[int]) -> None:
        self._directory, self._stdout, self._stderr = directory, directory / "stdout", directory / "stderr"
        path = os.pathsep.join([str(PROGRAMS), str(ROOT)])
        name, *arguments = command
        with self._stdout.open("wb") as stdout, self._stderr.open("wb") as stderr:
            self._process = subprocess.Popen(
                [program(name) or name, *arguments],
                cwd=directory,
                env={**os.environ, "PYTHONPATH": path, "HOSTS_CALLS": str(CALLS), **environ},
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
                pass_fds=fds,
                start_new_session=True,
            )

    def stop(self, number: int, usual_stderr: str = "") -> End:
        """Sends a signal, waits for the end, and returns it without the lines that such a host always writes."""
        self.send_signal(number)
        ended = self.end()
        return ended._replace(stderr=without(usual_stderr, ended.stderr))

    def send_signal(self, number: int) -> None:
        """Sends a signal."""
        self._process.send_signal(number)

    def interrupt_until_it_ends(self, number: int) -> End:
        """Sends a signal every half second until the program ends, and returns its end."""
        for _ in range(int(2 * PATIENCE)):
            self.send_signal(number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(0.5)
                break
        return self.end()

    def end(self) -> End:
        """Waits for the end of the process."""
        try:
            status = self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"did not end in {PATIENCE:.0f} s") from None
        return End(status, self.stderr)

    @property
    def workers(self) -> int:
        """The number of its processes that have made calls."""
        return len(list(self._directory.glob("calls-*")))

    @property
    def stdout(self) -> str:
        """What the process has written to standard output."""
        return self._stdout.read_text(errors="replace")

    @property
    def stderr(self) -> str:
        """What the process has written to standard error."""
        return self._stderr.read_text(errors="replace")

    def kill(self) -> None:
        """Kills the process and its children, if they still run."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()


@contextlib.contextmanager
def running(
    command: Sequence[str], environ: Mapping[str, str], directory: Path, fds: Sequence[int] = ()
) -> Iterator[Process]:
    """Starts a process in the given directory, and kills it when the context ends."""
    directory.mkdir(exist_ok=True)
    process = Process(command, environ, directory, fds)
    try:
        yield process
    except AssertionError as error:
        error.add_note(f"{' '.join(command)}\n{process.stdout[-2000:]}\n{process.stderr[-4000:]}")
        raise
    finally:
        process.kill()


def run(module: str, *arguments: str, environ: Mapping[str, str], directory: Path) -> Process:
    """Runs one of `programs/`, which must exit with status 0 and write nothing to standard error."""
    command = ["python", str(PROGRAMS / f"{module}.py"), *arguments]
    with running(command, environ, directory) as process:
        ended = process.end()
        assert ended == (0, ""), f"exit status {ended.status}"
    return process


def answers_of(module: str, *arguments: str, environ: Mapping[str, str], directory: Path) -> dict[str, object]:
    """Runs one of `programs/`, and returns the results that it printed."""
    answers = json.loads(run(module, *arguments, environ=environ, directory=directory).stdout)
    assert isinstance(answers, dict)
    return answers


@contextlib.contextmanager
def listening() -> Iterator[socket.socket]:
    """Opens the socket of a web server; connections wait in its queue until the server has started."""
    with socket.create_server(("127.0.0.1", 0), backlog=512) as made:
        yield made


def ask(port: int, account_id: str) -> object:
    """Returns the result that a web server responds with for an account, or the text of an error."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    try:
        connection.request("GET", f"/{account_id}", headers={"Connection": "close"})
        response = connection.getresponse()
        body = response.read()
        return json.loads(body) if response.status == 200 else f"{response.status}: {body.decode(errors='replace')}"
    except (OSError, http.client.HTTPException, json.JSONDecodeError) as error:
        return f"{type(error).__name__}: {error}"
    finally:
        connection.close()


def ask_for_all(port: int, accounts: Sequence[str]) -> dict[str, object]:
    """Requests all accounts from a web server, in many threads; stops after a response that did not arrive in time."""
    hangs = threading.Event()

    def answer(account_id: str) -> object:
        found = "not requested" if hangs.is_set() else ask(port, account_id)
        if isinstance(found, str) and found.startswith("TimeoutError"):
            hangs.set()
        return found

    with ThreadPoolExecutor(THREADS) as pool:
        return dict(zip(accounts, pool.map(answer, accounts), strict=True))


def ask_until_all_respond(port: int, process: Process, workers: int) -> None:
    """Requests accounts from a web server until each of its workers has responded.

    gunicorn and uWSGI with gevent lose the signal to stop in a worker that is still starting, and wait for it long.
    """
    started = time.monotonic()
    while process.workers < workers:
        check(ask_for_all(port, account_ids(THREADS)), account_ids(THREADS))
        assert time.monotonic() - started < PATIENCE, f"{process.workers} of {workers} workers have responded"


def ask_until_the_end(port: int, accounts: Sequence[str], stop: Callable[[], None]) -> None:
    """Requests all accounts, and stops the web server at the first response; checks those that came."""
    is_stopped = threading.Lock()

    def answer(account_id: str) -> object:
        found = ask(port, account_id)
        if isinstance(found, list) and is_stopped.acquire(blocking=False):
            stop()
        return found

    with ThreadPoolExecutor(THREADS) as pool:
        answers = dict(zip(accounts, pool.map(answer, accounts), strict=True))
    check(answers, [account_id for account_id in accounts if not is_cut_off(answers[account_id])])
    assert is_stopped.locked(), answers


def is_cut_off(answer: object) -> bool:
    """Whether the server did not accept the connection, closed it too early, or was running exit handlers.

    uWSGI runs Python's exit handlers, of which one closes the client, while its threads still respond.
    """
    errors = ("Connection", "RemoteDisconnected", "BrokenPipe", "IncompleteRead", "JSONDecodeError")
    return isinstance(answer, str) and (
        answer.startswith(errors) or "ClientClosedError: the client is closed" in answer
    )
