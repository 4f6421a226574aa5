"""Responses in Cloudflare's envelope, as pure values: successes and refusals."""

import enum
from typing import Self, TypeAlias

import orjson
from attrs import field, fields_dict, frozen

from pagerduty_alerting.emulator.errors import EmulatorUsageError
from pagerduty_alerting.emulator.rules.contract import Headers

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"


class ErrorCode(enum.IntEnum):
    """The error codes of the emulator.

    Cloudflare documents no codes for integration tokens: the `TOKEN_…` codes are the emulator's own.
    """

    AUTHENTICATION_ERROR = 10000
    WRONG_ACCOUNT = 9109
    INVALID_REQUEST_HEADERS = 6003
    INVALID_AUTH_EMAIL_FORMAT = 6102
    INVALID_AUTH_KEY_FORMAT = 6103
    INVALID_AUTHORIZATION_FORMAT = 6111
    UNKNOWN_AUTH_KEY = 9103
    MISSING_AUTH_HEADERS = 9106
    NO_ROUTE = 7003
    METHOD_NOT_ALLOWED = 10405
    INTERNAL_ERROR = 15000
    NOT_ENTITLED = 17200
    TOKEN_UNKNOWN = 17301
    TOKEN_NOT_AUTHORIZED = 17302
    TOKEN_USED = 17303
    TOKEN_EXPIRED = 17304


@frozen
class Refusal:
    """An error response of the API."""

    status: int
    code: int | None
    message: str
    chain: tuple[tuple[int, str], ...] = ()  # the code and text of each error that caused this one
    headers: Headers = ()
    result_id: str | None = field(default=None, repr=False)  # `result.id`, which a failed create or connect may have


@frozen
class Answer:
    """A response to the client, without the headers that the HTTP server adds."""

    status: int
    body: bytes = field(repr=False)
    headers: Headers = ()


@frozen
class Dialect:
    """The forms of responses where Cloudflare's documentation and its real responses differ.

    Attributes:
        full_failures: Whether failures have `"messages": []` and `"result": null`; None for the real behaviour, where
            all failures have them except the authentication error.
        null_lists: Whether the list of an account without services has `"result": null` instead of `[]`.
        list_result_info: Whether a list has `result_info`.
        delete_result_info: Whether delete returns `result` and `result_info`, as it did until 2025.
    """

    full_failures: bool | None = None
    null_lists: bool = False
    list_result_info: bool = True
    delete_result_info: bool = False

    @classmethod
    def of(cls, *forms: str) -> Self:
        """Returns the dialect with these forms, such as `null-lists` or `no-full-failures`.

        Raises:
            EmulatorUsageError: There is no such form.
        """
        known = {name.replace("_", "-"): name for name in fields_dict(cls)}
        changes: dict[str, bool] = {}
        for form in forms:
            name = known.get(form.removeprefix("no-"))
            if name is None:
                raise EmulatorUsageError(
                    f"no form {form!r} of responses: use {', '.join(known)}, or one of these after no-"
                )
            changes[name] = not form.startswith("no-")
        return cls(**changes)


JSON_HEADERS = (("Content-Type", "application/json"),)


def success(result: Json, status: int = 200, *, count: int | None = None) -> Answer:
    """Returns a success with a result; with `count`, also `result_info` for one page of that many items."""
    envelope: dict[str, Json] = {"result": result, "success": True, "errors": [], "messages": []}
    if count is not None:
        info: dict[str, Json] = {"count": count, "page": 1, "per_page": max(count, 20), "total_count": count}
        envelope["result_info"] = info
    return Answer(status, orjson.dumps(envelope), JSON_HEADERS)


def bare_success() -> Answer:
    """Returns a success without a result."""
    return Answer(200, orjson.dumps({"success": True, "errors": [], "messages": []}), JSON_HEADERS)


def failure(refusal: Refusal, dialect: Dialect) -> Answer:
    """Returns a failure in the form of `dialect`."""
    error: dict[str, Json] = {"message": refusal.message}
    if refusal.code is not None:
        error = {"code": int(refusal.code), "message": refusal.message}
    if refusal.chain:
        error["error_chain"] = [{"code": int(code), "message": text} for code, text in refusal.chain]
    envelope: dict[str, object] = {"success": False, "errors": [error]}
    full = dialect.full_failures
    if full is None:
        full = refusal.code != ErrorCode.AUTHENTICATION_ERROR
    if full:
        envelope |= {"messages": [], "result": None}
    if refusal.result_id is not None:
        envelope["result"] = {"id": refusal.result_id}
    return Answer(refusal.status, orjson.dumps(envelope), JSON_HEADERS + refusal.headers)


def authentication_error(status: int) -> Refusal:
    """Returns the refusal of an invalid token (401) or of a token without the permission (403)."""
    return Refusal(status, ErrorCode.AUTHENTICATION_ERROR, "Authentication error")


def no_route() -> Refusal:
    """Returns the refusal of an unknown path."""
    return Refusal(404, ErrorCode.NO_ROUTE, "No route for the URI")


def method_not_allowed(allow: str) -> Refusal:
    """Returns the refusal of a method; `allow` lists the supported ones."""
    return Refusal(405, ErrorCode.METHOD_NOT_ALLOWED, f"Method not allowed: use {allow}", headers=(("Allow", allow),))
