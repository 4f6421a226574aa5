"""The real command as a process of its own, with pipes or on a pseudo-terminal; nothing here sleeps."""

import contextlib
import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator, Mapping

from attrs import define, field, frozen

from tests.support.asleep import wait_until_asleep

PATIENCE = 30.0

# `-W error`: what a process leaves open, or does in a way that will not last, shows on stderr.
COMMAND = (sys.executable, "-W", "error", "-c", "from pagerduty_alerting.cli import main; main()")

# The same, with the pseudo-terminal that is its standard input as the terminal of its own session: /dev/tty is there.
ON_TERMINAL = (
    sys.executable,
    "-W",
    "error",
    "-c",
    "import fcntl, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); from pagerduty_alerting.cli import main; main()",
)

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


def run(*arguments: str, settings: Mapping[str, str], stdin: str = "", encoding: str = "utf-8") -> Ran:
    """Runs the command with pipes for a terminal."""
    done = subprocess.run(
        [*COMMAND, *arguments],
        env=environment(settings),
        input=stdin.encode(encoding),
        capture_output=True,
        timeout=PATIENCE,
        check=False,
    )
    return Ran(done.returncode, done.stdout.decode(encoding), done.stderr.decode(encoding))


@define
class OnTerminal:
    """The command on a pseudo-terminal, as a person would have it.

    Attributes:
        process: The command.
        shown: All that it wrote to the terminal so far.
    """

    process: subprocess.Popen[bytes]
    _master: int
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
    process = subprocess.Popen(
        [*ON_TERMINAL, *arguments],
        env=environment({"TERM": "xterm-256color", **settings}),
        stdin=slave,
        stdout=subprocess.PIPE if pipe_stdout else slave,
        stderr=slave,
        start_new_session=True,
    )
    os.close(slave)
    try:
        yield OnTerminal(process, master)
    finally:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()
        os.close(master)
