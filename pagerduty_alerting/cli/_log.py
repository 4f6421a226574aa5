"""Shows the library's log on stderr, for `--verbose`."""

import contextlib
import logging
from collections.abc import Generator

from pagerduty_alerting.cli.terminal import Stream, printable


class _ToStream(logging.Handler):
    def __init__(self, stream: Stream) -> None:
        super().__init__()
        self._stream = stream

    def emit(self, record: logging.LogRecord) -> None:
        self._stream.line((f"{record.levelname.lower()}: {printable(record.getMessage())}", "dim"))


@contextlib.contextmanager
def show_log(stream: Stream, *, wanted: bool) -> Generator[None]:
    """Writes what the library logs in this context to a stream, if that is wanted."""
    logger = logging.getLogger("pagerduty_alerting")
    if not wanted:
        yield
        return
    handler = _ToStream(stream)
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    try:
        yield
    finally:
        logger.removeHandler(handler)
