"""Reads JSON, and the `errors` and `messages` of an envelope in all their forms; pure."""

import codecs
import re
from collections.abc import Callable
from typing import cast

import orjson

from pagerduty_alerting.models import ResponseInfo

# An escape sequence of JSON. The group is half of a surrogate pair.
_ESCAPE = rb"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(\\u[dD][89a-fA-F][0-9a-fA-F]{2})|\\."

# Levels of `error_chain` that are read.
_MAX_DEPTH = 3
_MAX_DIGITS = 15


def read_infos(
    value: object, clean: Callable[[str], str] = str, *, limit: int | None = None, depth: int = 0
) -> tuple[ResponseInfo, ...]:
    """Returns at most `limit` valid items, with `clean` applied to their texts.

    A valid item is an object with a message, a code or both, or a string. Others are skipped, because a malformed
    message must not hide a result.
    """
    if not isinstance(value, list) or depth == _MAX_DEPTH:
        return ()
    found: list[ResponseInfo] = []
    for item in cast("list[object]", value)[:limit]:
        if isinstance(item, str):
            found.append(ResponseInfo(clean(item)))
            continue
        fields = as_object(item)
        message, code = fields.get("message"), read_number(fields.get("code"))
        if isinstance(message, str) or code is not None:
            found.append(
                ResponseInfo(
                    clean(message) if isinstance(message, str) else "",
                    code,
                    read_infos(fields.get("error_chain"), clean, limit=limit, depth=depth + 1),
                    _text(fields.get("documentation_url"), clean),
                    _text(as_object(fields.get("source")).get("pointer"), clean),
                )
            )
    return tuple(found)


def load_json(body: bytes) -> object:
    """Returns the value in a JSON body, which may begin with a byte order mark.

    Characters that are not valid, as in a text that was cut within one, are read as U+FFFD.

    Raises:
        orjson.JSONDecodeError: The body is not JSON. The exception holds the whole body.
    """
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        repaired = _repaired(body)
        if repaired == body:
            raise
    return orjson.loads(repaired)


def _repaired(body: bytes) -> bytes:
    """Returns a body without a byte order mark, and with U+FFFD for invalid UTF-8 and halves of surrogate pairs."""
    text = body.removeprefix(codecs.BOM_UTF8).decode("utf-8", "replace").encode()
    return re.sub(_ESCAPE, lambda found: rb"\ufffd" if found[1] else found[0], text, flags=re.DOTALL)


def as_object(value: object) -> dict[str, object]:
    """Returns the value if it is a JSON object, otherwise an empty object."""
    return cast("dict[str, object]", value) if isinstance(value, dict) else {}


def read_number(value: object) -> int | None:
    """Returns an integer given as a number or as a string of digits; None for anything else."""
    if type(value) is int:
        return value
    if type(value) is float and value.is_integer():
        return int(value)
    if type(value) is str and value.isascii() and value.isdigit() and len(value) <= _MAX_DIGITS:
        return int(value)
    return None


def _text(value: object, clean: Callable[[str], str]) -> str | None:
    return clean(value) if isinstance(value, str) else None
