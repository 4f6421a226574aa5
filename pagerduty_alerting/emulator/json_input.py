"""Reads JSON into attrs classes and the arguments of functions, strictly, with readable error messages."""

import enum
import inspect
from collections.abc import Callable, Iterable, Mapping
from types import NoneType, UnionType
from typing import TypeVar, cast, get_args, get_origin

import orjson
from attrs import NOTHING, fields, has

from pagerduty_alerting.emulator.errors import EmulatorUsageError

T = TypeVar("T")

_PLAIN: dict[object, str] = {str: "a string", int: "an integer", float: "a number", bool: "true or false"}


def read_json(data: bytes | str, wanted: type[T]) -> T:
    """Reads JSON as an instance of an attrs class; the message of an `EmulatorUsageError` says what is wrong, where."""
    return cast("T", _read(_parse(data), wanted, "$"))


def read_arguments(data: bytes, function: Callable[..., object]) -> dict[str, object]:
    """Reads a JSON object as the arguments of a function, by its annotations; empty data stands for no arguments."""
    optional = all(has_default for _, _, has_default in _parameters(function))
    return convert_arguments({} if optional and not data else _parse(data), function)


def convert_arguments(value: object, function: Callable[..., object]) -> dict[str, object]:
    """Like `read_arguments`, for a parsed value."""
    return _read_object(value, _parameters(function), "$")


def _parse(data: bytes | str) -> object:
    try:
        return orjson.loads(data)
    except ValueError as error:
        raise EmulatorUsageError(f"not JSON: {error}") from None


def _parameters(function: Callable[..., object]) -> list[tuple[str, object, bool]]:
    parameters = inspect.signature(function).parameters.values()
    return [(it.name, it.annotation, it.default is not it.empty) for it in parameters]


def _read(value: object, wanted: object, place: str) -> object:
    kinds, origin = get_args(wanted), get_origin(wanted)
    if wanted is object or isinstance(wanted, str):  # `Json` is a recursive alias: its annotation is a string
        return value
    if wanted in _PLAIN or isinstance(wanted, UnionType):
        return _read_union(value, kinds or (wanted,), place)
    if origin in {tuple, Iterable}:
        if not isinstance(value, list):
            raise _unfit("a list", value, place)
        items = cast("list[object]", value)
        return tuple(_read(item, kinds[0], f"{place}[{number}]") for number, item in enumerate(items))
    if origin is Mapping:
        return {name: _read(item, kinds[-1], f"{place}.{name}") for name, item in _object(value, place).items()}
    if isinstance(wanted, type) and has(wanted):
        known = [(it.name, it.type, it.default is not NOTHING) for it in fields(wanted)]
        return wanted(**_read_object(value, known, place))
    if isinstance(wanted, type) and issubclass(wanted, enum.Enum):
        try:
            return wanted(value)
        except ValueError:
            choices = ", ".join(repr(member.value) for member in wanted)
            raise _unfit(f"one of {choices}", value, place) from None
    raise TypeError(f"JSON cannot be read as {wanted!r}")


def _read_union(value: object, kinds: tuple[object, ...], place: str) -> object:
    if value is None and NoneType in kinds:
        return None
    plain = [kind for kind in kinds if kind in _PLAIN]  # JSON has no others of these, such as bytes
    if not plain:
        return _read(value, kinds[0], place)
    given = type(value)  # not `isinstance`: a boolean is an instance of int
    if given not in plain and not (given is int and float in plain):
        raise _unfit(" or ".join(_PLAIN[kind] for kind in plain), value, place)
    return value


def _read_object(value: object, known: Iterable[tuple[str, object, bool]], place: str) -> dict[str, object]:
    """Reads the fields of an object, each known by its name, its type and whether it may be absent."""
    given = dict(_object(value, place))
    read: dict[str, object] = {}
    problems: list[str] = []
    for name, wanted, optional in known:
        if name in given:
            try:
                read[name] = _read(given.pop(name), wanted, f"{place}.{name}")
            except EmulatorUsageError as error:
                problems.append(str(error))
        elif not optional:
            problems.append(f"required field missing @ {place}.{name}")
    if given:
        problems.append(f"unknown fields {', '.join(sorted(given))} @ {place}")
    if problems:
        raise EmulatorUsageError("; ".join(problems))
    return read


def _object(value: object, place: str) -> dict[str, object]:
    if not isinstance(value, dict):
        raise _unfit("an object", value, place)
    return cast("dict[str, object]", value)


def _unfit(expected: str, value: object, place: str) -> EmulatorUsageError:
    return EmulatorUsageError(f"expected {expected}, not {value!r} @ {place}")
