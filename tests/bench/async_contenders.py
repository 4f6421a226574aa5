"""The clients for asynchronous code: this package's, the official SDK's two, two by hand, and a bare protocol."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

from attrs import frozen

from tests.bench.contenders import (
    ACCOUNT_ID,
    AIOHTTP,
    FLOOR_ASYNC,
    HEADERS,
    HTTPX_ASYNC,
    OFFICIAL_AIOHTTP,
    OFFICIAL_ASYNC,
    OURS_ASYNC,
    PATH,
    TOKEN,
    AsyncCall,
    installed,
    request_bytes,
)
from tests.bench.server import answer


@frozen
class Service:
    """What the hand-written clients make of an item."""

    id: str
    name: str


@frozen
class Envelope:
    """What hand-written aiohttp + cattrs makes of an answer."""

    success: bool
    result: list[Service]


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
    from cattrs.preconf.orjson import make_converter

    converter = make_converter()
    async with aiohttp.ClientSession(headers=HEADERS, timeout=aiohttp.ClientTimeout(total=30)) as session:

        async def call() -> list[Service]:
            async with session.get(url + PATH) as response:
                response.raise_for_status()
                return converter.loads(await response.read(), Envelope).result

        yield call


class _Floor(asyncio.Protocol):
    """Sends the request and waits for as many bytes as the answer has."""

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
        FLOOR_ASYNC: ("asyncio", floor_async),
    }
)
