"""Credentials, and how they are read from the headers of a request."""

import re
from collections.abc import Iterable, Mapping

from attrs import field, frozen

from pagerduty_alerting.emulator.rules.answers import ErrorCode, Refusal, authentication_error
from pagerduty_alerting.emulator.rules.contract import Permission

_BEARER = re.compile(r"Bearer +([A-Za-z0-9._~+/=-]+)", re.IGNORECASE)
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+")
# Global API keys in three formats: until 2026, in Cloudflare's examples, and since 2026.
_KEY = re.compile(r"[0-9a-f]{37,45}|[0-9a-f]{32}|cfk_[0-9A-Za-z_-]+")


def _permissions(named: Iterable[Permission]) -> frozenset[Permission]:
    return frozenset(map(Permission, named))


def _accounts(ids: Iterable[str] | None) -> frozenset[str] | None:
    return None if ids is None else frozenset(ids)


@frozen
class Credential:
    """An API token, or the API key of a user; the fields are described by the methods of `Emulator` that add them."""

    secret: str = field(repr=False)
    permissions: frozenset[Permission] = field(converter=_permissions)
    accounts: frozenset[str] | None = field(default=None, converter=_accounts)
    email: str | None = None

    def covers(self, account_id: str) -> bool:
        """Returns whether the credential is valid for an account."""
        return self.accounts is None or account_id in self.accounts


def bearer_token(authorization: str) -> str | None:
    """Returns the token in an `Authorization` header, or None if the header is malformed."""
    match = _BEARER.fullmatch(authorization)
    return match[1] if match else None


def authenticate(
    headers: Mapping[str, str], tokens: Mapping[str, Credential], keys: Mapping[tuple[str, str], Credential]
) -> Credential | Refusal:
    """Returns the credential of a request, or the refusal if it has no valid one.

    `Authorization` takes precedence over `X-Auth-Key`. Tokens and keys are those of `State`.
    """
    authorization = headers.get("Authorization")
    if authorization is not None:
        token = bearer_token(authorization)
        if token is not None and token in tokens:
            return tokens[token]
        if token is None or _KEY.fullmatch(token):  # Cloudflare also rejects the format of a key sent as a token
            return _invalid_headers((ErrorCode.INVALID_AUTHORIZATION_FORMAT, "Authorization"))
        return authentication_error(401)
    email, key = headers.get("X-Auth-Email"), headers.get("X-Auth-Key")
    if email is None or key is None:
        message = "Missing X-Auth-Key, X-Auth-Email or Authorization headers"
        return Refusal(400, ErrorCode.MISSING_AUTH_HEADERS, message)
    if (email.lower(), key) in keys:
        return keys[email.lower(), key]
    malformed = [
        *([] if _EMAIL.fullmatch(email) else [(ErrorCode.INVALID_AUTH_EMAIL_FORMAT, "X-Auth-Email")]),
        *([] if _KEY.fullmatch(key) else [(ErrorCode.INVALID_AUTH_KEY_FORMAT, "X-Auth-Key")]),
    ]
    if malformed:
        return _invalid_headers(*malformed)
    return Refusal(403, ErrorCode.UNKNOWN_AUTH_KEY, "Unknown X-Auth-Key or X-Auth-Email")


def _invalid_headers(*malformed: tuple[ErrorCode, str]) -> Refusal:
    chain = tuple((int(code), f"Invalid format for {name} header") for code, name in malformed)
    return Refusal(400, ErrorCode.INVALID_REQUEST_HEADERS, "Invalid request headers", chain)
