"""Reads responses: bytes in, an envelope or an error out; pure.

It is strict where a wrong type would be a wrong result, and tolerant where only a message is malformed.
"""

import functools
from collections.abc import Callable
from typing import Any, TypeVar, cast, get_args, get_origin

import orjson
from attrs import has
from cattrs import BaseConverter, transform_error
from cattrs.cols import list_structure_factory
from cattrs.gen import make_dict_structure_fn, override

from pagerduty_alerting._protocol.answer import RawResponse
from pagerduty_alerting._protocol.endpoints import Endpoint, Request
from pagerduty_alerting._protocol.infos import load_json, read_infos, read_number
from pagerduty_alerting._protocol.rate_limit import parse_rate_limits
from pagerduty_alerting._protocol.retry import doubt
from pagerduty_alerting.errors import APIResponseValidationError, APIStatusError
from pagerduty_alerting.models import ConnectedDestination, Envelope, IntegrationToken, ResultInfo, Service

T = TypeVar("T")

Hook = Callable[[Any, Any], Any]

_JSON_TYPES: dict[type, str] = {
    bool: "boolean", int: "number", float: "number", str: "string", list: "array", dict: "object"
}  # fmt: skip

# Strings that the API may leave out or send as null; they are read as empty.
_OPTIONAL_TEXTS: dict[type, tuple[str, ...]] = {Service: ("id", "name"), ConnectedDestination: ("id",)}

# A malformed response can have as many problems as it has items; only the first are reported.
_MAX_PROBLEMS = 5


def decode(request: Request[T], answer: RawResponse) -> Envelope[T]:
    """Returns the envelope of a response that reports success in the documented form, or raises the error for it."""
    outcome = _read(request, answer)
    if isinstance(outcome, Envelope):
        return outcome
    # Raised here, because frames further in hold the document, which may contain a token.
    try:
        raise outcome
    finally:
        del outcome  # breaks the reference cycle of the exception and this frame


def _read(request: Request[T], answer: RawResponse) -> Envelope[T] | APIStatusError | APIResponseValidationError:
    """Returns the envelope, or the exception to raise."""
    if not 200 <= answer.status < 300:
        return _status_error(request, answer)
    if not answer.is_whole:
        return _validation_error(request, answer, f"the body is longer than the limit of {len(answer.body):,} bytes")
    try:
        document = load_json(answer.body)
    except orjson.JSONDecodeError as error:
        # Not chained: the parser's exception holds the whole document.
        problem = f"the body is not JSON ({error.msg})" if answer.body else "the body is empty"
    else:
        if type(document) is dict:
            return _structure(request, answer, document)  # pyright: ignore[reportUnknownArgumentType]  # keys of JSON objects are strings
        problem = f"the body is a JSON {_json_type(document)} instead of an object"
    return _validation_error(request, answer, problem)


def _structure(
    request: Request[T], answer: RawResponse, document: dict[str, object]
) -> Envelope[T] | APIStatusError | APIResponseValidationError:
    get = document.get
    success, errors, messages = get("success"), get("errors"), get("messages")
    if success is False:
        return _status_error(request, answer)
    if success is not True:
        return _validation_error(request, answer, *_explain(request.endpoint.result_type, document))
    try:
        result: T = _result_hook(request.endpoint)(get("result"), None)
    except Exception:
        return _validation_error(request, answer, *_explain(request.endpoint.result_type, document))
    return Envelope(
        True,
        result,
        read_infos(errors, request.redact) if errors else (),
        read_infos(messages, request.redact) if messages else (),
        _result_info(get("result_info")),
    )


def _status_error(request: Request[object], answer: RawResponse) -> APIStatusError:
    from pagerduty_alerting._protocol.failures import status_error  # not needed by a program whose calls succeed

    return status_error(request, answer)


def _validation_error(request: Request[object], answer: RawResponse, *problems: str) -> APIResponseValidationError:
    ray_id = request.redact(answer.ray_id or "") or None
    ray = f", ray {ray_id}" if ray_id else ""
    acted = doubt(request.endpoint, was_sent=True)
    return APIResponseValidationError(
        f"{request.endpoint.operation}: status {answer.status} reports success, but {'; '.join(problems)}{acted}."
        f" Is the base URL that of the Cloudflare API? ({request}{ray})",
        method=request.method,
        path=request.path,
        status=answer.status,
        headers=answer.redacted_headers(request.redact),
        body=request.excerpt(answer.body),
        ray_id=ray_id,
        rate_limits=parse_rate_limits(answer.headers),
        problems=problems,
    )


def _explain(result_type: Any, document: dict[str, object]) -> tuple[str, ...]:
    """Returns the problems and their JSON paths, by structuring again with a converter that records them."""
    problems: list[str] = []
    if "success" not in document:
        problems.append("it is missing @ $.success")
    elif document["success"] is not True:
        problems.append(f"expected a boolean, not {_json_type(document['success'])} @ $.success")
    try:
        _make_converter(explain=True).structure(document.get("result"), result_type)
    except Exception as error:
        problems += transform_error(error, "$.result", format_exception=_format_problem)
    return tuple(problems[:_MAX_PROBLEMS])


def _format_problem(error: BaseException, _: type | None) -> str:
    return "it is missing" if isinstance(error, KeyError) else str(error)


def _json_type(value: object) -> str:
    return _JSON_TYPES.get(type(value), "null")


@functools.cache
def _result_hook(endpoint: Endpoint[object]) -> Hook:
    return _make_converter(explain=False).get_structure_hook(endpoint.result_type)


@functools.cache
def _make_converter(*, explain: bool) -> BaseConverter:
    """Returns the fast converter, or with `explain` one that takes twice as long and records JSON paths of problems."""
    converter = BaseConverter(detailed_validation=explain)
    converter.register_structure_hook(str, _structure_text)
    converter.register_structure_hook(type(None), lambda _value, _type: None)
    converter.register_structure_hook_factory(_is_list, _make_list_hook)
    converter.register_structure_hook_factory(has, _make_class_hook)
    return converter


def _is_list(wanted: Any) -> bool:
    return get_origin(wanted) is list


def _structure_text(value: object, _: object) -> str:
    """Returns a string, and rejects all other values, which cattrs would convert."""
    if type(value) is not str:
        raise TypeError(f"expected a string, not {_json_type(value)}")
    return value


def _result_info(value: object) -> ResultInfo | None:
    if type(value) is not dict:
        return None
    get = cast("dict[str, object]", value).get
    numbers = (get("count"), get("page"), get("per_page"), get("total_count"))
    return ResultInfo(*map(read_number, numbers))


def _structure_text_or_null(value: object, _: object) -> object:
    if type(value) is str:
        return value
    if value is None:
        return ""
    raise TypeError(f"expected a string, not {_json_type(value)}")


def _structure_token_id(value: object, _: object) -> object:
    token_id = _structure_text(value, _)
    if not token_id:
        raise ValueError("it is empty")
    if "\ufffd" in token_id:
        raise ValueError("it contains characters that are not valid")
    return token_id


def _make_list_hook(list_type: Any, converter: BaseConverter) -> Hook:
    """Returns a hook for an array, where null reads as empty; cattrs alone would accept any iterable."""
    structure_items = list_structure_factory(list_type, converter)

    def hook(value: object, _: object) -> object:
        if value is None or value == []:
            return []
        if type(value) is not list:
            raise TypeError(f"expected an array, not {_json_type(value)}")
        if converter.detailed_validation:
            value = _truncated_after_problems(cast("list[object]", value), get_args(list_type)[0])
        return structure_items(value, list)

    return hook


def _truncated_after_problems(items: list[object], item_type: Any) -> list[object]:
    """Returns the items up to the last problem to report: millions of exceptions would take gigabytes."""
    structure = _make_converter(explain=False).get_structure_hook(item_type)
    for index, item in enumerate(items):
        try:
            structure(item, item_type)
        except Exception:
            return items[: index + _MAX_PROBLEMS]
    return items


def _make_class_hook(model: Any, converter: BaseConverter) -> Hook:
    """Returns a hook for an object; unknown fields are ignored, because the API may add fields."""
    absent = dict.fromkeys(_OPTIONAL_TEXTS.get(model, ()), "")
    hooks: dict[str, Any] = {name: override(struct_hook=_structure_text_or_null) for name in absent}
    if model is IntegrationToken:
        hooks["id"] = override(struct_hook=_structure_token_id)
    structure_fields = make_dict_structure_fn(model, converter, **hooks)
    explain = converter.detailed_validation

    def hook(value: object, _: object) -> object:
        if type(value) is dict:
            try:
                return structure_fields({**absent, **value} if explain else value, model)  # pyright: ignore[reportUnknownArgumentType]
            except KeyError:
                return structure_fields({**absent, **value}, model)
        if value is None and model is ConnectedDestination:
            return model("")  # the account is linked, and no field of the result is required
        raise TypeError(f"expected an object, not {_json_type(value)}")

    return hook
