"""An HTTP proxy as a script of the raw server: it opens tunnels and forwards plain requests.

It resolves `api.example` to this machine, because clients use no proxy for local addresses.
"""

import asyncio
import contextlib
from urllib.parse import urlsplit

from tests.support.raw_server import Conversation, RawServer


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()


def seen_by_proxy(server: RawServer) -> str:
    """Returns the URL that the proxy resolves to a local server."""
    return server.url.replace("127.0.0.1", "api.example")


async def forward_proxy(peer: Conversation) -> None:
    """Serves one connection; `peer.server.requests` records the requests to the proxy."""
    head = await peer.request()
    method, target, _ = head.split("\r\n")[0].split(" ")
    if method == "CONNECT":
        host, _, port = target.rpartition(":")
    else:
        parts = urlsplit(target)
        host, port = parts.hostname or "", str(parts.port)
    reader, writer = await asyncio.open_connection("127.0.0.1" if host == "api.example" else host, int(port))
    if method == "CONNECT":
        peer.send(b"HTTP/1.1 200 Connection established\r\n\r\n")
    else:
        writer.write(head.replace(target, urlsplit(target).path, 1).encode("latin-1"))
    try:
        await asyncio.gather(_pump(peer.reader, writer), _pump(reader, peer.writer))
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
