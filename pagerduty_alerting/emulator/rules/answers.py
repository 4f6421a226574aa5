"""Answers and refusals in Cloudflare's envelope, as pure values; it must not decide which one is due."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import TypeAlias

import attrs
import orjson

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"


class ErrorCode(enum.IntEnum):
    """The error codes that the emulator answers with.

    Cloudflare publishes none for the integration token: the ``TOKEN_…`` codes are the emulator's own.
    """

    AUTHENTICATION_ERROR = 10000
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


@attrs.frozen
class Refusal:
    """A request that the API turns down.

    Attributes:
        status: The HTTP status.
        code: The error's code, or None for an error without one.
        message: The error's text.
        chain: Code and text of the errors behind this one.
        headers: Headers that come with it.
        result_id: The id that the failure's ``result`` carries, as those of create and connect may.
    """

    status: int
    code: int | None
    message: str
    chain: tuple[tuple[int, str], ...] = ()
    headers: tuple[tuple[str, str], ...] = ()
    result_id: str | None = attrs.field(default=None, repr=False)


@attrs.frozen
class Answer:
    """What goes back to the client.

    Attributes:
        status: The HTTP status.
        body: The body's bytes.
        headers: The headers, beside those that HTTP itself needs.
    """

    status: int
    body: bytes = attrs.field(repr=False)
    headers: tuple[tuple[str, str], ...] = ()


@attrs.frozen
class Dialect:
    """The forms of an answer in which the published description and real answers differ.

    Attributes:
        full_failures: Failures carry ``messages``, as documented; real ones leave it out.
        null_lists: An account without services answers ``"result": null`` instead of ``[]``.
        list_result_info: A list carries ``result_info``.
        delete_result_info: Delete answers with ``result`` and ``result_info``, as it did until 2025.
    """

    full_failures: bool = False
    null_lists: bool = False
    list_result_info: bool = True
    delete_result_info: bool = False


JSON_HEADERS = (("Content-Type", "application/json"),)


def to_json(value: object) -> bytes:
    """Write a value as JSON."""
    return orjson.dumps(value)


def success(result: Json, status: int = 200, *, result_info: Mapping[str, Json] | None = None) -> Answer:
    """Answer with a result."""
    envelope: dict[str, object] = {"result": result, "success": True, "errors": [], "messages": []}
    if result_info is not None:
        envelope["result_info"] = result_info
    return Answer(status, to_json(envelope), JSON_HEADERS)


def bare_success() -> Answer:
    """Answer that it was done, with the envelope and no result."""
    return Answer(200, to_json({"success": True, "errors": [], "messages": []}), JSON_HEADERS)


def result_info(count: int) -> dict[str, Json]:
    """Describe a list that fits one page."""
    return {"count": count, "page": 1, "per_page": max(count, 20), "total_count": count}


def failure(refusal: Refusal, dialect: Dialect) -> Answer:
    """Answer with an error, in the form that `dialect` asks for."""
    error: dict[str, Json] = {"message": refusal.message}
    if refusal.code is not None:
        error = {"code": int(refusal.code), "message": refusal.message}
    if refusal.chain:
        error["error_chain"] = [{"code": int(code), "message": text} for code, text in refusal.chain]
    envelope: dict[str, object] = {"success": False, "errors": [error]}
    if dialect.full_failures:
        envelope["messages"] = []
    if refusal.result_id is not None:
        envelope["result"] = {"id": refusal.result_id}
    return Answer(refusal.status, to_json(envelope), JSON_HEADERS + refusal.headers)


def authentication_error(status: int) -> Refusal:
    """The refusal of a bad token (401) or of a token without the permission (403)."""
    return Refusal(status, ErrorCode.AUTHENTICATION_ERROR, "Authentication error")


def no_route() -> Refusal:
    """The refusal of a path that the API does not have."""
    return Refusal(404, ErrorCode.NO_ROUTE, "No route for the URI")


def bad_identifier(path: str) -> Refusal:
    """The refusal of a path with an id in it that leads nowhere."""
    return Refusal(404, ErrorCode.NO_ROUTE, f"Could not route to {path}, perhaps your object identifier is invalid?")


def method_not_allowed(allow: str) -> Refusal:
    """The refusal of a method, naming the methods there are."""
    return Refusal(405, ErrorCode.METHOD_NOT_ALLOWED, f"Method not allowed: use {allow}", headers=(("Allow", allow),))


def internal_error() -> Refusal:
    """The answer to a request over which the emulator itself failed."""
    return Refusal(500, ErrorCode.INTERNAL_ERROR, "The emulator failed: the traceback is in its log")
