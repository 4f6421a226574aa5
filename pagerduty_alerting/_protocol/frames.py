"""Removes frames that hold requests from tracebacks, because error trackers show their local variables; pure."""

from collections.abc import Iterator
from types import TracebackType
from typing import cast

# The packages whose frames hold headers, URLs and responses.
_HOLD_REQUESTS = frozenset({"aiohttp", "pagerduty_alerting"})


def hide_requests(error: BaseException, outer: BaseException | None) -> None:
    """Removes this package's and aiohttp's frames from the tracebacks of an exception, its causes and its contexts.

    Other frames, such as a limiter's, stay. An exception of aiohttp's is removed as a context: its message may contain
    the URL.

    Args:
        error: The exception that a call is about to raise; it is changed in place.
        outer: The exception that the caller was handling when it made the call; it is left unchanged.
    """
    seen = {id(outer)}
    pending: list[BaseException | None] = [error]
    while pending:
        current = pending.pop()
        if current is None or id(current) in seen:
            continue
        seen.add(id(current))
        current.with_traceback(_others_frames(current.__traceback__))
        if current.__context__ is not None and _package(type(current.__context__).__module__) == "aiohttp":
            # Not an attribute assignment, which exceptions that are frozen dataclasses refuse.
            object.__setattr__(current, "__context__", None)
        pending += [current.__cause__, current.__context__]
        if isinstance(current, BaseExceptionGroup):
            pending += cast("BaseExceptionGroup[BaseException]", current).exceptions


def _others_frames(traceback: TracebackType | None) -> TracebackType | None:
    kept = None
    for entry in reversed(list(_entries(traceback))):
        if _package(str(entry.tb_frame.f_globals.get("__name__"))) not in _HOLD_REQUESTS:
            kept = TracebackType(kept, entry.tb_frame, entry.tb_lasti, entry.tb_lineno)
    return kept


def _entries(traceback: TracebackType | None) -> Iterator[TracebackType]:
    while traceback is not None:
        yield traceback
        traceback = traceback.tb_next


def _package(module: str) -> str:
    return module.partition(".")[0]
