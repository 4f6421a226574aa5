"""The clients for synchronous code: this package's, the official SDK's, hand-written ones, and a bare socket."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

from tests.bench.contenders import (
    ACCOUNT_ID,
    FLOOR_SYNC,
    HEADERS,
    HTTP_CLIENT,
    HTTPX_SYNC,
    NIQUESTS_SYNC,
    OFFICIAL_SYNC,
    OURS_SYNC,
    PATH,
    PRIMP_SYNC,
    PYCURL,
    PYREQWEST_SYNC,
    REQUESTS,
    TOKEN,
    URLLIB3,
    Service,
    SyncCall,
    checked,
    installed,
    make_decode,
    request_bytes,
)


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
def with_http_client(url: str, services: int) -> Iterator[SyncCall]:
    from http.client import HTTPConnection

    decode, address = make_decode(), urlsplit(url)
    threads = threading.local()  # a connection belongs to a thread
    opened: list[HTTPConnection] = []

    def connection() -> HTTPConnection:
        if not hasattr(threads, "connection"):
            threads.connection = HTTPConnection(address.hostname or "", address.port, timeout=30)
            opened.append(threads.connection)
        made: HTTPConnection = threads.connection
        return made

    def call() -> list[Service]:
        mine = connection()
        mine.request("GET", address.path + PATH, headers=HEADERS)
        response = mine.getresponse()
        return decode(checked(response.status, response.read()))

    yield call
    for one in opened:
        one.close()


@contextmanager
def with_pycurl(url: str, services: int) -> Iterator[SyncCall]:
    import pycurl

    decode, threads = make_decode(), threading.local()
    headers = [f"{name}: {value}" for name, value in HEADERS.items()]

    def handle() -> pycurl.Curl:
        if not hasattr(threads, "handle"):
            threads.handle = pycurl.Curl()
            threads.handle.setopt(pycurl.URL, url + PATH)
            threads.handle.setopt(pycurl.HTTPHEADER, headers)
            threads.handle.setopt(pycurl.TIMEOUT, 30)
        return threads.handle

    def call() -> list[Service]:
        mine = handle()
        body = mine.perform_rb()
        return decode(checked(mine.getinfo(pycurl.RESPONSE_CODE), body))

    yield call


@contextmanager
def with_urllib3(url: str, services: int) -> Iterator[SyncCall]:
    import urllib3

    decode = make_decode()
    with urllib3.PoolManager(maxsize=128, headers=HEADERS) as pool:

        def call() -> list[Service]:
            response = pool.request("GET", url + PATH, timeout=30)
            return decode(checked(response.status, response.data))

        yield call


@contextmanager
def with_niquests_sync(url: str, services: int) -> Iterator[SyncCall]:
    import niquests

    with niquests.Session(pool_maxsize=128) as session:
        session.headers.update(HEADERS)

        def call() -> list[Service]:
            response = session.get(url + PATH, timeout=30)
            return [Service(item["id"], item["name"]) for item in response.raise_for_status().json()["result"]]

        yield call


@contextmanager
def with_primp_sync(url: str, services: int) -> Iterator[SyncCall]:
    import primp

    decode = make_decode()
    client = primp.Client(headers=HEADERS, timeout=30)

    def call() -> list[Service]:
        response = client.get(url + PATH)
        return decode(checked(response.status_code, response.content))

    yield call


@contextmanager
def with_pyreqwest_sync(url: str, services: int) -> Iterator[SyncCall]:
    from pyreqwest.client import SyncClientBuilder

    decode = make_decode()
    with SyncClientBuilder().default_headers(HEADERS).error_for_status(True).build() as client:

        def call() -> list[Service]:
            return decode(bytes(client.get(url + PATH).build().send().bytes()))

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
        HTTP_CLIENT: ("cattrs", with_http_client),
        PYCURL: ("pycurl cattrs", with_pycurl),
        URLLIB3: ("urllib3 cattrs", with_urllib3),
        NIQUESTS_SYNC: ("niquests", with_niquests_sync),
        PRIMP_SYNC: ("primp cattrs", with_primp_sync),
        PYREQWEST_SYNC: ("pyreqwest cattrs", with_pyreqwest_sync),
        FLOOR_SYNC: ("socket", floor_sync),
    }
)
