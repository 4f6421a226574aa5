"""Takes frames that hold requests out of tracebacks, because error trackers show their local variables; pure."""

from collections.abc import Iterator
from types import TracebackType
from typing import cast

# The packages whose frames hold headers, URLs and answers.
_HOLD_REQUESTS = frozenset({"aiohttp", "pagerduty_alerting"})


def hide_requests(error: BaseException, outer: BaseException | None) -> None:
    """Takes this package's and aiohttp's frames out of the tracebacks of an exception and of all that it is linked to.

    Frames of others, such as a limiter's, stay. A context of aiohttp's is cut off: its message may hold the URL.

    Args:
        error: The exception that is about to leave a call. It stays the same object.
        outer: What the caller was handling when it made the call. It is the caller's own, and so left alone.
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
            # Not assigned as an attribute: exceptions that are frozen dataclasses refuse that.
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
