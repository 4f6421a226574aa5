"""The clients for asynchronous code: this package's, the official SDK's two, hand-written ones, and a bare protocol."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

from tests.bench.contenders import (
    ACCOUNT_ID,
    AIOHTTP,
    AIOHTTP_UVLOOP,
    AIOSONIC,
    FLOOR_ASYNC,
    HEADERS,
    HTTPX_ASYNC,
    NIQUESTS_ASYNC,
    OFFICIAL_AIOHTTP,
    OFFICIAL_ASYNC,
    OURS_ASYNC,
    OURS_UVLOOP,
    PATH,
    PRIMP_ASYNC,
    PYREQWEST_ASYNC,
    TOKEN,
    AsyncCall,
    Service,
    checked,
    installed,
    make_decode,
    request_bytes,
)
from tests.bench.server import answer


@asynccontextmanager
async def ours_async(url: str, services: int) -> AsyncIterator[AsyncCall]:
    from pagerduty_alerting import AsyncClient

    async with AsyncClient(base_url=url, api_token=TOKEN, account_id=ACCOUNT_ID) as client:
        yield client.list_services


@asynccontextmanager
async def official_async(url: str, services: int) -> AsyncIterator[AsyncCall]:
    from cloudflare import AsyncCloudflare

    async with AsyncCloudflare(base_url=url, api_token=TOKEN) as client:
        yield lambda: client.alerting.destinations.pagerduty.get(account_id=ACCOUNT_ID)


@asynccontextmanager
async def official_aiohttp(url: str, services: int) -> AsyncIterator[AsyncCall]:
    from cloudflare import AsyncCloudflare, DefaultAioHttpClient

    async with AsyncCloudflare(base_url=url, api_token=TOKEN, http_client=DefaultAioHttpClient()) as client:
        yield lambda: client.alerting.destinations.pagerduty.get(account_id=ACCOUNT_ID)


@asynccontextmanager
async def with_httpx_async(url: str, services: int) -> AsyncIterator[AsyncCall]:
    import httpx

    async with httpx.AsyncClient(headers=HEADERS, timeout=30) as client:

        async def call() -> list[Service]:
            response = await client.get(url + PATH)
            response.raise_for_status()
            return [Service(item["id"], item["name"]) for item in response.json()["result"]]

        yield call


@asynccontextmanager
async def with_aiohttp(url: str, services: int) -> AsyncIterator[AsyncCall]:
    import aiohttp

    decode = make_decode()
    async with aiohttp.ClientSession(headers=HEADERS, timeout=aiohttp.ClientTimeout(total=30)) as session:

        async def call() -> list[Service]:
            async with session.get(url + PATH) as response:
                response.raise_for_status()
                return decode(await response.read())

        yield call


@asynccontextmanager
async def with_aiosonic(url: str, services: int) -> AsyncIterator[AsyncCall]:
    import aiosonic
    from aiosonic.connectors import TCPConnector
    from aiosonic.pools import PoolConfig

    decode = make_decode()
    async with aiosonic.HTTPClient(TCPConnector(pool_configs={":default": PoolConfig(size=256)})) as client:

        async def call() -> list[Service]:
            response = await client.get(url + PATH, headers=HEADERS)
            return decode(checked(response.status_code, await response.content()))

        yield call


@asynccontextmanager
async def with_niquests_async(url: str, services: int) -> AsyncIterator[AsyncCall]:
    import niquests

    async with niquests.AsyncSession(pool_maxsize=256) as session:
        session.headers.update(HEADERS)

        async def call() -> list[Service]:
            response = await session.get(url + PATH, timeout=30)
            return [Service(item["id"], item["name"]) for item in response.raise_for_status().json()["result"]]

        yield call


@asynccontextmanager
async def with_primp_async(url: str, services: int) -> AsyncIterator[AsyncCall]:
    import primp

    decode = make_decode()
    client = primp.AsyncClient(headers=HEADERS, timeout=30)

    async def call() -> list[Service]:
        response = await client.get(url + PATH)
        return decode(checked(response.status_code, response.content))

    yield call


@asynccontextmanager
async def with_pyreqwest_async(url: str, services: int) -> AsyncIterator[AsyncCall]:
    from pyreqwest.client import ClientBuilder

    decode = make_decode()
    async with ClientBuilder().default_headers(HEADERS).error_for_status(True).build() as client:

        async def call() -> list[Service]:
            response = await client.get(url + PATH).build().send()
            return decode(bytes(await response.bytes()))

        yield call


class _Floor(asyncio.Protocol):
    """Sends the request and waits for as many bytes as the response has."""

    def __init__(self, request: bytes, length: int) -> None:
        self._request, self._length = request, length

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    async def call(self) -> None:
        self._left = self._length
        self._done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.transport.write(self._request)
        await self._done

    def data_received(self, data: bytes) -> None:
        self._left -= len(data)
        if self._left == 0:
            self._done.set_result(None)


@asynccontextmanager
async def floor_async(url: str, services: int) -> AsyncIterator[AsyncCall]:
    request, length = request_bytes(url), len(answer(services))
    address = urlsplit(url)
    idle: list[_Floor] = []
    opened: list[_Floor] = []

    async def call() -> None:
        if not idle:
            _, connection = await asyncio.get_running_loop().create_connection(
                lambda: _Floor(request, length), address.hostname, address.port
            )
            opened.append(connection)
            idle.append(connection)
        connection = idle.pop()
        await connection.call()
        idle.append(connection)

    try:
        yield call
    finally:
        for connection in opened:
            connection.transport.abort()


ASYNC = installed(
    {
        OURS_ASYNC: ("pagerduty_alerting", ours_async),
        OFFICIAL_ASYNC: ("cloudflare", official_async),
        OFFICIAL_AIOHTTP: ("cloudflare httpx_aiohttp", official_aiohttp),
        HTTPX_ASYNC: ("httpx", with_httpx_async),
        AIOHTTP: ("aiohttp cattrs", with_aiohttp),
        OURS_UVLOOP: ("pagerduty_alerting uvloop", ours_async),
        AIOHTTP_UVLOOP: ("aiohttp cattrs uvloop", with_aiohttp),
        AIOSONIC: ("aiosonic cattrs", with_aiosonic),
        NIQUESTS_ASYNC: ("niquests", with_niquests_async),
        PRIMP_ASYNC: ("primp cattrs", with_primp_async),
        PYREQWEST_ASYNC: ("pyreqwest cattrs", with_pyreqwest_async),
        FLOOR_ASYNC: ("asyncio", floor_async),
    }
)


def new_loop(name: str) -> Callable[[], asyncio.AbstractEventLoop]:
    """Returns the factory of the event loop on which a client is measured."""
    if name in {OURS_UVLOOP, AIOHTTP_UVLOOP}:
        import uvloop

        return uvloop.new_event_loop
    return asyncio.new_event_loop
