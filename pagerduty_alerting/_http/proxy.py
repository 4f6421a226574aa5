"""Determines the proxy for requests, from the caller's argument or the environment; no network."""

import base64
import ipaddress
from urllib.parse import unquote, urlsplit, urlunsplit
from urllib.request import getproxies, getproxies_environment, proxy_bypass

from attrs import field, frozen

from pagerduty_alerting._arguments import is_loopback
from pagerduty_alerting._values import Value
from pagerduty_alerting.errors import ConfigurationError


@frozen(eq=False, repr=False)
class Proxy(Value):
    """A proxy for requests, and the credentials for it, if it needs any."""

    url: str  # without credentials
    user: str | None = field(default=None, repr=False)  # hidden, because it may be a token
    password: str = field(default="", repr=False)

    def headers(self) -> dict[str, str]:
        """Returns the headers that authenticate a request to the proxy."""
        if self.user is None:
            return {}
        credentials = base64.b64encode(f"{self.user}:{self.password}".encode()).decode()
        return {"Proxy-Authorization": f"Basic {credentials}"}


def read_proxy(value: object) -> Proxy | TypeError | ValueError:
    """Returns the proxy for a URL, or the exception for an invalid URL.

    The exception is returned instead of raised, so that no frame of its traceback holds a URL with a password.
    """
    if not isinstance(value, str):
        return TypeError(f"must be a str, not {type(value).__name__}")
    try:
        parts = urlsplit(value if "://" in value else f"http://{value}")
        host, port = parts.hostname, parts.port
    except ValueError:
        return ValueError("is not a URL")
    if not host:
        return ValueError("names no host")
    if parts.scheme not in {"http", "https"}:
        return ValueError(f"is of the kind {parts.scheme}://, but only http:// and https:// work")
    address = f"[{host}]" if ":" in host else host
    url = urlunsplit((parts.scheme, f"{address}:{port}" if port else address, "", "", ""))
    if parts.username is None:
        return Proxy(url)
    user = unquote(parts.username)
    if ":" in user:
        return ValueError("has a user name with a colon in it, which cannot be sent")
    return Proxy(url, user, unquote(parts.password or ""))


def find_proxy(base_url: str) -> Proxy | None:
    """Returns the proxy for a base URL that `HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY` name, or None.

    An API on this machine, the emulator, is reached without one. The proxy is looked up here, not by aiohttp's
    `trust_env`, which would also take credentials from `~/.netrc`. Raises ConfigurationError if it cannot be used.
    """
    target = urlsplit(base_url)
    host = target.hostname or ""
    value = getproxies().get(target.scheme)
    if not value or is_loopback(host) or proxy_bypass(target.netloc) or _is_excepted_address(host):
        return None
    found = read_proxy(value)
    del value
    if isinstance(found, Exception):
        variable = f"{target.scheme.upper()}_PROXY"
        raise ConfigurationError(f"the proxy for {target.scheme}:// in the environment ({variable}) {found}")
    return found


def _is_excepted_address(host: str) -> bool:
    """Whether `NO_PROXY` names an IPv6 address, with or without brackets, which `proxy_bypass` does not know."""
    address = _address(host)
    excepted = getproxies_environment().get("no", "").split(",")
    return address is not None and any(_address(name.strip().strip("[]")) == address for name in excepted)


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None
