"""Starts hosts as processes of their own, gives them calls, checks the answers, and says how they ended.

A host runs one of the modules in `programs/`, which answer with what `Client` returned for an account. Every call of a
run has an account of its own, so that an answer that went to the wrong caller, or was lost, is seen.
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
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import pytest

PROGRAMS = Path(__file__).parent / "programs"
ROOT = Path(__file__).parents[2]

CALLS = 320
THREADS = 32
PATIENCE = 30.0  # seconds after which a host that starts, answers or stops has failed

HANGING_ACCOUNT = "f" * 32
"""Listing the services of this account is never answered."""


def needs(*names: str) -> pytest.MarkDecorator:
    """Skips a test where a module cannot be imported or a program cannot be found, and says which."""
    missing = [name for name in names if importlib.util.find_spec(name) is None and program(name) is None]
    return pytest.mark.skipif(bool(missing), reason=f"not installed: {', '.join(missing)} (`nox -s hosts`)")


def program(name: str) -> str | None:
    """Returns the path of a program, by preference of the environment that the tests run in."""
    return shutil.which(name, path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))


def account_ids(calls: int = CALLS) -> list[str]:
    """Returns the account of each call."""
    return [f"{number:032x}" for number in range(1, calls + 1)]


def names_of(account_id: str) -> list[str]:
    """Returns the names of the services that an account has, which are those of no other account."""
    return [f"{account_id} {number}" for number in range(1 + int(account_id, 16) % 3)]


def check(answers: Mapping[str, object], accounts: Sequence[str]) -> None:
    """Fails unless there is an answer for each account, which is that account's."""
    wrong: Counter[str] = Counter()
    for account_id in accounts:
        answer = answers.get(account_id, "no answer")
        if answer != names_of(account_id):
            wrong[answer if isinstance(answer, str) else "the answer to another call"] += 1
    assert not wrong, f"{wrong.total()} of {len(accounts)} calls failed: {dict(wrong.most_common(5))}"


class End(NamedTuple):
    """How a process ended."""

    status: int
    complaints: str


class Process:
    """A process whose output goes to files, so that it never waits for a reader."""

    def __init__(self, command: Sequence[str], environ: Mapping[str, str], directory: Path, fds: Sequence[int]) -> None:
        self._output, self._complaints = directory / "stdout", directory / "stderr"
        path = os.pathsep.join([str(PROGRAMS), str(ROOT)])
        name, *arguments = command
        with self._output.open("wb") as output, self._complaints.open("wb") as complaints:
            self._process = subprocess.Popen(
                [program(name) or name, *arguments],
                cwd=directory,
                env={**os.environ, "PYTHONPATH": path, "HOSTS_CALLS": str(CALLS), **environ},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=complaints,
                pass_fds=fds,
                start_new_session=True,
            )

    def stop(self, number: int, chatter: str = "") -> End:
        """Sends a signal to the process, waits for its end, and leaves out the lines that such a host always writes."""
        self.send_signal(number)
        ended = self.end()
        return ended._replace(complaints=re.sub(chatter, "", ended.complaints, flags=re.DOTALL | re.MULTILINE))

    def send_signal(self, number: int) -> None:
        """Sends a signal to the process."""
        self._process.send_signal(number)

    def end(self) -> End:
        """Waits for the end of the process."""
        try:
            status = self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"did not end in {PATIENCE:.0f} s") from None
        return End(status, self.complaints)

    @property
    def output(self) -> str:
        """What was written to standard output so far."""
        return self._output.read_text(errors="replace")

    @property
    def complaints(self) -> str:
        """What was written to standard error so far."""
        return self._complaints.read_text(errors="replace")

    def kill(self) -> None:
        """Ends the process, and what it started, if they are still there."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()


@contextlib.contextmanager
def running(
    command: Sequence[str], environ: Mapping[str, str], directory: Path, fds: Sequence[int] = ()
) -> Iterator[Process]:
    """Starts a process in a directory of its own, and ends it with the context."""
    directory.mkdir(exist_ok=True)
    process = Process(command, environ, directory, fds)
    try:
        yield process
    except AssertionError as error:
        error.add_note(f"{' '.join(command)}\n{process.output[-2000:]}\n{process.complaints[-4000:]}")
        raise
    finally:
        process.kill()


def run(module: str, *arguments: str, environ: Mapping[str, str], directory: Path) -> Process:
    """Runs one of `programs/` to its end, which must be a clean one without a word on standard error."""
    command = ["python", str(PROGRAMS / f"{module}.py"), *arguments]
    with running(command, environ, directory) as process:
        ended = process.end()
        assert ended == (0, ""), f"exit status {ended.status}"
    return process


def answers_of(module: str, *arguments: str, environ: Mapping[str, str], directory: Path) -> dict[str, object]:
    """Runs one of `programs/`, and returns the answers that it printed."""
    answers = json.loads(run(module, *arguments, environ=environ, directory=directory).output)
    assert isinstance(answers, dict)
    return answers


@contextlib.contextmanager
def listening() -> Iterator[socket.socket]:
    """Makes the socket of a web server; requests wait in it until the server has started."""
    with socket.create_server(("127.0.0.1", 0), backlog=512) as made:
        yield made


def ask(port: int, account_id: str) -> object:
    """Returns what a web server answers for an account; for an error its text."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    try:
        connection.request("GET", f"/{account_id}", headers={"Connection": "close"})
        response = connection.getresponse()
        body = response.read()
        return json.loads(body) if response.status == 200 else f"{response.status}: {body.decode(errors='replace')}"
    except (OSError, http.client.HTTPException) as error:
        return f"{type(error).__name__}: {error}"
    finally:
        connection.close()


def ask_for_all(port: int, accounts: Sequence[str]) -> dict[str, object]:
    """Asks a web server for all accounts, by many threads at a time; after an answer that did not come, no more."""
    is_stuck = threading.Event()

    def answer(account_id: str) -> object:
        found = "not asked" if is_stuck.is_set() else ask(port, account_id)
        if isinstance(found, str) and found.startswith("TimeoutError"):
            is_stuck.set()
        return found

    with ThreadPoolExecutor(THREADS) as pool:
        return dict(zip(accounts, pool.map(answer, accounts), strict=True))
