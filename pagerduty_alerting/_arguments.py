"""Checks of callers' arguments: each returns the value to use, or raises TypeError or ValueError; pure.

No message contains a value that may be a secret.
"""

import ipaddress
import math
import re
from collections.abc import Iterable, Mapping
from typing import cast
from urllib.parse import quote, urlsplit

MAX_IDENTIFIER_LENGTH = 256

_HOST_NAME = r"(?=.{1,253}\.?$)[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63})*\.?"  # others cannot be looked up
_HEADER_NAME = r"[A-Za-z0-9!#$%&'*+.^_`|~-]+"
_HEADERS_OF_CONNECTIONS = frozenset({
    "connection", "content-encoding", "content-length", "expect", "host", "keep-alive", "proxy-authorization",
    "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade",
})  # fmt: skip


def check_text(name: str, value: object) -> str:
    """Returns a non-empty str."""
    if not isinstance(value, str):
        raise TypeError(f"{name} must be a str, not {type(value).__name__}")
    if not value:
        raise ValueError(f"{name} must not be empty")
    return value


def check_header_text(name: str, value: object) -> str:
    """Returns text that is valid in an HTTP header: visible ASCII, spaces only inside."""
    text = check_text(name, value)
    if text != text.strip():
        raise ValueError(f"{name} must not begin or end with white space, such as a newline at its end")
    if not (text.isascii() and text.isprintable()):
        raise ValueError(f"{name} must be printable ASCII, without line breaks")
    return text


def check_secret(name: str, value: object) -> str:
    """Returns a credential that is valid in a header: visible ASCII without spaces."""
    text = check_header_text(name, value)
    if " " in text:
        raise ValueError(f"{name} must not contain spaces")
    return text


def check_headers(name: str, value: object) -> dict[str, str]:
    """Returns headers to send in addition to the client's own; no message contains a value."""
    if not isinstance(value, Mapping):
        raise TypeError(f"{name} must be a mapping of names to values, not {type(value).__name__}")
    checked: dict[str, str] = {}
    for key, text in cast("Mapping[object, object]", value).items():
        if not isinstance(key, str):
            raise TypeError(f"{name} must have names of type str, not {type(key).__name__}")
        if not re.fullmatch(_HEADER_NAME, key):
            raise ValueError(f"{name} has a name that is not valid in HTTP: {key!r}")
        if key.lower() in _HEADERS_OF_CONNECTIONS:
            raise ValueError(f"{name} must not set {key}, which belongs to the connection")
        checked[key] = check_header_text(f"{name}[{key!r}]", text)
    return checked


def check_seconds(name: str, value: object) -> float:
    """Returns a finite number of seconds above zero."""
    seconds = _check_number(name, value)
    if not (math.isfinite(seconds) and seconds > 0):
        raise ValueError(f"{name} must be a finite number of seconds above zero, not {value!r}")
    return seconds


def check_delay(name: str, value: object) -> float:
    """Returns a finite number of seconds, zero allowed."""
    seconds = _check_number(name, value)
    if not (math.isfinite(seconds) and seconds >= 0):
        raise ValueError(f"{name} must be a finite number of seconds, zero or more, not {value!r}")
    return seconds


def check_count(name: str, value: object) -> int:
    """Returns a whole number of at least one."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name} must be an int, not {type(value).__name__}")
    if value < 1:
        raise ValueError(f"{name} must be at least 1, not {value!r}")
    return value


def check_statuses(name: str, value: object) -> frozenset[int]:
    """Returns HTTP statuses from 400 to 599, given as any collection of them."""
    if isinstance(value, str | bytes) or not isinstance(value, Iterable):
        raise TypeError(f"{name} must be a collection of HTTP statuses, not {type(value).__name__}")
    statuses: set[int] = set()
    for status in cast("Iterable[object]", value):
        if isinstance(status, bool) or not isinstance(status, int):
            raise TypeError(f"{name} must be HTTP statuses of type int, not {type(status).__name__}")
        if not 400 <= status <= 599:
            raise ValueError(f"{name} must be HTTP statuses from 400 to 599, not {status}")
        statuses.add(status)
    return frozenset(statuses)


def check_flag(name: str, value: object) -> bool:
    """Returns a bool; other truthy values are rejected."""
    if not isinstance(value, bool):
        raise TypeError(f"{name} must be a bool, not {type(value).__name__}")
    return value


def check_identifier(name: str, value: object) -> str:
    """Returns an id as one percent-encoded path segment, which cannot change the rest of the path.

    No message contains the value, because an integration token is an id too.
    """
    text = check_text(name, value)
    if text in {".", ".."}:
        raise ValueError(f"{name} must not be a dot segment")
    if any(character.isspace() or not character.isprintable() for character in text):
        raise ValueError(f"{name} must not contain white space or control characters")
    if len(text) > MAX_IDENTIFIER_LENGTH:
        raise ValueError(f"{name} must not be longer than {MAX_IDENTIFIER_LENGTH} characters, not {len(text)}")
    return quote(text, safe="")


def check_base_url(name: str, value: object, *, allow_insecure_http: bool) -> str:
    """Returns an absolute http(s) URL, its scheme in lower case, without a trailing slash.

    Plain HTTP is accepted for loopback hosts, and with `allow_insecure_http` for all.
    """
    text = check_text(name, value)
    if not (text.isascii() and text.isprintable()) or " " in text:
        raise ValueError(f"{name} must be printable ASCII without spaces")
    try:
        parts = urlsplit(text)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise ValueError(f"{name} is not a URL with a valid host and port") from None
    if parts.scheme not in {"https", "http"} or not host:
        raise ValueError(f"{name} must be an absolute https:// URL")
    if "@" in parts.netloc:
        raise ValueError(f"{name} must not contain credentials")
    if not (re.fullmatch(_HOST_NAME, host) or ":" in host):
        raise ValueError(f"{name} is not a URL with a valid host and port")
    if "?" in text or "#" in text:
        raise ValueError(f"{name} must have neither a query nor a fragment")
    if parts.scheme == "http" and not (allow_insecure_http or is_loopback(host)):
        raise ValueError(
            f"{name} is http:// to {host}, which would send the credentials unencrypted:"
            " use https://, or set allow_insecure_http=True"
        )
    return (parts.scheme + text[len(parts.scheme) :]).rstrip("/")


def is_loopback(host: str) -> bool:
    """Returns whether a host name or address is a loopback one."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _check_number(name: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{name} must be a number of seconds, not {type(value).__name__}")
    try:
        return float(value)
    except OverflowError:
        return math.inf
