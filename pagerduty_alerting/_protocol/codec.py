"""Reads answers: bytes in, an envelope or an error out; pure.

It is strict where the API documents a type and tolerant where the API is known to be loose.
"""

import functools
from collections.abc import Callable
from typing import Any, TypeVar, cast, get_args, get_origin

import attrs
import orjson
from cattrs import BaseConverter, Converter, transform_error
from cattrs.cols import list_structure_factory
from cattrs.gen import make_dict_structure_fn
from cattrs.preconf.orjson import make_converter

from pagerduty_alerting._protocol.answer import RawResponse
from pagerduty_alerting._protocol.endpoints import Endpoint, Request
from pagerduty_alerting._protocol.failures import status_error
from pagerduty_alerting.errors import APIResponseValidationError, APIStatusError
from pagerduty_alerting.models import Envelope

T = TypeVar("T")

Hook = Callable[[Any, Any], Any]

_JSON_TYPES: dict[type, str] = {
    bool: "boolean",
    int: "number",
    float: "number",
    str: "string",
    list: "array",
    dict: "object",
}

# A broken answer can be wrong in as many places as it has items: name the first.
_MAX_PROBLEMS = 5


def decode(request: Request[T], answer: RawResponse) -> Envelope[T]:
    """Returns the envelope of an answer that says success.

    Raises:
        APIStatusError: The answer says no, by its status or by `success: false`.
        APIResponseValidationError: The answer says success but is not what the API documents.
    """
    outcome = _read(request, answer)
    if isinstance(outcome, Envelope):
        return outcome
    # Raised here and not where it was found: its traceback would hold the document, and in it perhaps a token.
    try:
        raise outcome
    finally:
        del outcome  # the traceback holds this frame, which must not hold the exception in turn


def _read(request: Request[T], answer: RawResponse) -> Envelope[T] | APIStatusError | APIResponseValidationError:
    """Returns the envelope, or the exception that is to be raised."""
    if not 200 <= answer.status < 300:
        return status_error(request, answer)
    if not answer.is_whole:
        return _refusal(request, answer, f"the body is longer than the limit of {len(answer.body):,} bytes")
    try:
        document = orjson.loads(answer.body)
    except orjson.JSONDecodeError as error:
        # Not chained: the exception of the parser holds the whole document.
        problem = f"the body is not JSON ({error.msg})" if answer.body else "the body is empty"
    else:
        if type(document) is dict:
            return _structure(request, answer, document)  # pyright: ignore[reportUnknownArgumentType]  # JSON's keys
        problem = f"the body is a JSON {_json_type(document)} instead of an object"
    return _refusal(request, answer, problem)


def _structure(
    request: Request[T], answer: RawResponse, document: dict[str, object]
) -> Envelope[T] | APIStatusError | APIResponseValidationError:
    if document.get("success") is False:
        return status_error(request, answer)
    document.setdefault("result", None)
    try:
        envelope: Envelope[T] = _envelope_hook(request.endpoint)(document, None)
    except Exception:
        return _refusal(request, answer, *_explain(request.endpoint.result_type, document))
    return envelope


def _refusal(request: Request[object], answer: RawResponse, *problems: str) -> APIResponseValidationError:
    ray = f", ray {answer.ray_id}" if answer.ray_id else ""
    acted = "" if request.endpoint.replay_safe else " The operation may have been carried out all the same."
    return APIResponseValidationError(
        f"{request.endpoint.operation}: status {answer.status} says success, but {'; '.join(problems)}.{acted}"
        f" Is the base URL that of the Cloudflare API? ({request}{ray})",
        method=request.method,
        path=request.path,
        status=answer.status,
        ray_id=answer.ray_id,
        problems=problems,
    )


def _explain(result_type: Any, document: dict[str, object]) -> tuple[str, ...]:
    """Returns what is wrong and at which JSON path, by structuring once more with a converter that keeps track."""
    try:
        _make_converter(explain=True).structure(document, _envelope_of(result_type))
    except Exception as error:
        return tuple(transform_error(error, format_exception=_format_problem)[:_MAX_PROBLEMS])
    raise AssertionError("both converters have the same hooks")


def _format_problem(error: BaseException, _: type | None) -> str:
    return "it is missing" if isinstance(error, KeyError) else str(error)


def _json_type(value: object) -> str:
    return _JSON_TYPES.get(type(value), "null")


def _envelope_of(result_type: Any) -> Any:
    return Envelope[result_type]


@functools.cache
def _envelope_hook(endpoint: Endpoint[object]) -> Hook:
    return _make_converter(explain=False).get_structure_hook(_envelope_of(endpoint.result_type))


@functools.cache
def _make_converter(*, explain: bool) -> Converter:
    """Makes the converter: the quick one, or one that is half as fast and can say at which path it failed."""
    converter = make_converter(detailed_validation=explain)
    converter.register_structure_hook(str, _only(str, "a string"))
    converter.register_structure_hook(bool, _only(bool, "a boolean"))
    converter.register_structure_hook(int, _structure_int)
    converter.register_structure_hook(type(None), lambda _value, _type: None)
    converter.register_structure_hook_factory(_is_list, _make_list_hook)
    converter.register_structure_hook_factory(_is_model, _make_class_hook)
    return converter


def _is_list(wanted: Any) -> bool:
    return get_origin(wanted) in {list, tuple}


def _is_model(wanted: Any) -> bool:
    return attrs.has(get_origin(wanted) or wanted)


def _only(expected: type, name: str) -> Hook:
    """Makes a hook that lets one JSON type pass and refuses all others: cattrs by itself would convert them."""

    def hook(value: object, _: object) -> object:
        if type(value) is not expected:
            raise TypeError(f"expected {name}, not {_json_type(value)}")
        return value

    return hook


def _structure_int(value: object, _: object) -> int:
    if type(value) is int:
        return value
    if type(value) is float and value.is_integer():  # JSON has but one type of number
        return int(value)
    raise TypeError(f"expected a whole number, not {value if type(value) is float else _json_type(value)}")


def _make_list_hook(list_type: Any, converter: BaseConverter) -> Hook:
    """Makes a hook for an array, where null means none; cattrs by itself would take any iterable."""
    collection = get_origin(list_type)
    item_type = get_args(list_type)[0]
    structure_items = list_structure_factory(list[item_type], converter)  # type: ignore[valid-type]

    def hook(value: object, _: object) -> object:
        if value is None or value == []:
            return collection()
        if type(value) is not list:
            raise TypeError(f"expected an array, not {_json_type(value)}")
        if converter.detailed_validation:
            value = _up_to_the_first_problems(cast("list[object]", value), item_type)
        items = structure_items(value, list)
        return items if collection is list else collection(items)

    return hook


def _up_to_the_first_problems(items: list[object], item_type: Any) -> list[object]:
    """Returns the items as far as problems are told: an exception for each of millions would take gigabytes."""
    structure = _make_converter(explain=False).get_structure_hook(item_type)
    for index, item in enumerate(items):
        try:
            structure(item, item_type)
        except Exception:
            return items[: index + _MAX_PROBLEMS]
    return items


def _make_class_hook(model: Any, converter: BaseConverter) -> Hook:
    """Makes a hook for an object; unknown fields are ignored, because the API adds some without notice."""
    structure_fields = make_dict_structure_fn(model, converter)

    def hook(value: Any, _: object) -> object:
        if type(value) is dict:
            return structure_fields(value, model)  # pyright: ignore[reportUnknownArgumentType]  # keys are text
        raise TypeError(f"expected an object, not {_json_type(value)}")

    return hook
