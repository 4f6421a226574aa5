"""Masks secrets in text from a server, and removes the frames of tracebacks that hold some; pure."""

import re
from collections.abc import Collection, Iterable
from types import TracebackType
from typing import cast

MASK = "<hidden>"
SNIPPET_LENGTH = 200
# Characters of an excerpt, and what is read beyond them so that a secret that crosses the end is masked whole.
_WINDOW = 4096
_SLACK = 1024
_UUID_LENGTH = 36

_UUID = r"(?<![0-9a-fA-F])[0-9a-fA-F]{8}-?(?:[0-9a-fA-F]{4}-?){3}[0-9a-fA-F]{12}(?![0-9a-fA-F])"

# The packages whose frames hold headers, URLs and responses: error trackers show their local variables.
_HOLD_REQUESTS = frozenset({"aiohttp", "pagerduty_alerting"})


def redact(text: str, secrets: Iterable[str], *, uuids: bool = False) -> str:
    """Returns the text with every secret masked, in any letter case; with `uuids`, every UUID as well."""
    # In one pass, the longest first: one secret may begin with another, or occur in the mask.
    any_secret = "|".join(re.escape(secret) for secret in sorted(secrets, key=len, reverse=True))
    if any_secret:
        text = re.sub(any_secret, MASK, text, flags=re.IGNORECASE)  # host names are shown in lower case
    return re.sub(_UUID, MASK, text) if uuids else text


def excerpt(body: bytes, secrets: Collection[str], *, uuids: bool = False) -> str:
    """Returns the start of a body as text of at most 4,096 characters, secrets masked."""
    text = redact(body[: _WINDOW + _SLACK].decode("utf-8", "replace"), secrets, uuids=uuids)
    if len(body) > _WINDOW + _SLACK:
        # A truncated secret is not recognized, and masks are shorter than what they hide.
        text = text[: -max([_UUID_LENGTH, *map(len, secrets)])]
    return text[:_WINDOW]


def snippet(body: bytes, secrets: Collection[str], *, uuids: bool = False) -> str:
    """Returns the start of a body as one line of at most 200 characters, secrets masked."""
    line = one_line(excerpt(body, secrets, uuids=uuids))
    return line if len(line) <= SNIPPET_LENGTH else line[: SNIPPET_LENGTH - 1] + "…"


def one_line(text: str) -> str:
    """Returns the text on one line, without control characters."""
    return " ".join("".join(character if character.isprintable() else " " for character in text).split())


def hide_requests(error: BaseException, outer: BaseException | None) -> None:
    """Removes this package's and aiohttp's frames from the tracebacks of an exception, its causes and its contexts.

    Other frames, such as a limiter's, stay. An exception of aiohttp's is removed as a context: its message may contain
    the URL. `outer`, the exception that the caller was handling when it made the call, is left unchanged.
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
    entries: list[TracebackType] = []
    while traceback is not None:
        entries.append(traceback)
        traceback = traceback.tb_next
    kept = None
    for entry in reversed(entries):
        if _package(str(entry.tb_frame.f_globals.get("__name__"))) not in _HOLD_REQUESTS:
            kept = TracebackType(kept, entry.tb_frame, entry.tb_lasti, entry.tb_lineno)
    return kept


def _package(module: str) -> str:
    return module.partition(".")[0]
