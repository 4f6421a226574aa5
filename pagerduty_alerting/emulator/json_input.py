"""Reads JSON into attrs classes, strictly, with readable error messages."""

import contextlib
import enum
from collections.abc import Callable, Mapping
from types import NoneType, UnionType
from typing import TypeAlias, TypeVar, cast, get_args, get_origin

import cattrs
import orjson
from attrs import has
from cattrs import Converter, transform_error
from cattrs.gen import make_dict_structure_fn

from pagerduty_alerting.emulator.errors import EmulatorUsageError

T = TypeVar("T")
Structure: TypeAlias = Callable[[object, type], object]

_PLAIN = {str: "a string", int: "an integer", float: "a number", bool: "true or false"}


def _plain(value: object, wanted: type) -> object:
    if issubclass(wanted, enum.Enum):
        return _choice(value, wanted)
    if isinstance(value, bool):
        fits = wanted is bool  # a subclass of int, but not a number in JSON
    else:
        fits = isinstance(value, wanted) or (wanted is float and isinstance(value, int))
    if not fits:
        raise EmulatorUsageError(f"expected {_PLAIN[wanted]}, not {value!r}")
    return value


def _choice(value: object, wanted: type[enum.Enum]) -> object:
    try:
        return wanted(value)
    except ValueError:
        known = ", ".join(repr(member.value) for member in wanted)
        raise EmulatorUsageError(f"expected one of {known}, not {value!r}") from None


def _object(value: object) -> dict[str, object]:
    if not isinstance(value, dict):
        raise EmulatorUsageError(f"expected an object, not {value!r}")
    return cast("dict[str, object]", value)


def _headers(value: object, _: type) -> object:
    return {name: _plain(item, str) for name, item in _object(value).items()}


def _union(value: object, wanted: type) -> object:
    kinds = get_args(wanted)
    if value is None and NoneType in kinds:
        return None
    plain = [kind for kind in kinds if kind in _PLAIN]  # JSON has no bytes
    for kind in plain:
        with contextlib.suppress(EmulatorUsageError):
            return _plain(value, kind)
    raise EmulatorUsageError(f"expected {' or '.join(_PLAIN[kind] for kind in plain)}, not {value!r}")


def _is_union_of_plain(wanted: object) -> bool:
    return isinstance(wanted, UnionType) and set(get_args(wanted)) <= {*_PLAIN, bytes, NoneType}


def _unchanged(value: object, _: type) -> object:
    return value


def _is_tuple(wanted: object) -> bool:
    origin: object = get_origin(wanted)
    return origin is tuple


def _make_converter() -> Converter:
    converter = Converter(forbid_extra_keys=True)

    def for_tuple(wanted: type) -> Structure:
        of_items = cast("type[list[object]]", list.__class_getitem__(get_args(wanted)[0]))

        def structure(value: object, _: type) -> object:
            if not isinstance(value, list):
                raise EmulatorUsageError(f"expected a list, not {value!r}")
            return tuple(converter.structure(cast("list[object]", value), of_items))

        return structure

    def for_class(wanted: type[object]) -> Structure:
        fields = make_dict_structure_fn(wanted, converter, _cattrs_forbid_extra_keys=True)

        def structure(value: object, cls: type) -> object:
            return fields(_object(value), cls)

        return structure

    for plain in _PLAIN:
        converter.register_structure_hook(plain, _plain)
    converter.register_structure_hook_func(lambda wanted: wanted is object, _unchanged)
    converter.register_structure_hook_func(lambda wanted: wanted == Mapping[str, str], _headers)
    converter.register_structure_hook_func(_is_union_of_plain, _union)
    converter.register_structure_hook_factory(_is_tuple, for_tuple)
    converter.register_structure_hook_factory(has, for_class)
    return converter


_CONVERTER = _make_converter()


def read_json(data: bytes | str, wanted: type[T]) -> T:
    """Reads JSON as an instance of an attrs class.

    Raises:
        EmulatorUsageError: It is not JSON or does not fit the class; the message says what is wrong and where.
    """
    try:
        value: object = orjson.loads(data)
    except ValueError as error:
        raise EmulatorUsageError(f"not JSON: {error}") from None
    return read_value(value, wanted)


def read_value(value: object, wanted: type[T]) -> T:
    """Like `read_json`, for a parsed value."""
    try:
        return _CONVERTER.structure(value, wanted)
    except EmulatorUsageError:
        raise
    except (cattrs.BaseValidationError, ValueError, TypeError) as error:
        raise EmulatorUsageError("; ".join(transform_error(error, format_exception=_message_of))) from None


def _message_of(error: BaseException, _: type | None) -> str:
    if isinstance(error, cattrs.ForbiddenExtraKeysError):
        return f"unknown fields {', '.join(sorted(error.extra_fields))}"
    if isinstance(error, KeyError):
        return "required field missing"
    return str(error)
