"""The clients for synchronous code: this package's, the official SDK's, two by hand, and a bare socket."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple
from urllib.parse import urlsplit

from tests.bench.contenders import (
    ACCOUNT_ID,
    FLOOR_SYNC,
    HEADERS,
    HTTPX_SYNC,
    OFFICIAL_SYNC,
    OURS_SYNC,
    PATH,
    REQUESTS,
    TOKEN,
    SyncCall,
    installed,
    request_bytes,
)


class Service(NamedTuple):
    """What the hand-written clients make of an item."""

    id: str
    name: str


@contextmanager
def ours_sync(url: str, services: int) -> Iterator[SyncCall]:
    from pagerduty_alerting import Client

    with Client(base_url=url, api_token=TOKEN, account_id=ACCOUNT_ID) as client:
        yield client.list_services


@contextmanager
def official_sync(url: str, services: int) -> Iterator[SyncCall]:
    from cloudflare import Cloudflare

    with Cloudflare(base_url=url, api_token=TOKEN) as client:
        yield lambda: client.alerting.destinations.pagerduty.get(account_id=ACCOUNT_ID).result


@contextmanager
def with_requests(url: str, services: int) -> Iterator[SyncCall]:
    import requests
    from requests.adapters import HTTPAdapter

    with requests.Session() as session:
        session.headers.update(HEADERS)
        session.mount("http://", HTTPAdapter(pool_maxsize=32))

        def call() -> list[Service]:
            response = session.get(url + PATH, timeout=30)
            response.raise_for_status()
            return [Service(item["id"], item["name"]) for item in response.json()["result"]]

        yield call


@contextmanager
def with_httpx_sync(url: str, services: int) -> Iterator[SyncCall]:
    import httpx

    with httpx.Client(headers=HEADERS, timeout=30) as client:

        def call() -> list[Service]:
            response = client.get(url + PATH)
            response.raise_for_status()
            return [Service(item["id"], item["name"]) for item in response.json()["result"]]

        yield call


@contextmanager
def floor_sync(url: str, services: int) -> Iterator[SyncCall]:
    from tests.bench.server import answer  # not above: it would load asyncio for all of them

    request, length = request_bytes(url), len(answer(services))
    address = urlsplit(url)
    with socket.create_connection((address.hostname or "", address.port or 0)) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

        def call() -> None:
            connection.sendall(request)
            left = length
            while left:
                left -= len(connection.recv(left))

        yield call


SYNC = installed(
    {
        OURS_SYNC: ("pagerduty_alerting", ours_sync),
        OFFICIAL_SYNC: ("cloudflare", official_sync),
        REQUESTS: ("requests", with_requests),
        HTTPX_SYNC: ("httpx", with_httpx_sync),
        FLOOR_SYNC: ("socket", floor_sync),
    }
)
