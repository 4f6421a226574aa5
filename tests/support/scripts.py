"""Small programs in separate processes, which exchange lines with a test."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, NamedTuple

from tests.support.asleep import wait_until_asleep
from tests.support.fork_server import Forked, ForkServer

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 120.0

# A test runner in the background of a shell ignores Ctrl-C, and its children inherit that.
PREAMBLE = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
def say(*words):
    # In one piece, because other threads write too.
    sys.stdout.write(" ".join(map(str, words)) + "\\n")
    sys.stdout.flush()
"""

_NOT_INHERITED = re.compile(
    r"CLOUDFLARE_.*|PAGERDUTY_.*|.*_proxy|NO_COLOR|FORCE_COLOR|COLUMNS|LINES|TERM|LANG|LC_.*|PYTHONIOENCODING"
    r"|PYTHONUTF8|PYTHONWARNINGS|TTY_.*",
    re.IGNORECASE,
)
# Settings that are read when Python starts or aiohttp is imported, which a forked process has already done.
_READ_AT_START = re.compile(r"PYTHON(?!IOENCODING|ASYNCIODEBUG).*|LANG|LC_.*|SSL_CERT_.*")

CAN_FORK = hasattr(os, "waitid")

Process = Forked | subprocess.Popen[bytes]

_server: ForkServer | None = None


def fork_server() -> ForkServer:
    """Returns the fork server of this process, which is started at the first use."""
    global _server
    _server = _server or ForkServer.started(environment({}))
    return _server


def use_fork_server(address: str) -> None:
    """Makes this process use the fork server that another process has started."""
    global _server
    _server = ForkServer.connected(address)


def environment(settings: Mapping[str, str]) -> dict[str, str]:
    """Returns an environment in which these settings have an effect, and those of the machine have none."""
    inherited = {name: value for name, value in os.environ.items() if not _NOT_INHERITED.fullmatch(name)}
    return {**inherited, "LC_ALL": "C.UTF-8", **settings}


@contextlib.contextmanager
def started(
    source: str,
    *arguments: str,
    settings: Mapping[str, str],
    descriptors: tuple[int, int, int],
    options: Sequence[str] = (),
    is_fresh: bool = False,
) -> Iterator[Process]:
    """Starts a program in its own session, and ends it with the context.

    It is forked if that makes no difference. Options other than those for warnings, settings that are read at the
    start, and tests of the start or exit need a new interpreter.

    Args:
        source: The program.
        *arguments: Its arguments.
        settings: Additions to the environment.
        descriptors: Standard input, output and error.
        options: Options of the interpreter, each in one word, such as `-Werror`.
        is_fresh: Whether it needs a new interpreter for another reason.
    """
    is_fresh = is_fresh or not all(option.startswith("-W") for option in options)
    is_fresh = is_fresh or any(map(_READ_AT_START.fullmatch, settings)) or not CAN_FORK
    environ = environment(settings)
    process: Process
    if is_fresh:
        stdin, stdout, stderr = descriptors
        command = [sys.executable, *options, "-c", source, *arguments]
        process = subprocess.Popen(
            command, env=environ, stdin=stdin, stdout=stdout, stderr=stderr, start_new_session=True
        )
    else:
        rules = [option.removeprefix("-W") for option in options]
        process = fork_server().start(source, arguments, environ, descriptors, rules)
    try:
        yield process
    finally:
        process.kill()
        process.wait(PATIENCE)
        if isinstance(process, Forked):
            process.close()


class End(NamedTuple):
    """How a program ended."""

    status: int
    output: str
    errors: str


def errors_in(written: str) -> str:
    """Returns what was written to standard error, without the messages of asyncio's debug mode on slow steps.

    That mode is part of `-X dev`, and on a busy machine any step may be slow.
    """
    lines = written.splitlines(keepends=True)
    return "".join(line for line in lines if not (line.startswith("Executing <") and " took " in line))


class Script:
    """A program that is running.

    Attributes:
        stdout: Its unread output.
    """

    def __init__(self, process: Process, stdin: IO[str], stdout: IO[str], stderr: IO[str]) -> None:
        self.stdout = stdout
        self._process = process
        self._stdin = stdin
        self._errors: list[str] = []
        self._reader = threading.Thread(target=self._errors.extend, args=(stderr,), daemon=True)
        self._reader.start()

    def read_line(self) -> str:
        """Waits for the next line of the program's output and returns it; empty at its end."""
        return self.stdout.readline().rstrip("\n")

    def write_line(self, line: str = "") -> None:
        """Writes a line to the program's input."""
        self._stdin.write(f"{line}\n")
        self._stdin.flush()

    def interrupt(self, number: int = signal.SIGINT) -> None:
        """Sends a signal, by default what Ctrl-C sends, while the program waits for something."""
        wait_until_asleep(self._process.pid)
        self._process.send_signal(number)

    def join(self) -> None:
        """Waits until standard error is closed."""
        self._reader.join()

    def end(self) -> End:
        """Waits for the end, and returns it with the unread output."""
        self._stdin.close()
        output = self.stdout.read()
        status = self._process.wait(PATIENCE)
        self.join()
        return End(status, output, errors_in("".join(self._errors)))


def program_of(path: Path, *arguments: str) -> str:
    """Returns the source of a program that runs a file with these arguments."""
    return f"import runpy, sys; sys.argv[1:] = {list(arguments)}; runpy.run_path({str(path)!r}, run_name='__main__')"


def pipe() -> tuple[IO[str], int]:
    """Returns the reading end of a new pipe as a file, and the other end as a descriptor."""
    reader, writer = os.pipe()
    return os.fdopen(reader, encoding="utf-8"), writer


@contextlib.contextmanager
def script(
    source: str, settings: Mapping[str, str], *options: str, is_fresh: bool = False, preamble: str = PREAMBLE
) -> Iterator[Script]:
    """Starts a program with pipes, and ends it with the context; see `started`."""
    stdin, writer = os.pipe()
    (stdout, out), (stderr, err) = pipe(), pipe()
    with os.fdopen(writer, "w", encoding="utf-8") as given, stdout, stderr:
        program = started(
            preamble + textwrap.dedent(source),
            settings=settings,
            descriptors=(stdin, out, err),
            options=options,
            is_fresh=is_fresh,
        )
        with program as process:
            for descriptor in (stdin, out, err):
                os.close(descriptor)
            running = Script(process, given, stdout, stderr)
            yield running
        running.join()
