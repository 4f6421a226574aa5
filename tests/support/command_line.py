"""The real command in a separate process, with pipes or on a pseudo-terminal; nothing here sleeps.

Tests of the start (streams that are closed or full, ignored signals) or the exit of the interpreter start `COMMAND`.
"""

import contextlib
import fcntl
import os
import pty
import re
import select
import selectors
import signal
import struct
import sys
import termios
import time
from collections.abc import Iterator, Mapping
from typing import IO

from attrs import define, field, frozen

from tests.support import scripts
from tests.support.asleep import wait_until_asleep
from tests.support.scripts import PATIENCE, Process, pipe

# `-W error`: unclosed resources and deprecated usage show on stderr.
OPTIONS = ("-Werror",)
SOURCE = "from pagerduty_alerting.cli import main; main()"
COMMAND = (sys.executable, *OPTIONS, "-c", SOURCE)

# Makes the pseudo-terminal on standard input the controlling terminal, so that /dev/tty exists.
_CONTROLLED = "import fcntl, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); "

_ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


@frozen
class Ran:
    """The exit status and output of a command."""

    status: int
    out: str
    err: str


def run(*arguments: str, settings: Mapping[str, str], stdin: str = "", encoding: str = "utf-8") -> Ran:
    """Runs the command with pipes instead of a terminal."""
    with started(*arguments, settings=settings, stdin=stdin.encode(encoding)) as command:
        out, err = _read_all(command.stdout, command.stderr)
        return Ran(command.wait(), out.decode(encoding), err.decode(encoding))


def _read_all(*files: IO[str]) -> list[bytes]:
    """Returns everything from some pipes, reading them together, so that no writer blocks."""
    deadline = time.monotonic() + PATIENCE
    read = dict.fromkeys(files, b"")
    with selectors.DefaultSelector() as selector:
        for file in files:
            selector.register(file, selectors.EVENT_READ)
        while selector.get_map():
            ready = selector.select(deadline - time.monotonic())
            assert ready, f"the command neither ended nor wrote in time, after {list(read.values())}"
            for key, _ in ready:
                data = os.read(key.fd, 65536)
                read[key.fileobj] += data
                if not data:
                    selector.unregister(key.fileobj)
    return list(read.values())


@define
class Started:
    """The command with pipes instead of a terminal.

    Attributes:
        process: The command.
        stdout: The reading end of its standard output.
        stderr: The reading end of its standard error.
    """

    process: Process
    stdout: IO[str]
    stderr: IO[str]

    def wait(self) -> int:
        """Waits for the end and returns the exit status."""
        return self.process.wait(PATIENCE)


@contextlib.contextmanager
def started(
    *arguments: str, settings: Mapping[str, str], stdin: bytes = b"", stdout: int | None = None
) -> Iterator[Started]:
    """Starts the command with pipes, and ends it with the context.

    Args:
        *arguments: The arguments of the command.
        settings: The environment.
        stdin: Its input, at most the capacity of a pipe.
        stdout: A descriptor to write to instead of a pipe.
    """
    given, giver = os.pipe()
    with os.fdopen(giver, "wb") as writer:
        assert len(stdin) <= 65536
        writer.write(stdin)
    (out, out_writer), (err, err_writer) = pipe(), pipe()
    descriptors = (given, out_writer if stdout is None else stdout, err_writer)
    command = scripts.started(SOURCE, *arguments, settings=settings, descriptors=descriptors, options=OPTIONS)
    with out, err, command as process:
        for descriptor in (given, out_writer, err_writer):
            os.close(descriptor)
        yield Started(process, out, err)


@define
class OnTerminal:
    """The command on a pseudo-terminal, as for a user.

    Attributes:
        process: The command.
        stdout: The reading end of its standard output if that is a pipe.
        shown: Everything that it wrote to the terminal so far.
    """

    process: Process
    _master: int
    stdout: IO[str] | None = None
    shown: str = ""
    _seen: int = 0
    _undecoded: bytes = field(default=b"", repr=False)

    @property
    def text(self) -> str:
        """The output without colours and other escape sequences."""
        return _ESCAPE.sub("", self.shown).replace("\r\n", "\n")

    @property
    def words(self) -> str:
        """The output on one line, without the line breaks of the terminal's width."""
        return " ".join(self.text.split())

    def wait_for(self, words: str) -> None:
        """Waits until the command shows these words after the previous ones that were waited for."""
        deadline = time.monotonic() + PATIENCE
        while words not in self.words[self._seen :]:
            if not self._read(deadline):
                raise AssertionError(f"it ended without {words!r}, and with {self.words[-600:]!r}")
        self._seen = self.words.index(words, self._seen) + len(words)

    def type(self, text: str) -> None:
        """Types text."""
        os.write(self._master, text.encode())

    def press_ctrl_c(self) -> None:
        """Presses Ctrl-C while the command waits for something."""
        wait_until_asleep(self.process.pid)
        self.type("\x03")

    def terminate(self) -> None:
        """Sends SIGTERM while the command waits for something."""
        wait_until_asleep(self.process.pid)
        self.process.send_signal(signal.SIGTERM)

    def status(self) -> int:
        """Waits for the end and returns the exit status."""
        deadline = time.monotonic() + PATIENCE
        while self._read(deadline):
            pass
        return self.process.wait(PATIENCE)

    def _read(self, deadline: float) -> bool:
        readable, _, _ = select.select([self._master], [], [], max(0.0, deadline - time.monotonic()))
        if not readable:
            raise AssertionError(f"nothing more came in time, after {self.words[-600:]!r}")
        try:
            data = os.read(self._master, 65536)
        except OSError:  # on Linux, the terminal is no longer open anywhere
            data = b""
        self._undecoded += data
        self.shown = self._undecoded.decode("utf-8", "ignore")
        return bool(data)


@contextlib.contextmanager
def on_terminal(
    *arguments: str, settings: Mapping[str, str], columns: int = 100, pipe_stdout: bool = False
) -> Iterator[OnTerminal]:
    """Starts the command on a pseudo-terminal, and ends it with the context."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    stdout, out = pipe() if pipe_stdout else (None, slave)
    command = scripts.started(
        _CONTROLLED + SOURCE,
        *arguments,
        settings={"TERM": "xterm-256color", **settings},
        descriptors=(slave, out, slave),
        options=OPTIONS,
    )
    with contextlib.ExitStack() as opened:
        opened.callback(os.close, master)
        if stdout is not None:
            opened.enter_context(stdout)
        process = opened.enter_context(command)
        for descriptor in {slave, out}:
            os.close(descriptor)
        yield OnTerminal(process, master, stdout)
