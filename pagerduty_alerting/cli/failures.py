"""How a command ends: its exit status, and on stderr one paragraph on what was wrong, why, and what next."""

import contextlib
import io
import os
import sys
import traceback
from collections.abc import Callable

from pagerduty_alerting import (
    APIConnectionError,
    APIResponseValidationError,
    APIStatusError,
    APITimeoutError,
    PagerDutyAlertingError,
)
from pagerduty_alerting.cli._log import show_log
from pagerduty_alerting.cli.settings import UsageError
from pagerduty_alerting.cli.terminal import Stream, Terminal, printable

DONE = 0
REFUSED = 1  # the API said no, or something that is not documented
USAGE = 2  # the command cannot work as it was given, or as it was set up
NETWORK = 3  # no answer came, or not in time
BUG = 70
INTERRUPTED = 130  # by Ctrl-C, or by a no to a question
CLOSED_PIPE = 141  # as for a program that SIGPIPE ends

# What the library's messages advise a programmer, and what a person at a terminal does instead.
_ADVICE_IN_PYTHON = {
    "pass ssl_context=…": "name it in the environment variable SSL_CERT_FILE",
    ", or set allow_insecure_http=True": "",
}


class Stopped(Exception):
    """The person stopped the command; the text says how things stand, and how to go on."""


class FailedError(Exception):
    """Adds to its cause, an error of the client's, how to go on from here."""


class TookTooLongError(Exception):
    """What was waited for did not happen in time."""


def exit_status_of(command: Callable[[Terminal], int], *, verbose: bool) -> int:
    """Carries a command out and returns its exit status; whatever it raises becomes a paragraph on stderr."""
    terminal = Terminal.of_process()
    try:
        with show_log(terminal.err, wanted=verbose):
            status = command(terminal)
        sys.stdout.flush()
    except BrokenPipeError:
        stop_writing()
        return CLOSED_PIPE
    except OSError as error:
        stop_writing()
        show_error(terminal.err, error, verbose=verbose)
        return USAGE
    except KeyboardInterrupt:
        terminal.err.end_line()
        terminal.err.paragraph("Stopped.")
        return INTERRUPTED
    except Stopped as stopped:
        terminal.err.paragraph(str(stopped))
        return INTERRUPTED
    except Exception as error:
        show_error(terminal.err, error, verbose=verbose)
        return status_for(error)
    return status


def show_error(err: Stream, error: Exception, *, verbose: bool) -> None:
    """Writes the paragraph on an error, below its traceback if that is wanted."""
    if verbose:
        for part in traceback.format_exception(error):
            for line in part.splitlines():
                err.raw(printable(line))
    err.paragraph(f"Error: {explanation(error)}", "bold red")


def status_for(error: Exception) -> int:
    """Returns the exit status for an exception."""
    match error:
        case FailedError(__cause__=Exception() as cause):
            return status_for(cause)
        case APIConnectionError() | TookTooLongError():
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
            text = f"{error} See what `pagerduty-alerting doctor` finds."
        case FailedError(__cause__=Exception() as cause):
            text = f"{explanation(cause)} {error}".strip()
        case PagerDutyAlertingError() | UsageError() | TookTooLongError():
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
    """Leaves stdout alone, which cannot be written to any more; Python would complain as it exits."""
    with contextlib.suppress(io.UnsupportedOperation):  # it was closed from the start
        number = sys.stdout.fileno()
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, number)
        os.close(nowhere)
