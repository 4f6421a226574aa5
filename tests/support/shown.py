"""The texts that any tool can show of an exception, including the local variables in its traceback."""

import pathlib
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from typing import Any

from attrs import fields, has

_TESTS = pathlib.Path(__file__).parents[1]
_DEEPEST = 8


def shown(error: BaseException) -> str:
    """Returns all texts: of the exception, its context, its cause and its group's members, and of their frames' locals.

    Frames of the tests are left out: a caller's own variables are the caller's.
    """
    texts: list[str] = []
    seen: set[int] = set()
    pending: list[BaseException | None] = [error]
    while pending:
        current = pending.pop()
        if current is None or id(current) in seen:
            continue
        seen.add(id(current))
        texts += [str(current), repr(current), *getattr(current, "__notes__", ()), *_texts(current.args)]
        pending += [current.__cause__, current.__context__]
        if isinstance(current, BaseExceptionGroup):
            pending += current.exceptions
        for frame, _ in traceback.walk_tb(current.__traceback__):
            if _TESTS not in pathlib.Path(frame.f_code.co_filename).parents:
                texts += _texts(frame.f_locals)
    return "\n".join(texts)


def _texts(value: object, depth: int = 0) -> Iterator[str]:
    """Walks into mappings, sequences, sets and attrs classes, like tools that pretty-print values."""
    yield repr(value)
    if depth == _DEEPEST or isinstance(value, str | bytes):
        return
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _texts(key, depth + 1)
            yield from _texts(item, depth + 1)
    elif isinstance(value, Sequence | Set):
        for item in value:
            yield from _texts(item, depth + 1)
    elif has(type(value)):
        for field in fields(type(value)):
            show: Callable[[Any], str] | bool | None = field.repr
            if callable(show):
                yield show(getattr(value, field.name))
            elif show:
                yield from _texts(getattr(value, field.name, None), depth + 1)
