"""Finds the proxy that the environment names for the API (`HTTPS_PROXY`, `HTTP_PROXY`, `NO_PROXY`); no network."""

import base64
from urllib.parse import unquote, urlsplit, urlunsplit
from urllib.request import getproxies, proxy_bypass

from attrs import field, frozen

from pagerduty_alerting._arguments import is_loopback
from pagerduty_alerting.errors import ConfigurationError


@frozen
class Proxy:
    """Where to send requests instead.

    Attributes:
        url: The proxy's URL, without credentials.
        user: User name for the proxy; None where it needs none.
        password: Its password; a secret that the repr hides.
    """

    url: str
    user: str | None = None
    password: str = field(default="", repr=False)

    def headers(self) -> dict[str, str]:
        """Returns the headers that authenticate at the proxy."""
        if self.user is None:
            return {}
        credentials = base64.b64encode(f"{self.user}:{self.password}".encode()).decode()
        return {"Proxy-Authorization": f"Basic {credentials}"}


def find_proxy(base_url: str) -> Proxy | None:
    """Returns the proxy for a base URL, or None. An API on this machine, the emulator, is reached without one.

    It is looked up here, not by aiohttp's `trust_env`, which would also take credentials from `~/.netrc`.

    Raises:
        ConfigurationError: The proxy is of a kind that cannot be used.
    """
    target = urlsplit(base_url)
    value = getproxies().get(target.scheme)
    if not value or is_loopback(target.hostname or "") or proxy_bypass(target.netloc):
        return None
    variable = f"the proxy for {target.scheme}:// in the environment ({target.scheme.upper()}_PROXY)"
    try:
        parts = urlsplit(value if "://" in value else f"http://{value}")
        host, port = parts.hostname, parts.port
    except ValueError:
        raise ConfigurationError(f"{variable} is not a URL") from None
    if not host:
        raise ConfigurationError(f"{variable} names no host")
    if parts.scheme not in {"http", "https"}:
        raise ConfigurationError(f"{variable} is of the kind {parts.scheme}://, but only http:// and https:// work")
    address = f"[{host}]" if ":" in host else host
    url = urlunsplit((parts.scheme, f"{address}:{port}" if port else address, "", "", ""))
    if parts.username is None:
        return Proxy(url)
    user = unquote(parts.username)
    if ":" in user:
        raise ConfigurationError(f"{variable} has a user name with a colon in it, which cannot be sent")
    return Proxy(url, user, unquote(parts.password or ""))
