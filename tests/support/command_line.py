"""The real command as a process of its own, with pipes or on a pseudo-terminal; nothing here sleeps.

Commands are forked from a process that has imported them, which saves most of the time. Where the start itself is
tested (the interpreter's options and encodings, certificates, streams closed from the start), `COMMAND` is started.
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
import subprocess
import sys
import termios
import time
from collections.abc import Iterator, Mapping
from typing import IO

from attrs import define, field, frozen

from tests.support.asleep import wait_until_asleep
from tests.support.fork_server import Forked, ForkServer

PATIENCE = 120.0

# `-W error`: what a process leaves open, or does in a way that will not last, shows on stderr.
COMMAND = (sys.executable, "-W", "error", "-c", "from pagerduty_alerting.cli import main; main()")

# The same, with the pseudo-terminal that is its standard input as the terminal of its own session: /dev/tty is there.
_ON_TERMINAL = (
    sys.executable,
    "-W",
    "error",
    "-c",
    "import fcntl, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); from pagerduty_alerting.cli import main; main()",
)

# Settings that are read when Python starts, or when aiohttp is imported: a process that runs already has missed them.
_READ_AT_START = re.compile(r"PYTHON.*|LANG|LC_.*|SSL_CERT_.*")

_NOT_INHERITED = re.compile(
    r"CLOUDFLARE_.*|PAGERDUTY_.*|.*_proxy|NO_COLOR|FORCE_COLOR|COLUMNS|LINES|TERM|LANG|LC_.*|PYTHONIOENCODING"
    r"|PYTHONUTF8|PYTHONWARNINGS|TTY_.*",
    re.IGNORECASE,
)
_ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def environment(settings: Mapping[str, str]) -> dict[str, str]:
    """Returns an environment in which only these settings, and nothing of the machine's, change what happens."""
    inherited = {name: value for name, value in os.environ.items() if not _NOT_INHERITED.fullmatch(name)}
    return {**inherited, "LC_ALL": "C.UTF-8", **settings}


@frozen
class Ran:
    """What came of a command."""

    status: int
    out: str
    err: str


_server: ForkServer | None = None


def _fork_server() -> ForkServer:
    global _server
    if _server is None:
        _server = ForkServer(environment({}))
    return _server


def _can_be_forked(settings: Mapping[str, str]) -> bool:
    return hasattr(os, "waitid") and not any(map(_READ_AT_START.fullmatch, settings))


def run(*arguments: str, settings: Mapping[str, str], stdin: str = "", encoding: str = "utf-8") -> Ran:
    """Runs the command with pipes for a terminal."""
    if not _can_be_forked(settings):
        done = subprocess.run(
            [*COMMAND, *arguments],
            env=environment(settings),
            input=stdin.encode(encoding),
            capture_output=True,
            timeout=PATIENCE,
            check=False,
        )
        return Ran(done.returncode, done.stdout.decode(encoding), done.stderr.decode(encoding))
    with started(*arguments, settings=settings, stdin=stdin) as command:
        out, err = _read_all(command.stdout, command.stderr)
        return Ran(command.wait(), out, err)


def _read_all(*files: IO[str]) -> list[str]:
    """Returns all that comes from some pipes, none of which may block those who write to the other."""
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
    return [text.decode() for text in read.values()]


@define
class Started:
    """The command with pipes for a terminal.

    Attributes:
        process: The command.
        stdout: The reading end of its standard output.
        stderr: The reading end of its standard error.
    """

    process: Forked
    stdout: IO[str]
    stderr: IO[str]

    def wait(self) -> int:
        """Waits for the end and returns the exit status."""
        return self.process.wait(PATIENCE)


@contextlib.contextmanager
def started(
    *arguments: str, settings: Mapping[str, str], stdin: str = "", stdout: int | None = None
) -> Iterator[Started]:
    """Starts the command with pipes, and ends it with the context if it has not ended by then.

    Args:
        *arguments: What follows the command's name.
        settings: The environment.
        stdin: What it can read; at most what a pipe holds.
        stdout: A descriptor to write to instead of a pipe.
    """
    given, giver = os.pipe()
    with os.fdopen(giver, "w", encoding="utf-8") as writer:
        assert len(stdin.encode()) <= 65536
        writer.write(stdin)
    (out, out_writer), (err, err_writer) = _pipe(), _pipe()
    descriptors = (given, out_writer if stdout is None else stdout, err_writer)
    process = _fork_server().start(arguments, environment(settings), descriptors)
    for descriptor in (given, out_writer, err_writer):
        os.close(descriptor)
    with out, err, contextlib.closing(process):
        yield Started(process, out, err)


def _pipe() -> tuple[IO[str], int]:
    """Returns the end of a new pipe to read from as a file, and the other as a descriptor."""
    reader, writer = os.pipe()
    return os.fdopen(reader, encoding="utf-8"), writer


@define
class OnTerminal:
    """The command on a pseudo-terminal, as a person would have it.

    Attributes:
        process: The command.
        stdout: The reading end of its standard output, where that is a pipe.
        shown: All that it wrote to the terminal so far.
    """

    process: "Forked | subprocess.Popen[bytes]"
    _master: int
    stdout: IO[str] | None = None
    shown: str = ""
    _seen: int = 0
    _undecoded: bytes = field(default=b"", repr=False)

    @property
    def text(self) -> str:
        """What was shown, without colours and other commands to the terminal."""
        return _ESCAPE.sub("", self.shown).replace("\r\n", "\n")

    @property
    def words(self) -> str:
        """The same on one line, however the terminal's width broke it."""
        return " ".join(self.text.split())

    def wait_for(self, words: str) -> None:
        """Waits until the command has shown these words after the last ones that were waited for."""
        deadline = time.monotonic() + PATIENCE
        while words not in self.words[self._seen :]:
            if not self._read(deadline):
                raise AssertionError(f"it ended without {words!r}, and with {self.words[-600:]!r}")
        self._seen = self.words.index(words, self._seen) + len(words)

    def type(self, text: str) -> None:
        """Types something."""
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
        except OSError:  # how Linux says that nobody has the terminal open any more
            data = b""
        self._undecoded += data
        self.shown = self._undecoded.decode("utf-8", "ignore")
        return bool(data)


@contextlib.contextmanager
def on_terminal(
    *arguments: str, settings: Mapping[str, str], columns: int = 100, pipe_stdout: bool = False
) -> Iterator[OnTerminal]:
    """Starts the command on a pseudo-terminal, and ends it with the context if it has not ended by then."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    stdout, pipe = _pipe() if pipe_stdout else (None, None)
    out = slave if pipe is None else pipe
    environ = environment({"TERM": "xterm-256color", **settings})
    process: Forked | subprocess.Popen[bytes]
    if _can_be_forked(settings):
        process = _fork_server().start(arguments, environ, (slave, out, slave), has_terminal=True)
    else:
        process = subprocess.Popen(
            [*_ON_TERMINAL, *arguments], env=environ, stdin=slave, stdout=out, stderr=slave, start_new_session=True
        )
    for descriptor in filter(None, (slave, pipe)):
        os.close(descriptor)
    try:
        yield OnTerminal(process, master, stdout)
    finally:
        process.kill()
        process.wait(PATIENCE)
        if isinstance(process, Forked):
            process.close()
        if stdout is not None:
            stdout.close()
        os.close(master)
