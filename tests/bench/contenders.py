"""The names of the clients that are measured side by side, and what they all need to know.

Each lists the services of one account, as its users would write it. All get the same answer from the same server.
"""

from collections.abc import Awaitable, Callable
from importlib.util import find_spec
from typing import TypeVar
from urllib.parse import urlsplit

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
FLOOR_SYNC, FLOOR_ASYNC = "a blocking socket", "an asyncio protocol"


def installed(contenders: dict[str, tuple[str, T]]) -> dict[str, T]:
    """Leaves out those whose packages are not there."""
    return {
        name: contender
        for name, (packages, contender) in contenders.items()
        if all(find_spec(package) for package in packages.split())
    }


def request_bytes(url: str) -> bytes:
    """Returns the request that our client sends."""
    lines = [
        f"GET {urlsplit(url).path}{PATH} HTTP/1.1",
        f"Host: {urlsplit(url).netloc}",
        f"Authorization: Bearer {TOKEN}",
        "Accept: application/json",
        "Accept-Encoding: gzip, deflate",
        "User-Agent: pagerduty-alerting-python/0.1.0",
    ]
    return "\r\n".join([*lines, "", ""]).encode()
