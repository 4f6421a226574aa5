"""Detects errors that reach no test: in callbacks of a loop, finalizers, abandoned tasks and other threads."""

import contextlib
import gc
import logging
import sys
import threading
import traceback
from collections.abc import Iterator

import pytest

# Exceptions in callbacks of a loop and in handlers of a server are only logged.
WATCHED_LOGGERS = ("asyncio", "aiohttp.server")


class _Reports(logging.Handler):
    """Collects logged errors, and those that Python reports only on stderr."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.reports: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.reports.append(self.format(record))

    def unraisable(self, report: "sys.UnraisableHookArgs") -> None:
        self._add(report.err_msg or "Exception ignored in", report.exc_value, report.exc_type, repr(report.object))

    def in_thread(self, report: threading.ExceptHookArgs) -> None:
        if report.exc_type is not SystemExit:
            self._add("Exception in thread", report.exc_value, report.exc_type, repr(report.thread))

    def _add(self, what: str, error: BaseException | None, kind: type[BaseException], where: str) -> None:
        lines = traceback.format_exception(error) if error is not None else [kind.__name__]
        self.reports.append(f"{what} {where}\n{''.join(lines)}")


@contextlib.contextmanager
def no_reports() -> Iterator[list[str]]:
    """Fails the test at the end of the context if anything was reported in it; a test may empty the list yielded.

    Reported are errors that asyncio or an aiohttp server logged ("Task was destroyed but it is pending!" among them),
    exceptions that could not be raised, and exceptions that ended a thread.
    """
    noticed = _Reports()
    hooks = sys.unraisablehook, threading.excepthook
    sys.unraisablehook, threading.excepthook = noticed.unraisable, noticed.in_thread
    loggers = [logging.getLogger(name) for name in WATCHED_LOGGERS]
    for logger in loggers:
        logger.addHandler(noticed)
    try:
        yield noticed.reports
        gc.collect(0)  # recent garbage only; a full collection takes longer than most tests
    finally:
        for logger in loggers:
            logger.removeHandler(noticed)
        sys.unraisablehook, threading.excepthook = hooks
    if noticed.reports:
        pytest.fail("reported, but raised nowhere:\n" + "\n".join(noticed.reports), pytrace=False)
