"""A server that runs a script of the test for each connection."""

import asyncio
import contextlib
import socket
import ssl
import struct
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

from attrs import define, field

from pagerduty_alerting.emulator.server import close_listener

JSON = "Content-Type: application/json\r\n"


def http(status: int, body: bytes = b"", headers: str = "", *, reason: str = "Whatever") -> bytes:
    """Returns the bytes of a complete response with the right length."""
    return f"HTTP/1.1 {status} {reason}\r\nContent-Length: {len(body)}\r\n{headers}\r\n".encode("latin-1") + body


LISTED = b'{"success":true,"errors":[],"messages":[],"result":[{"id":"s1","name":"one"}]}'
CREATED = b'{"success":true,"errors":[],"messages":[],"result":{"id":"token-made-by-the-server"}}'


@define(eq=False)
class Conversation:
    """One connection, for the script of a test."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    server: "RawServer"

    async def request(self) -> str:
        """Reads one request's head and returns it; raises EOFError if the client has closed the connection."""
        try:
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        except (asyncio.IncompleteReadError, ConnectionError):
            raise EOFError from None
        self.server.requests.append(head)
        self.server.arrived.set()
        return head

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    async def drain(self) -> None:
        await self.writer.drain()

    async def wait_closed(self) -> None:
        """Waits until the client has closed its side."""
        with contextlib.suppress(ConnectionError):
            while await self.reader.read(65536):
                pass

    def reset(self) -> None:
        """Resets the TCP connection."""
        sock: socket.socket = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()


Script = Callable[[Conversation], Awaitable[Any]]


@define(eq=False)
class RawServer:
    """A raw server: its address, its requests and its open connections."""

    port: int = 0
    scheme: str = "http"
    requests: list[str] = field(factory=list, repr=False)  # contain credentials
    arrived: asyncio.Event = field(factory=asyncio.Event)
    connections: int = 0
    tasks: set["asyncio.Task[None]"] = field(factory=set)
    stop_listening: Callable[[], None] = lambda: None

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}/v4"


async def _serve(server: RawServer, script: Script, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    server.connections += 1
    try:
        with contextlib.suppress(EOFError, ConnectionError):
            await script(Conversation(reader, writer, server))
    finally:
        server.connections -= 1
        writer.close()
        with contextlib.suppress(ConnectionError, TimeoutError):
            await writer.wait_closed()


@contextlib.asynccontextmanager
async def raw_server(script: Script, *, tls: ssl.SSLContext | None = None) -> AsyncIterator[RawServer]:
    """Serves on the running loop; the script runs once for each connection, which is closed at its end."""
    server = RawServer(scheme="http" if tls is None else "https")

    writers: list[asyncio.StreamWriter] = []

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        task = asyncio.get_running_loop().create_task(_serve(server, script, reader, writer))
        server.tasks.add(task)
        task.add_done_callback(server.tasks.discard)

    listening = await asyncio.start_server(connected, "127.0.0.1", 0, ssl=tls)
    server.port = listening.sockets[0].getsockname()[1]
    server.stop_listening = listening.close
    try:
        yield server
    finally:
        await close_listener(listening)
        tasks = list(server.tasks)
        for task in tasks:
            task.cancel()
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        for writer in writers:  # including those of tasks that were cancelled before they started
            # Python 3.12 and 3.13 fail to abort a transport that closed after its last write.
            socket = writer.get_extra_info("socket")
            if socket is not None and socket.fileno() != -1:
                writer.transport.abort()
        await asyncio.sleep(0)
        for outcome in outcomes:
            if isinstance(outcome, Exception):
                raise outcome


@contextlib.contextmanager
def raw_server_in_thread(script: Script, *, tls: ssl.SSLContext | None = None) -> Iterator[RawServer]:
    """Like `raw_server`, on another thread, for synchronous clients."""
    ready = threading.Event()
    box: dict[str, Any] = {}

    async def main() -> None:
        async with raw_server(script, tls=tls) as server:
            box.update(server=server, loop=asyncio.get_running_loop(), stop=asyncio.Event())
            ready.set()
            await box["stop"].wait()

    def run() -> None:
        try:
            asyncio.run(main())
        except BaseException as error:
            box["error"] = error
        finally:
            ready.set()

    thread = threading.Thread(target=run, name="raw-server")
    thread.start()
    ready.wait()
    try:
        if "error" in box:
            raise box["error"]
        yield box["server"]
    finally:
        if "error" not in box:
            box["loop"].call_soon_threadsafe(box["stop"].set)
        thread.join()
    if "error" in box:
        raise box["error"]


def answering(*answers: bytes, keep_open: bool = True) -> Script:
    """Returns a script that sends these responses in turn over all connections, and then repeats the last one."""
    left = list(answers)

    async def script(peer: Conversation) -> None:
        while True:
            await peer.request()
            peer.send(left.pop(0) if len(left) > 1 else left[0])
            await peer.drain()
            if not keep_open:
                return

    return script
