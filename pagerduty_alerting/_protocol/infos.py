"""Reads JSON, and the `errors` and `messages` of an envelope in all their forms; pure."""

import codecs
from collections.abc import Callable
from typing import cast

import orjson

from pagerduty_alerting.models import ResponseInfo

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
    """Returns the value in a JSON body, which may begin with a byte order mark; orjson's exception holds the body."""
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        if not body.startswith(codecs.BOM_UTF8):
            raise
    return orjson.loads(body.removeprefix(codecs.BOM_UTF8))


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
