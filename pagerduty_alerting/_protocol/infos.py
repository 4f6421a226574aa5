"""Reads JSON, and the `errors` and `messages` of an envelope, in every form that they come in; pure."""

import codecs
from collections.abc import Callable
from typing import cast

import orjson

from pagerduty_alerting.models import ResponseInfo

# An error that caused an error that caused an error.
_MAX_DEPTH = 3
_MAX_DIGITS = 15


def read_infos(
    value: object, clean: Callable[[str], str] = str, *, limit: int | None = None, depth: int = 0
) -> tuple[ResponseInfo, ...]:
    """Returns the items that can be read, at most `limit` of them, their texts as `clean` returns them.

    An item is an object with a message, a code, or both; or only a text. What is none of these is passed over, because
    a remark of the API is never worth a result.
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
    """Returns what a body holds; a byte order mark before it is passed over.

    Raises:
        orjson.JSONDecodeError: It is not JSON. The exception holds the whole body.
    """
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        if not body.startswith(codecs.BOM_UTF8):
            raise
    return orjson.loads(body.removeprefix(codecs.BOM_UTF8))


def as_object(value: object) -> dict[str, object]:
    """Returns a JSON object, or an empty one in place of anything else."""
    return cast("dict[str, object]", value) if isinstance(value, dict) else {}


def read_number(value: object) -> int | None:
    """Returns a whole number that is written as one, as a float, or as a text of digits; None for anything else."""
    if type(value) is int:
        return value
    if type(value) is float and value.is_integer():
        return int(value)
    if type(value) is str and value.isascii() and value.isdigit() and len(value) <= _MAX_DIGITS:
        return int(value)
    return None


def _text(value: object, clean: Callable[[str], str]) -> str | None:
    return clean(value) if isinstance(value, str) else None
