"""Small programs in a Python of their own, which a test talks to by lines."""

import os
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from tests.support.asleep import wait_until_asleep

ROOT = Path(__file__).resolve().parents[2]

# A test runner in the background of a shell ignores Ctrl-C, and its children inherit that.
PREAMBLE = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
def say(*words):
    # In one piece, because other threads have their say, too.
    sys.stdout.write(" ".join(map(str, words)) + "\\n")
    sys.stdout.flush()
"""


class End(NamedTuple):
    """How a program ended."""

    status: int
    output: str
    complaints: str


def complaints_in(written: str) -> str:
    """Returns what was written to standard error, without what asyncio's debug mode says of steps that took long.

    That mode is part of `-X dev`, and on a busy machine any step takes long.
    """
    lines = written.splitlines(keepends=True)
    return "".join(line for line in lines if not (line.startswith("Executing <") and " took " in line))


class Script:
    """A program that is running."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process
        self._complaints: list[str] = []
        assert process.stderr is not None
        self._reader = threading.Thread(target=self._complaints.extend, args=(process.stderr,), daemon=True)
        self._reader.start()

    def hears(self) -> str:
        """Waits for the next line that the program says; empty at its end."""
        assert self._process.stdout is not None
        return self._process.stdout.readline().rstrip("\n")

    def tell(self, line: str = "") -> None:
        """Gives the program a line to read."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()

    def interrupt(self, number: int = signal.SIGINT) -> None:
        """Sends a signal, by default what Ctrl-C sends, while the program waits for something."""
        wait_until_asleep(self._process.pid)
        self._process.send_signal(number)

    def end(self) -> End:
        """Waits for the end; the output is what nobody has heard yet."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        output = self._process.stdout.read()
        status = self._process.wait()
        self._reader.join()
        return End(status, output, complaints_in("".join(self._complaints)))

    def kill(self) -> None:
        """Ends the program if it is still there, and closes the pipes."""
        self._process.kill()
        self._process.wait()
        self._reader.join()
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            if pipe is not None:
                pipe.close()


@contextmanager
def script(source: str, environ: Mapping[str, str], *options: str) -> Iterator[Script]:
    """Starts a program, which sees the environment given besides this process's, and ends it with the context."""
    program = PREAMBLE + textwrap.dedent(source)
    process = subprocess.Popen(
        [sys.executable, *options, "-c", program],
        cwd=ROOT,
        env={**os.environ, **environ},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    running = Script(process)
    try:
        yield running
    finally:
        running.kill()
