"""How a command ends: its exit status, and on stderr one paragraph on what was wrong, why, and what next."""

import contextlib
import io
import os
import signal
import sys
import traceback
from collections.abc import Callable, Generator
from types import FrameType

from pagerduty_alerting import (
    APIConnectionError,
    APIResponseValidationError,
    APIStatusError,
    APITimeoutError,
    PagerDutyAlertingError,
)
from pagerduty_alerting.cli.output import write_json
from pagerduty_alerting.cli.settings import UsageError
from pagerduty_alerting.cli.terminal import Terminal, printable, show_log

DONE = 0
REFUSED = 1  # the API said no, or something that is not documented
USAGE = 2  # the command cannot work as it was given, or as it was set up
NETWORK = 3  # no answer came, or not in time
BUG = 70
INTERRUPTED = 130  # by Ctrl-C, or by a no to a question
CLOSED_PIPE = 141  # as for a program that SIGPIPE ends
TERMINATED = 143  # by SIGTERM

# What the library's messages say to a programmer, and what a person at a terminal is told instead.
_ADVICE_IN_PYTHON = {
    "the connect_timeout of ": "",
    "pass ssl_context=…": "name it in the environment variable SSL_CERT_FILE",
    ", or set allow_insecure_http=True": "",
}


class CommandError(Exception):
    """An end that says how to go on.

    Attributes:
        next_command: The command to go on with, shown on a line of its own that is never wrapped; empty for none.
    """

    def __init__(self, text: str, next_command: str = "") -> None:
        super().__init__(text)
        self.next_command = next_command


class Stopped(CommandError):
    """The person stopped the command; the text says how things stand."""


class FailedError(CommandError):
    """Adds to its cause, an error of the client's, how to go on from here."""


class NoAnswerError(CommandError):
    """What was waited for did not come, or not in time."""


def exit_status_of(
    command: Callable[[Terminal], int], *, verbose: bool, as_json: bool = False, needs_stdout: bool = True
) -> int:
    """Carries a command out and returns its exit status; whatever it raises becomes a paragraph on stderr.

    Args:
        command: What to carry out.
        verbose: Whether to show the library's log, and tracebacks.
        as_json: Whether errors and warnings are to be JSON.
        needs_stdout: Whether the command is of no use where nobody can read its results.
    """
    stdout_is_closed = sys.stdout is None
    terminal = Terminal.of_process(as_json=as_json)
    with _sigterm_as_ctrl_c() as was_terminated:
        try:
            if needs_stdout and stdout_is_closed:
                raise UsageError("Standard output is closed, so there is no place for the results; nothing was sent.")
            with show_log(terminal.err, wanted=verbose):
                status = command(terminal)
            sys.stdout.flush()
        except BrokenPipeError:
            stop_writing()
            return CLOSED_PIPE
        except OSError as error:
            stop_writing()
            show_error(terminal, error, verbose=verbose)
            return USAGE
        except KeyboardInterrupt:
            terminal.err.end_line()
            show_error(terminal, Stopped("Stopped."), verbose=False)
            return TERMINATED if was_terminated() else INTERRUPTED
        except Stopped as stopped:
            show_error(terminal, stopped, verbose=False)
            return TERMINATED if was_terminated() else INTERRUPTED
        except Exception as error:
            show_error(terminal, error, verbose=verbose)
            return status_for(error)
    return status


@contextlib.contextmanager
def _sigterm_as_ctrl_c() -> Generator[Callable[[], bool]]:
    """Treats SIGTERM like Ctrl-C in this context, and yields what tells whether one came.

    By default it would end the process where it stands: with a hidden cursor, and without a word on how to go on.
    """
    came = False

    def interrupt(_: int, frame: FrameType | None) -> None:
        nonlocal came
        came = True
        handler = signal.getsignal(signal.SIGINT)  # asyncio's while a loop runs: it cancels the main task
        if not callable(handler):  # in the background of a script, where Ctrl-C is ignored
            raise KeyboardInterrupt
        handler(signal.SIGINT, frame)

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield lambda: came
    finally:
        signal.signal(signal.SIGTERM, before)


def show_error(terminal: Terminal, error: Exception, *, verbose: bool, account_id: str | None = None) -> None:
    """Writes the paragraph on an error, or its JSON object, below its traceback if that is wanted."""
    err, next_command = terminal.err, error.next_command if isinstance(error, CommandError) else ""
    if verbose:
        for part in traceback.format_exception(error):
            for line in part.splitlines():
                err.raw(printable(line))
    if terminal.as_json:
        about = {} if account_id is None else {"account_id": account_id}
        fields = {**about, **error_fields(error), "next_command": next_command or None}
        write_json(err, {"error": fields})
    elif isinstance(error, Stopped):
        err.paragraph(str(error))
    else:
        err.paragraph(f"Error: {explanation(error)}", "bold red")
    if next_command and not terminal.as_json:
        err.line(f"  {printable(next_command)}")


def error_fields(error: Exception) -> dict[str, object]:
    """Returns an error as JSON has it: all fields are always there, null where they say nothing."""
    cause = error.__cause__ or error if isinstance(error, FailedError) else error
    answered = cause if isinstance(cause, APIStatusError | APIResponseValidationError) else None
    called = cause if isinstance(cause, APIConnectionError) else answered
    return {
        "type": type(cause).__name__,
        "message": str(error) if cause is error else f"{cause} {error}".strip(),
        "status": None if answered is None else answered.status,
        "codes": list(cause.codes) if isinstance(cause, APIStatusError) else [],
        "ray_id": None if answered is None else answered.ray_id,
        "attempts": None if called is None else called.attempts,
    }


def status_for(error: Exception) -> int:
    """Returns the exit status for an exception."""
    match error:
        case FailedError(__cause__=Exception() as cause):
            return status_for(cause)
        case APIConnectionError() | NoAnswerError():
            return NETWORK
        case APIStatusError() | APIResponseValidationError():
            return REFUSED
        case PagerDutyAlertingError() | UsageError():
            return USAGE
        case _:
            return BUG


def explanation(error: Exception) -> str:
    """Returns what was wrong, why, and what to do, as text that a terminal can take."""
    match error:
        case APITimeoutError():
            text = f"{error} Allow more with --timeout, or see what `pagerduty-alerting doctor` finds."
        case APIConnectionError():
            tried = f" Tried {error.attempts} times." if error.attempts > 1 else ""
            text = f"{error}{tried} See what `pagerduty-alerting doctor` finds."
        case FailedError(__cause__=Exception() as cause):
            text = f"{explanation(cause)} {error}".strip()
        case PagerDutyAlertingError() | UsageError() | CommandError():
            text = str(error)
        case OSError():
            text = f"The operating system refused: {error.strerror or error}."
        case _:
            text = (
                f"{type(error).__name__}: {error}. This is a bug in pagerduty-alerting:"
                " please report it with what --verbose shows."
            )
    for in_python, at_terminal in _ADVICE_IN_PYTHON.items():
        text = text.replace(in_python, at_terminal)
    return printable(text)


def stop_writing() -> None:
    """Sends what is still written to stdout nowhere, as it cannot be written; Python would complain as it exits."""
    with contextlib.suppress(io.UnsupportedOperation):  # it was closed from the start
        number = sys.stdout.fileno()
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, number)
        os.close(nowhere)
