"""Turns an answer that says no into the exception for it, with a message that a person can act on; pure."""

import time
from http import HTTPStatus
from typing import cast
from urllib.parse import urlsplit

import orjson

from pagerduty_alerting._protocol.answer import RawResponse
from pagerduty_alerting._protocol.endpoints import Request
from pagerduty_alerting._protocol.rate_limit import parse_retry_after
from pagerduty_alerting._protocol.redaction import one_line, redact, snippet
from pagerduty_alerting.errors import (
    APIStatusError,
    AuthenticationError,
    BadRequestError,
    ConflictError,
    InternalServerError,
    NotFoundError,
    PermissionDeniedError,
    RateLimitError,
    UnprocessableEntityError,
)
from pagerduty_alerting.models import ResponseInfo

_ERROR_TYPES: dict[int, type[APIStatusError]] = {
    400: BadRequestError,
    401: AuthenticationError,
    403: PermissionDeniedError,
    404: NotFoundError,
    409: ConflictError,
    422: UnprocessableEntityError,
    429: RateLimitError,
}

_AUTHENTICATION_ERROR = 10000
_NO_ROUTE = 7003
_NOT_ENTITLED = 17200

# An answer may hold millions of errors: a person reads a few.
_MAX_ERRORS = 20
_MAX_SHOWN = 3
_MAX_TEXT = 300


def status_error(request: Request[object], answer: RawResponse) -> APIStatusError:
    """Returns the exception for an answer with an error status, or with `success: false`."""
    document = _load(answer.body)
    errors = _infos(document.get("errors"), request)
    retry_after = parse_retry_after(answer.header("Retry-After"), time.time())
    ray = f", ray {answer.ray_id}" if answer.ray_id else ""
    sentences = (
        f"{request.endpoint.operation} failed with {_status_line(answer)}: {_what(request, answer, document, errors)}.",
        _advice(request, answer, errors, retry_after),
        f"({request}{ray})",
    )
    return _error_type(answer.status)(
        " ".join(filter(None, sentences)),
        method=request.method,
        path=request.path,
        status=answer.status,
        errors=errors,
        messages=_infos(document.get("messages"), request),
        ray_id=answer.ray_id,
        retry_after=retry_after,
    )


def _error_type(status: int) -> type[APIStatusError]:
    if 500 <= status <= 599:
        return InternalServerError
    return _ERROR_TYPES.get(status, APIStatusError)


def _load(body: bytes) -> dict[str, object]:
    try:
        return _fields(orjson.loads(body))
    except orjson.JSONDecodeError:
        return {}


def _fields(value: object) -> dict[str, object]:
    return cast("dict[str, object]", value) if isinstance(value, dict) else {}


def _infos(value: object, request: Request[object]) -> tuple[ResponseInfo, ...]:
    """Returns the errors or messages that can be read; those of failures come in more forms than are documented."""
    found: list[ResponseInfo] = []
    for item in cast("list[object]", value)[:_MAX_ERRORS] if isinstance(value, list) else ():
        message = _fields(item).get("message", item)
        code = _fields(item).get("code")
        if isinstance(message, str):
            text = redact(message, request.secrets, uuids=request.endpoint.answers_secret)
            found.append(ResponseInfo(text, code if type(code) is int else None))
    return tuple(found)


def _status_line(answer: RawResponse) -> str:
    try:
        return f"{answer.status} {HTTPStatus(answer.status).phrase}"
    except ValueError:
        return str(answer.status)


def _what(
    request: Request[object],
    answer: RawResponse,
    document: dict[str, object],
    errors: tuple[ResponseInfo, ...],
) -> str:
    """Returns what the API said, or what it answered instead of saying something."""
    if errors:
        shown = [
            _brief(error.message) + (f" (code {error.code})" if error.code else "") for error in errors[:_MAX_SHOWN]
        ]
        return "; ".join(shown)
    if 300 <= answer.status <= 399:
        return f"a redirect to {_host(answer.header('Location') or '')}, which is not followed"
    if not answer.body:
        return "the body is empty"
    if document:
        # Not shown: the `result` in it may be an integration token.
        return "the body names no error"
    text = snippet(answer.body, request.secrets, uuids=request.endpoint.answers_secret)
    return f"the body is no envelope of the API but begins {text!r}"


def _advice(
    request: Request[object], answer: RawResponse, errors: tuple[ResponseInfo, ...], retry_after: float | None
) -> str:
    """Returns what a person can do about it."""
    codes = {error.code for error in errors}
    if _NOT_ENTITLED in codes:
        return "PagerDuty notifications need a zone on a Business or Enterprise plan in the account."
    if _AUTHENTICATION_ERROR in codes or answer.status in {401, 403}:
        return (
            "Check that the credentials are valid for the account, and that the token has one of the permissions "
            f"{', '.join(request.endpoint.permissions)}."
        )
    if answer.status == 429:
        wait = f"Wait {retry_after:.0f} s" if retry_after is not None else "Wait five minutes"
        return f"{wait}: Cloudflare allows 1,200 requests in five minutes and then blocks all calls for five minutes."
    if _NO_ROUTE in codes or answer.status == 404:
        token = ", and that the token is authorised in PagerDuty and unused" if request.endpoint.method == "GET" else ""
        return f"Check the account id and the base URL{token if request.endpoint.answers_secret else ''}."
    if 300 <= answer.status <= 399:
        return "Credentials are sent to the configured host only: check the base URL."
    if answer.status >= 500:
        return "The fault is on Cloudflare's side: try again later."
    return ""


def _brief(text: str) -> str:
    line = one_line(text[: 4 * _MAX_TEXT]).rstrip(".")
    return line if len(line) <= _MAX_TEXT else line[: _MAX_TEXT - 1] + "…"


def _host(location: str) -> str:
    """Returns the host of a redirect's target and nothing else of it: the rest may hold anything."""
    try:
        host = urlsplit(location).hostname
    except ValueError:
        host = None
    if host is None or len(host) > 253 or not host.isprintable():
        return "an unnamed place" if not location.startswith("/") else "another path of the same host"
    return host
