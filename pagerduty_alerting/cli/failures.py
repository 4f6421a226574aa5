"""Exit statuses and error messages of the commands."""

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
from pagerduty_alerting.cli.settings import UsageError, for_terminals
from pagerduty_alerting.cli.terminal import Terminal, printable, show_log

DONE = 0
REFUSED = 1  # the API refused, or its response is not documented
USAGE = 2  # wrong arguments or settings
NETWORK = 3  # no response in time
BUG = 70
INTERRUPTED = 130  # by Ctrl-C, or by declining a question
CLOSED_PIPE = 141  # the status of a program that SIGPIPE ends
TERMINATED = 143  # by SIGTERM


class CommandError(Exception):
    """An error that may have a command to go on with, which is shown on a line of its own that is never wrapped."""

    def __init__(self, text: str, next_command: str = "") -> None:
        super().__init__(text)
        self.next_command = next_command


class Stopped(CommandError):
    """The user stopped the command; the text describes what was done."""


class FailedError(CommandError):
    """Adds advice to its cause, an exception of the client."""


class NoAnswerError(CommandError):
    """A response or an authorization did not arrive in time."""


def exit_status_of(
    command: Callable[[Terminal], int], *, verbose: bool, as_json: bool = False, needs_stdout: bool = True
) -> int:
    """Runs a command and returns its exit status; an exception becomes a message on stderr.

    With `verbose`, the library's log and tracebacks are shown; with `needs_stdout`, it fails if stdout is closed.
    """
    stdout_is_closed = sys.stdout is None
    terminal = Terminal.of_process(as_json=as_json)
    with _sigterm_as_ctrl_c() as was_terminated:
        try:
            if needs_stdout and stdout_is_closed:
                raise UsageError("Standard output is closed, so results cannot be written; nothing was sent.")
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
    """Treats SIGTERM like Ctrl-C in this context, and yields a function that returns whether it was received.

    By default SIGTERM would end the process at once, with a hidden cursor and without a message.
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
    """Writes the message for an error, or its JSON object; with `verbose`, its traceback first."""
    err, next_command = terminal.err, error.next_command if isinstance(error, CommandError) else ""
    if verbose:
        for part in traceback.format_exception(error):
            for line in part.splitlines():
                err.raw(printable(line))
    if terminal.as_json:
        about = {} if account_id is None else {"account_id": account_id}
        fields = {**about, **error_fields(error), "next_command": next_command or None}
        err.json({"error": fields})
    elif isinstance(error, Stopped):
        err.paragraph(str(error))
    else:
        err.paragraph(f"Error: {explanation(error)}", "bold red")
    if next_command and not terminal.as_json:
        err.line(f"  {printable(next_command)}")


def error_fields(error: Exception) -> dict[str, object]:
    """Returns the JSON fields of an error; all are always present, and null if they do not apply."""
    cause = error.__cause__ or error if isinstance(error, FailedError) else error
    return {
        "type": type(cause).__name__,
        "message": str(error) if cause is error else f"{cause} {error}".strip(),
        "status": getattr(cause, "status", None),
        "codes": list(getattr(cause, "codes", ())),
        "ray_id": getattr(cause, "ray_id", None),
        "attempts": getattr(cause, "attempts", None),
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
    """Returns the message for an error, with advice, as printable text."""
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
    return printable(for_terminals(text))


def stop_writing() -> None:
    """Redirects stdout to the null device, so that Python does not report the failed write when it exits."""
    with contextlib.suppress(io.UnsupportedOperation):  # it was closed from the start
        number = sys.stdout.fileno()
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, number)
        os.close(nowhere)
