"""Builds the exception for an error response, with a message that says what to do; pure."""

import time
from collections.abc import Iterable, Iterator
from http.client import responses
from urllib.parse import urlsplit

import orjson
from attrs import frozen

from pagerduty_alerting._protocol.answer import RawResponse
from pagerduty_alerting._protocol.endpoints import Request
from pagerduty_alerting._protocol.infos import as_object, load_json, read_infos
from pagerduty_alerting._protocol.rate_limit import parse_rate_limits, parse_retry_after
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


@frozen(eq=False, repr=False)
class Meaning:
    """The meaning of an error code, or of a status without one."""

    area: str  # what the error concerns, in a word or two
    finding: str  # what is wrong with it
    advice: str = ""  # what to do; the request fills in `{permissions}`, `{token}` and `{wait}`


_PERMISSIONS = (
    "Check that the credentials are valid for the account, and that the token has one of the permissions {permissions}."
)
_TOKEN_OR_KEY = "Send an API token as a token, and a Global API Key as a key with its e-mail address, each complete."
_NO_ROUTE = "Check the account id and the base URL{token}."

_BAD_KEY = Meaning(
    "Authentication", "the API key or its e-mail address is malformed, or an API token was sent as a key", _TOKEN_OR_KEY
)
_UNKNOWN_CREDENTIALS = Meaning("Authentication", "the credentials are unknown to the API", "Check the credentials.")

# The first of these codes that occurs in the errors of a response, or in their chains, determines the meaning.
_BY_CODE = {
    17200: Meaning(
        "Plan",
        "the account's plan does not include PagerDuty",
        "PagerDuty notifications need a zone on a Business or Enterprise plan in the account.",
    ),
    **dict.fromkeys(range(6100, 6104), _BAD_KEY),
    6111: Meaning(
        "Authentication", "the API token is malformed, or a Global API Key was sent as a token", _TOKEN_OR_KEY
    ),
    6003: Meaning("Authentication", "the credentials are malformed", _TOKEN_OR_KEY),
    9103: _UNKNOWN_CREDENTIALS,
    9106: _UNKNOWN_CREDENTIALS,
    9109: Meaning(
        "Account",
        "the credentials are not for this account",
        "Check the account id, and that the token includes this account among its resources.",
    ),
    7003: Meaning(
        "Account",
        "the account id is malformed, or the base URL is wrong",
        "An account id has 32 hexadecimal digits; it is neither an e-mail address nor a zone's id. " + _NO_ROUTE,
    ),
    10000: Meaning(
        "Authentication", "the credentials are not valid, or lack the permission for this account", _PERMISSIONS
    ),
}
_BY_STATUS = {
    304: Meaning(
        "API", "it reported that nothing has changed", "A cache may have responded. Check the base URL and the proxy."
    ),
    401: Meaning("Authentication", "the API does not accept these credentials for this account", _PERMISSIONS),
    403: Meaning("Permission", "the credentials may not do this in this account", _PERMISSIONS),
    404: Meaning("Account", "it was not found", _NO_ROUTE),
    429: Meaning(
        "Rate limit",
        "used up",
        "{wait}: Cloudflare allows 1,200 requests in five minutes and then blocks all calls for five minutes.",
    ),
}
_REDIRECT = Meaning(
    "Base URL", "it redirects to another URL", "Credentials are sent to the configured host only: check the base URL."
)
_SERVER_AT_FAULT = Meaning("API", "it failed", "The fault is on Cloudflare's side: try again later.")

# A response may contain millions of errors; the first few are enough.
_MAX_ERRORS = 20
_MAX_SHOWN = 3
_MAX_TEXT = 300


def meaning_of(status: int, errors: Iterable[ResponseInfo]) -> Meaning:
    """Returns the meaning of a response with this status and these errors."""
    codes = set(_codes(errors))
    for code, meaning in _BY_CODE.items():
        if code in codes:
            return meaning
    if status in _BY_STATUS:
        return _BY_STATUS[status]
    if 300 <= status <= 399:
        return _REDIRECT
    return _SERVER_AT_FAULT if status >= 500 else Meaning("API", f"it responded with status {status}")


def status_error(request: Request[object], answer: RawResponse) -> APIStatusError:
    """Returns the exception for a response with an error status, or with `success: false`."""
    document = _load(answer.body)
    errors = read_infos(document.get("errors"), request.redact, limit=_MAX_ERRORS)
    messages = read_infos(document.get("messages"), request.redact, limit=_MAX_ERRORS)
    retry_after = parse_retry_after(answer.header("Retry-After"), time.time())
    ray_id = request.redact(answer.ray_id or "") or None
    infos = errors or messages
    reason = _infos_text(infos) or _fallback_reason(request, answer, document)
    status_line = f"{answer.status} {responses.get(answer.status, '')}".rstrip()
    sentences = (
        f"{request.endpoint.operation} failed with {status_line}: {reason}.",
        _advice(request, meaning_of(answer.status, infos), retry_after),
        f"({', '.join(_references(request, ray_id, infos))})",
    )
    error_type = InternalServerError if 500 <= answer.status <= 599 else _ERROR_TYPES.get(answer.status, APIStatusError)
    return error_type(
        " ".join(filter(None, sentences)),
        method=request.method,
        path=request.path,
        status=answer.status,
        errors=errors,
        messages=messages,
        headers=answer.redacted_headers(request.redact),
        body=request.excerpt(answer.body),
        ray_id=ray_id,
        rate_limits=parse_rate_limits(answer.headers),
        retry_after=retry_after,
    )


def _load(body: bytes) -> dict[str, object]:
    try:
        return as_object(load_json(body))
    except orjson.JSONDecodeError:
        return {}


def _codes(infos: Iterable[ResponseInfo]) -> Iterator[int]:
    for info in infos:
        if info.code is not None:
            yield info.code
        yield from _codes(info.chain)


def _infos_text(infos: tuple[ResponseInfo, ...]) -> str:
    """Returns the first errors as text: each message with its code, the part of the request, and its causes."""
    return "; ".join(map(_info_text, infos[:_MAX_SHOWN]))


def _info_text(info: ResponseInfo) -> str:
    details: list[str] = []
    if info.code:
        details.append(f"code {info.code}")
    if info.source_pointer:
        details.append(f"at {_brief(info.source_pointer)}")
    text = _brief(info.message) or "an error without a text"
    described = f"{text} ({', '.join(details)})" if details else text
    return f"{described}: {_infos_text(info.chain)}" if info.chain else described


def _fallback_reason(request: Request[object], answer: RawResponse, document: dict[str, object]) -> str:
    """Returns a description of a response without errors in its envelope."""
    location = answer.header("Location")
    if 300 <= answer.status <= 399 and (location is not None or answer.status != 304):
        return f"a redirect to {_redirect_target(location or '', request)}, which is not followed"
    if not answer.body:
        return "the body is empty"
    if document:
        # Not shown: its `result` may be an integration token.
        return "the body contains no error"
    text = snippet(answer.body, request.secrets, uuids=request.endpoint.answers_secret)
    return f"the body is not an envelope of the API, it begins with {text!r}"


def _advice(request: Request[object], meaning: Meaning, retry_after: float | None) -> str:
    """Returns the advice for a person, with the values of this request."""
    return meaning.advice.format(
        permissions=", ".join(request.endpoint.permissions),
        token=", and that the token is authorized in PagerDuty and unused" if request.endpoint.argument else "",
        wait="Wait five minutes" if retry_after is None else f"Wait {retry_after:.0f} s",
    )


def _references(request: Request[object], ray_id: str | None, infos: tuple[ResponseInfo, ...]) -> Iterator[str]:
    """Yields what identifies the request, and the URL of the error's documentation."""
    yield str(request)
    if ray_id:
        yield f"ray {ray_id}"
    for url in [info.documentation_url for info in infos if info.documentation_url][:1]:
        yield f"see {_brief(url)}"


def _brief(text: str) -> str:
    line = one_line(text[: 4 * _MAX_TEXT]).rstrip(".")
    return line if len(line) <= _MAX_TEXT else line[: _MAX_TEXT - 1] + "…"


def _redirect_target(location: str, request: Request[object]) -> str:
    """Returns the host of a redirect's target; the rest of the URL may contain a secret."""
    try:
        host = urlsplit(location).hostname
    except ValueError:
        host = None
    if host is None or len(host) > 253 or not host.isprintable():
        return "another path of the same host" if location.startswith("/") else "an unknown host"
    return redact(host, request.secrets, uuids=True)
