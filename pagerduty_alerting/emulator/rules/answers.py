"""Answers and refusals in Cloudflare's envelope, as pure values."""

import enum
from typing import Self, TypeAlias

import orjson
from attrs import field, fields_dict, frozen

from pagerduty_alerting.emulator.errors import EmulatorUsageError
from pagerduty_alerting.emulator.rules.contract import Headers

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"


class ErrorCode(enum.IntEnum):
    """The error codes that the emulator answers with.

    Cloudflare publishes none for the integration token: the `TOKEN_…` codes are the emulator's own.
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
    """A request that the API turns down.

    Attributes:
        status: The HTTP status.
        code: The error's code, or None for an error without one.
        message: The error's text.
        chain: Code and text of the errors behind this one.
        headers: Headers that come with it.
        result_id: The id that the failure's `result` carries, as those of create and connect may.
    """

    status: int
    code: int | None
    message: str
    chain: tuple[tuple[int, str], ...] = ()
    headers: Headers = ()
    result_id: str | None = field(default=None, repr=False)


@frozen
class Answer:
    """What goes back to the client; `headers` are those beside the ones that HTTP itself needs."""

    status: int
    body: bytes = field(repr=False)
    headers: Headers = ()


@frozen
class Dialect:
    """The forms of an answer in which the published description and real answers differ.

    Attributes:
        full_failures: Whether failures carry `"messages": []` and `"result": null`; None for what real ones do, of
            which the authentication error alone carries neither.
        null_lists: An account without services answers `"result": null` instead of `[]`.
        list_result_info: A list carries `result_info`.
        delete_result_info: Delete answers with `result` and `result_info`, as it did until 2025.
    """

    full_failures: bool | None = None
    null_lists: bool = False
    list_result_info: bool = True
    delete_result_info: bool = False

    @classmethod
    def of(cls, *forms: str) -> Self:
        """Returns the dialect with forms named as on the command line, such as `null-lists` or `no-full-failures`.

        Raises:
            EmulatorUsageError: There is no such form.
        """
        known = {name.replace("_", "-"): name for name in fields_dict(cls)}
        changes: dict[str, bool] = {}
        for form in forms:
            name = known.get(form.removeprefix("no-"))
            if name is None:
                raise EmulatorUsageError(f"no form {form!r} of answers: use {', '.join(known)}, or one with no-")
            changes[name] = not form.startswith("no-")
        return cls(**changes)


JSON_HEADERS = (("Content-Type", "application/json"),)


def to_json(value: object) -> bytes:
    """Returns a value as JSON."""
    return orjson.dumps(value)


def success(result: Json, status: int = 200, *, count: int | None = None) -> Answer:
    """Returns the answer with a result; with `count`, also a `result_info` of one page that holds so many."""
    envelope: dict[str, Json] = {"result": result, "success": True, "errors": [], "messages": []}
    if count is not None:
        info: dict[str, Json] = {"count": count, "page": 1, "per_page": max(count, 20), "total_count": count}
        envelope["result_info"] = info
    return Answer(status, to_json(envelope), JSON_HEADERS)


def bare_success() -> Answer:
    """Returns the answer that it was done: the envelope without a result."""
    return Answer(200, to_json({"success": True, "errors": [], "messages": []}), JSON_HEADERS)


def failure(refusal: Refusal, dialect: Dialect) -> Answer:
    """Returns the answer with an error, in the form that `dialect` asks for."""
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
    return Answer(refusal.status, to_json(envelope), JSON_HEADERS + refusal.headers)


def authentication_error(status: int) -> Refusal:
    """Returns the refusal of a bad token (401) or of a token without the permission (403)."""
    return Refusal(status, ErrorCode.AUTHENTICATION_ERROR, "Authentication error")


def no_route() -> Refusal:
    """Returns the refusal of a path that the API does not have."""
    return Refusal(404, ErrorCode.NO_ROUTE, "No route for the URI")


def method_not_allowed(allow: str) -> Refusal:
    """Returns the refusal of a method, naming the methods there are."""
    return Refusal(405, ErrorCode.METHOD_NOT_ALLOWED, f"Method not allowed: use {allow}", headers=(("Allow", allow),))
