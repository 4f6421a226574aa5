"""Starts programs by forking a process that has imported the package, in a few milliseconds instead of 400.

Run as a program, this file is the server: it imports the package once, and forks a child for each request, with the
source, arguments, environment, directory and descriptors of the request. Each child has a session of its own.
`ForkServer` is used by `scripts.started`.
"""

import atexit
import builtins
import contextlib
import gc
import importlib
import io
import json
import os
import pkgutil
import selectors
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import types
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

from attrs import define

_ROOT = Path(__file__).resolve().parents[2]
# Programs themselves, or of use to pytest alone.
_NOT_IMPORTED = {
    "pagerduty_alerting.__main__",
    "pagerduty_alerting._generate",
    "pagerduty_alerting.emulator.pytest_plugin",
}


# The side of the tests.


@define
class Forked:
    """A forked program, with the names of `subprocess.Popen` where it has the same methods.

    Attributes:
        pid: Its process id, valid until `close`.
        returncode: Its exit status, or minus the number of the signal that ended it; None before `wait`.
    """

    pid: int
    _connection: socket.socket
    returncode: int | None = None

    def wait(self, timeout: float) -> int:
        """Waits for the end and returns the exit status."""
        if self.returncode is None:
            self._connection.settimeout(timeout)
            self.returncode = int(_read_line(self._connection))
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Sends a signal. The process may have ended, but its id is not reused before `close`."""
        os.kill(self.pid, number)

    def kill(self) -> None:
        """Ends the program."""
        self.send_signal(signal.SIGKILL)

    def close(self) -> None:
        """Releases the process id; the server kills the program if it still runs."""
        self._connection.close()


@define
class ForkServer:
    """The server, as one process of the tests uses it.

    Attributes:
        address: Where other processes of the tests can connect to it.
    """

    address: str
    _control: socket.socket

    @classmethod
    def started(cls, environ: Mapping[str, str]) -> "ForkServer":
        """Starts a server, which ends with this process."""
        directory = tempfile.mkdtemp()
        address = f"{directory}/fork-server"
        ours, theirs = socket.socketpair()
        with theirs, socket.socket(socket.AF_UNIX) as listener:
            listener.bind(address)
            listener.listen()
            process = subprocess.Popen(
                [sys.executable, "-m", "tests.support.fork_server", str(theirs.fileno()), str(listener.fileno())],
                cwd=_ROOT,
                env=environ,
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno(), listener.fileno()],
                start_new_session=True,
            )

        def stop() -> None:
            ours.close()
            process.wait()  # when it ends, it writes its coverage data
            shutil.rmtree(directory)

        atexit.register(stop)
        return cls(address, ours)

    @classmethod
    def connected(cls, address: str) -> "ForkServer":
        """Connects to a server that another process has started."""
        control = socket.socket(socket.AF_UNIX)
        control.connect(address)
        atexit.register(control.close)
        return cls(address, control)

    def start(
        self,
        source: str,
        arguments: Sequence[str],
        environ: Mapping[str, str],
        descriptors: tuple[int, int, int],
        warnings: Sequence[str] = (),
    ) -> Forked:
        """Starts a program.

        Args:
            source: The program.
            arguments: Its arguments.
            environ: The whole environment.
            descriptors: Standard input, output and error.
            warnings: What to do with warnings, as after `-W`: an action, or `action::Category`.
        """
        ours, theirs = socket.socketpair()
        with theirs:
            # One byte carries the descriptors, so that requests of several threads cannot mix.
            socket.send_fds(self._control, [b"1"], [*descriptors, theirs.fileno()])
        request = {
            "source": source,
            "arguments": arguments,
            "environ": dict(environ),
            "directory": str(Path.cwd()),
            "warnings": warnings,
        }
        ours.sendall(json.dumps(request).encode() + b"\n")
        return Forked(int(_read_line(ours)), ours)


def _read_line(connection: socket.socket) -> str:
    """Returns the next line, read byte by byte, so that nothing after it is read."""
    line = b""
    while not line.endswith(b"\n"):
        byte = connection.recv(1)
        if not byte:
            raise EOFError("the fork server has ended")
        line += byte
    return line.decode()


# The side of the server.


@define
class _Child:
    """A program, as the server manages it.

    Attributes:
        pid: Its process id.
        connection: The connection to the test that started it, which closes it when it is done with the process.
        lifeline: A pipe that is closed when the child ends; None after that.
    """

    pid: int
    connection: socket.socket
    lifeline: int | None

    def end(self) -> None:
        """Reports the exit status. A zombie stays, so that the test can send signals to the process id."""
        end = os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT)
        assert end is not None
        status = end.si_status if end.si_code == os.CLD_EXITED else -end.si_status
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self.connection.sendall(f"{status}\n".encode())

    def release(self) -> None:
        """Kills the child if it still runs, and releases its process id."""
        self.connection.close()
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)


def _serve(owner: socket.socket, listener: socket.socket) -> None:
    """Forks a child for each request, until the owner, the process that started the server, closes its connection."""
    selector = selectors.DefaultSelector()
    selector.register(owner, selectors.EVENT_READ)
    selector.register(listener, selectors.EVENT_READ)
    while True:
        # One event at a time, because handling it may close what the others belong to.
        key, _ = selector.select()[0]
        if key.fileobj is listener:
            selector.register(listener.accept()[0], selectors.EVENT_READ)
        elif isinstance(key.data, _Child):
            _handle_child(selector, key.data, has_ended=key.fd == key.data.lifeline)
        elif not _handle_request(selector, key.fileobj):
            if key.fileobj is owner:
                return
            selector.unregister(key.fileobj)
            key.fileobj.close()


def _handle_child(selector: selectors.BaseSelector, child: _Child, *, has_ended: bool) -> None:
    """Reports the end of a child, or releases it because the test is done with it."""
    if child.lifeline is not None:
        selector.unregister(child.lifeline)
        os.close(child.lifeline)
        child.lifeline = None
    if has_ended:
        child.end()
    else:
        selector.unregister(child.connection)
        child.release()


def _handle_request(selector: selectors.BaseSelector, control: socket.socket) -> bool:
    """Starts the child that is requested over a connection; returns False at the end of the connection."""
    _, descriptors, _, _ = socket.recv_fds(control, 1, 4)
    if not descriptors:
        return False
    child = _accept(selector, descriptors)
    selector.register(child.connection, selectors.EVENT_READ, child)
    selector.register(child.lifeline, selectors.EVENT_READ, child)
    return True


def _accept(selector: selectors.BaseSelector, descriptors: list[int]) -> _Child:
    """Reads a request and returns the child that was forked for it."""
    connection = socket.socket(fileno=descriptors.pop())
    request = json.loads(_read_line(connection))
    # Nothing is written to it. It ends with the last process that has its writing side, which is the child.
    lifeline, held_by_child = os.pipe()
    pid = os.fork()
    if pid == 0:
        inherited = [key.fd for key in selector.get_map().values()] + [connection.fileno(), lifeline]
        os._exit(_run(request, descriptors, inherited))
    for descriptor in (held_by_child, *descriptors):
        os.close(descriptor)
    connection.sendall(f"{pid}\n".encode())
    return _Child(pid, connection, lifeline)


def _run(request: dict[str, object], descriptors: list[int], inherited: list[int]) -> int:
    """Runs the program in the child as if it had been started, and returns its exit status."""
    match request:
        case {
            "source": str(source),
            "arguments": list(arguments),
            "environ": dict(environ),
            "directory": str(directory),
            "warnings": list(rules),
        }:
            pass
        case _:
            raise ValueError(request)
    os.setsid()
    for number, descriptor in enumerate(descriptors):
        os.dup2(descriptor, number)
    for descriptor in (*descriptors, *inherited):
        os.close(descriptor)
    os.chdir(directory)
    os.environ.clear()
    os.environ.update(environ)
    for rule in rules:
        action, _, category = rule.partition("::")
        warnings.simplefilter(action, getattr(builtins, category or "Warning"))
    sys.argv = ["-c", *arguments]
    # As Python opens them: in this variable's encoding, or that of the locale C.UTF-8, which forked programs have.
    encoding = environ.get("PYTHONIOENCODING", "utf-8")
    errors = "strict" if "PYTHONIOENCODING" in environ else "surrogateescape"
    sys.stdin = open(0, encoding=encoding, errors=errors, closefd=False)  # noqa: SIM115
    sys.stdout = open(1, "w", encoding=encoding, errors=errors, closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", encoding=encoding, errors="backslashreplace", buffering=1, closefd=False)  # noqa: SIM115
    return _finish(_status_of(source))


def _status_of(source: str) -> int:
    """Executes the program as the main module, and returns its exit status."""
    sys.modules["__main__"] = main = types.ModuleType("__main__")
    try:
        exec(compile(source, "<string>", "exec"), vars(main))
    except SystemExit as end:
        if end.code is None or isinstance(end.code, int):
            return end.code or 0
        print(end.code, file=sys.stderr)
        return 1
    except BaseException as error:
        of_this_frame = error.__traceback__
        error.__traceback__ = of_this_frame and of_this_frame.tb_next
        sys.excepthook(type(error), error, error.__traceback__)
        return 1
    return 0


def _finish(status: int) -> int:
    """Does what the interpreter does at exit, but for the teardown of modules.

    It waits for threads, calls the exit handlers, warns of unclosed resources without references, and flushes.
    """
    threading._shutdown()
    atexit._run_exitfuncs()
    gc.collect()
    try:
        sys.stdout.flush()
    except OSError as error:
        sys.excepthook(type(error), error, None)
        status = 120
    sys.stderr.flush()
    return status


def _main(owner: int, listener: int) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        package = importlib.import_module("pagerduty_alerting")
        modules = {module.name for module in pkgutil.walk_packages(package.__path__, "pagerduty_alerting.")}
        for name in sorted(modules - _NOT_IMPORTED):
            importlib.import_module(name)
        # Typer imports some things, pydantic for one, when it first needs them.
        with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):
            importlib.import_module("pagerduty_alerting.cli.app").app(["services", "list", "--help"])
    if "coverage" in sys.modules and (measurement := sys.modules["coverage"].Coverage.current()) is not None:
        measurement.save()  # so that a child writes only its own measurements
    gc.collect()
    gc.freeze()  # a child collects its own garbage alone, and copies no page for that
    with socket.socket(fileno=owner) as connection, socket.socket(fileno=listener) as listening:
        _serve(connection, listening)


if __name__ == "__main__":
    _main(*map(int, sys.argv[1:]))
