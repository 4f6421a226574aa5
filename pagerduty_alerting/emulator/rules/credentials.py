"""Finds the credential in a request's headers; it must not decide what that credential may do."""

from __future__ import annotations

import re
from collections.abc import Mapping

from pagerduty_alerting.emulator.rules.answers import ErrorCode, Refusal, authentication_error
from pagerduty_alerting.emulator.rules.state import Credential, State

_BEARER = re.compile(r"Bearer +([A-Za-z0-9._~+/=-]+)", re.IGNORECASE)
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+")
_KEY = re.compile(r"[0-9a-z]{37,45}")


def bearer_token(authorization: str) -> str | None:
    """The token in an ``Authorization`` header, or None where the header is malformed."""
    match = _BEARER.fullmatch(authorization)
    return match[1] if match else None


def authenticate(headers: Mapping[str, str], state: State) -> Credential | Refusal:
    """Find out who is asking.

    Args:
        headers: The request's headers; their names compare without case.
        state: Where the credentials are.

    Returns:
        The credential, or why there is none. ``Authorization`` goes before ``X-Auth-Key``.
    """
    authorization = headers.get("Authorization")
    if authorization is not None:
        token = bearer_token(authorization)
        if token is None:
            return _invalid_headers((ErrorCode.INVALID_AUTHORIZATION_FORMAT, "Authorization"))
        return state.credentials.get(token) or authentication_error(401)
    email, key = headers.get("X-Auth-Email"), headers.get("X-Auth-Key")
    if email is None or key is None:
        return Refusal(
            400,
            ErrorCode.MISSING_AUTH_HEADERS,
            "Missing X-Auth-Key, X-Auth-Email or Authorization headers",
        )
    malformed = [
        *([] if _EMAIL.fullmatch(email) else [(ErrorCode.INVALID_AUTH_EMAIL_FORMAT, "X-Auth-Email")]),
        *([] if _KEY.fullmatch(key) else [(ErrorCode.INVALID_AUTH_KEY_FORMAT, "X-Auth-Key")]),
    ]
    if malformed:
        return _invalid_headers(*malformed)
    found = state.keys.get((email.lower(), key))
    return found or Refusal(403, ErrorCode.UNKNOWN_AUTH_KEY, "Unknown X-Auth-Key or X-Auth-Email")


def _invalid_headers(*malformed: tuple[ErrorCode, str]) -> Refusal:
    chain = tuple((int(code), f"Invalid format for {name} header") for code, name in malformed)
    return Refusal(400, ErrorCode.INVALID_REQUEST_HEADERS, "Invalid request headers", chain)
