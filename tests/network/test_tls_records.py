"""A part of a TLS record that arrives on an idle connection does not become the start of the next response."""

import asyncio
import contextlib
import ssl
import threading
from collections.abc import AsyncIterator, Callable
from typing import Any, cast

import aiohttp
import pytest
import trustme
from attrs import define, field

from pagerduty_alerting import AsyncClient, Client, IntegrationToken
from tests.support.operations import TOKEN_ID
from tests.support.raw_calls import settings
from tests.support.raw_server import Conversation, RawServer, Script, http, raw_server, raw_server_in_thread
from tests.support.threads import PATIENCE

OTHERS = http(201, b'{"success":true,"errors":[],"messages":[],"result":{"id":"token-of-another"}}')
OWN = http(201, f'{{"success":true,"errors":[],"messages":[],"result":{{"id":"{TOKEN_ID}"}}}}'.encode())

# Bytes of the record that arrive on the idle connection: parts of the header of five bytes, and of the content.
PARTS = [1, 4, 5, 6, 60, -1]


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@define
class Tls:
    """The server's side of TLS, which controls the bytes of a record that are sent."""

    peer: Conversation
    incoming: ssl.MemoryBIO = field(factory=ssl.MemoryBIO)
    outgoing: ssl.MemoryBIO = field(factory=ssl.MemoryBIO)
    tls: ssl.SSLObject = field(init=False)

    async def begin(self, authority: trustme.CA) -> None:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        authority.issue_cert("127.0.0.1", "api.example").configure_cert(context)
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_side=True)
        await self._carry_out(self.tls.do_handshake)

    async def request(self) -> str:
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            received = await self._carry_out(lambda: self.tls.read(65536))
            if not received:
                raise EOFError
            head += received
        self.peer.server.requests.append(head.decode())
        return head.decode()

    def send(self, data: bytes) -> None:
        self.peer.send(self.record(data))

    def record(self, data: bytes) -> bytes:
        self.tls.write(data)
        return self.outgoing.read()

    async def _carry_out(self, step: Any) -> Any:
        while True:
            try:
                return step()
            except ssl.SSLWantReadError:
                pass
            finally:
                self.peer.send(self.outgoing.read())
            received = await self.peer.reader.read(65536)
            if not received:
                raise EOFError
            self.incoming.write(received)


def unsolicited(authority: trustme.CA, part: int, is_sent: asyncio.Event | threading.Event) -> Script:
    """Returns a script that sends a part of an unsolicited response on its first connection, and the rest later."""
    is_first = True

    async def script(peer: Conversation) -> None:
        nonlocal is_first
        tls = Tls(peer)
        await tls.begin(authority)
        is_unsolicited, is_first = is_first, False
        await respond(tls, peer, tls.record, part, is_sent if is_unsolicited else None)

    return script


async def respond(
    tls: Tls,
    peer: Conversation,
    to_record: Callable[[bytes], bytes],
    part: int | None,
    is_sent: asyncio.Event | threading.Event | None,
) -> None:
    """Responds to requests; with `is_sent`, sends a part of an unsolicited record after the first response."""
    await tls.request()
    tls.send(OWN)
    if is_sent is not None:
        record = to_record(OTHERS)
        peer.send(record[:part])
        await peer.drain()
        is_sent.set()
        await tls.request()
        peer.send(record[part:])
    while True:
        await tls.request()
        tls.send(OWN)


@define
class Tunnel:
    """The peer of a connection within the TLS connection to a proxy."""

    outer: Tls

    @property
    def server(self) -> RawServer:
        return self.outer.peer.server

    @property
    def reader(self) -> "Tunnel":
        return self

    def send(self, data: bytes) -> None:
        if data:
            self.outer.send(data)

    async def read(self, size: int) -> bytes:
        return await self.outer._carry_out(lambda: self.outer.tls.read(size))


def through_proxy(authority: trustme.CA, part: int | None = None, is_sent: asyncio.Event | None = None) -> Script:
    """Returns the script of an https:// proxy and the API behind it; it sends `part` of a record as `unsolicited`."""
    is_first = True

    async def script(peer: Conversation) -> None:
        nonlocal is_first
        is_unsolicited, is_first = is_first, False
        outer = Tls(peer)
        await outer.begin(authority)
        await outer.request()
        outer.send(b"HTTP/1.1 200 Connection established\r\n\r\n")
        tls = Tls(cast("Conversation", Tunnel(outer)))
        await tls.begin(authority)
        await respond(tls, peer, lambda data: outer.record(tls.record(data)), part, is_sent if is_unsolicited else None)

    return script


def trusting(authority: trustme.CA) -> ssl.SSLContext:
    return ssl.create_default_context(cadata=authority.cert_pem.bytes().decode())


async def some_turns() -> None:
    """Lets the loop read the data that have arrived."""
    for _ in range(20):
        await asyncio.sleep(0)


@contextlib.asynccontextmanager
async def client_with(
    session_of: str, url: str, authority: trustme.CA, *, proxy: str | None = None
) -> AsyncIterator[AsyncClient]:
    """Yields a client with its own session or the caller's."""
    context = trusting(authority)
    if session_of == "the client":
        async with AsyncClient(**settings(url, ssl_context=context, proxy=proxy)) as client:
            yield client
    else:
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context), proxy=proxy) as session:
            yield AsyncClient(**settings(url, session=session))


@pytest.mark.parametrize("session_of", ["the client", "the caller"])
@pytest.mark.parametrize("part", PARTS)
async def test_the_start_of_a_record_on_an_idle_connection_is_not_used(
    part: int, session_of: str, authority: trustme.CA
) -> None:
    is_sent = asyncio.Event()
    async with raw_server(unsolicited(authority, part, is_sent)) as server:
        url = server.url.replace("http:", "https:")
        async with client_with(session_of, url, authority) as client:
            await client.create_integration_token()
            await is_sent.wait()
            await some_turns()
            assert await client.create_integration_token() == IntegrationToken(TOKEN_ID)
        assert len(server.requests) == 2


@pytest.mark.parametrize("session_of", ["the client", "the caller"])
@pytest.mark.parametrize("part", PARTS)
async def test_the_start_of_a_record_of_a_proxy_is_not_used_either(
    part: int, session_of: str, authority: trustme.CA
) -> None:
    is_sent = asyncio.Event()
    async with raw_server(through_proxy(authority, part, is_sent)) as server:
        proxy = server.url.replace("http:", "https:")
        async with client_with(session_of, "https://api.example", authority, proxy=proxy) as client:
            await client.create_integration_token()
            await is_sent.wait()
            await some_turns()
            assert await client.create_integration_token() == IntegrationToken(TOKEN_ID)
        assert sum(request.startswith("POST") for request in server.requests) == 2


@pytest.mark.parametrize("session_of", ["the client", "the caller"])
async def test_a_connection_through_an_https_proxy_is_reused(session_of: str, authority: trustme.CA) -> None:
    async with raw_server(through_proxy(authority)) as server:
        proxy = server.url.replace("http:", "https:")
        async with client_with(session_of, "https://api.example", authority, proxy=proxy) as client:
            for _ in range(3):
                assert await client.create_integration_token() == IntegrationToken(TOKEN_ID)
        assert [request.partition(" ")[0] for request in server.requests] == ["CONNECT", "POST", "POST", "POST"]


@pytest.mark.parametrize("part", PARTS)
def test_a_synchronous_call_does_not_use_the_start_of_a_record_either(part: int, authority: trustme.CA) -> None:
    is_sent = threading.Event()
    with raw_server_in_thread(unsolicited(authority, part, is_sent)) as server:
        url = server.url.replace("http:", "https:")
        with Client(**settings(url, ssl_context=trusting(authority))) as client:
            client.create_integration_token()
            assert is_sent.wait(PATIENCE)
            client._runner.run(some_turns())  # like during a call of another thread
            assert client.create_integration_token() == IntegrationToken(TOKEN_ID)
        assert len(server.requests) == 2


@pytest.mark.parametrize("session_of", ["the client", "the caller"])
@pytest.mark.parametrize("size", [1, 3, 7, 50])
async def test_a_connection_whose_records_arrived_in_parts_is_reused(
    size: int, session_of: str, authority: trustme.CA
) -> None:
    connections = 0

    async def script(peer: Conversation) -> None:
        nonlocal connections
        connections += 1
        tls = Tls(peer)
        await tls.begin(authority)
        while True:
            await tls.request()
            record = tls.record(OWN[:20]) + tls.record(OWN[20:])
            for start in range(0, len(record), size):
                peer.send(record[start : start + size])
                await asyncio.sleep(0)

    async with raw_server(script) as server:
        async with client_with(session_of, server.url.replace("http:", "https:"), authority) as client:
            for _ in range(3):
                await client.create_integration_token()
        assert (connections, len(server.requests)) == (1, 3)
