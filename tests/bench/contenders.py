"""The names of the clients that are compared, and what all of them use.

Each lists the services of one account, as its users would write it. All get the same response from the same server.
"""

from collections.abc import Awaitable, Callable
from importlib.util import find_spec
from typing import TypeVar
from urllib.parse import urlsplit

from attrs import frozen

T = TypeVar("T")

TOKEN = "bench-token"
HEADERS = {"Authorization": f"Bearer {TOKEN}"}
ACCOUNT_ID = "023e105f4ecef8ad9ca31a8372d0c353"
PATH = f"/accounts/{ACCOUNT_ID}/alerting/v3/destinations/pagerduty"

SyncCall = Callable[[], object]
AsyncCall = Callable[[], Awaitable[object]]

OURS_SYNC, OURS_ASYNC = "pagerduty_alerting, sync", "pagerduty_alerting, async"
OFFICIAL_SYNC, OFFICIAL_ASYNC = "cloudflare, sync", "cloudflare, async"
OFFICIAL_AIOHTTP = "cloudflare, async on aiohttp"
REQUESTS, HTTPX_SYNC, HTTPX_ASYNC = "requests", "httpx, sync", "httpx, async"
AIOHTTP = "aiohttp + cattrs by hand"
OURS_UVLOOP, AIOHTTP_UVLOOP = f"{OURS_ASYNC}, on uvloop", f"{AIOHTTP}, on uvloop"
HTTP_CLIENT, PYCURL, URLLIB3 = "http.client + cattrs by hand", "pycurl + cattrs by hand", "urllib3 + cattrs by hand"
NIQUESTS_SYNC, NIQUESTS_ASYNC = "niquests, sync", "niquests, async"
PRIMP_SYNC, PRIMP_ASYNC = "primp (Rust), sync", "primp (Rust), async"
PYREQWEST_SYNC, PYREQWEST_ASYNC = "pyreqwest (Rust), sync", "pyreqwest (Rust), async"
AIOSONIC = "aiosonic + cattrs by hand"
FLOOR_SYNC, FLOOR_ASYNC = "a blocking socket", "an asyncio protocol"


@frozen
class Service:
    """An item of a list, as hand-written clients decode it."""

    id: str
    name: str


@frozen
class Envelope:
    """A response, as hand-written clients decode it."""

    success: bool
    result: list[Service]


def make_decode() -> Callable[[bytes], list[Service]]:
    """Returns the decoder of all hand-written clients; it imports cattrs only where it is used."""
    from cattrs.preconf.orjson import make_converter

    converter = make_converter()
    return lambda body: converter.loads(body, Envelope).result


def checked(status: int, body: bytes) -> bytes:
    """Returns the body of a successful response."""
    if status != 200:
        raise RuntimeError(f"status {status}")
    return body


LEFT_OUT: dict[str, str] = {}
"""Clients that are not measured, with the reason."""


def installed(contenders: dict[str, tuple[str, T]]) -> dict[str, T]:
    """Returns the clients whose packages are installed, and records the others in `LEFT_OUT`."""
    found = {}
    for name, (packages, contender) in contenders.items():
        missing = [package for package in packages.split() if not find_spec(package)]
        if missing:
            LEFT_OUT[name] = f"{', '.join(missing)} cannot be imported"
        else:
            found[name] = contender
    return found


def request_bytes(url: str) -> bytes:
    """Returns a request of the form that this package sends, for the bare sockets."""
    lines = [
        f"GET {urlsplit(url).path}{PATH} HTTP/1.1",
        f"Host: {urlsplit(url).netloc}",
        f"Authorization: Bearer {TOKEN}",
        "Accept: application/json",
        "Accept-Encoding: gzip, deflate",
        "User-Agent: pagerduty-alerting/0.2.0 Python/3.11.7",
    ]
    return "\r\n".join([*lines, "", ""]).encode()
