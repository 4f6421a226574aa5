"""A server on its own thread that closes idle connections in all possible ways, with or without TLS."""

import asyncio
import json
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

ACCOUNT_ID = "023e105f4ecef8ad9ca31a8372d0c353"
SERVICE = {"id": "f174e90a-fafe-4643-bbbc-4a0ed4fc8415", "name": "Primary on-call"}
TOKEN_ID = "a313ba7d3e464c0ea40808fafbc3816a"

# Makes a close a TCP reset, which discards unsent data.
RESET = struct.pack("ii", 1, 0)


class IdleServer:
    """Responds to the four operations, and closes idle connections when a test calls `close_idle`.

    Attributes:
        requests: Method and last part of the path of each request, in order.
        accepted: How many connections were made.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.requests: list[tuple[str, str]] = []
        self.accepted = 0
        self.url = ""
        self._loop = loop
        self._transports: list[asyncio.Transport] = []

    def close_idle(self, way: str) -> None:
        """Closes all connections, and returns when the client's side of them has it.

        Args:
            way: "fin": the TCP connection ends, with TLS a truncation; "reset": it is reset; with TLS also
                "goodbye": a TLS close notification, while TCP stays open until the client sends one too;
                "goodbye and fin": both.
        """
        transports, self._transports = self._transports, []
        self._call(lambda: [_close(transport, way) for transport in transports])

    def push(self, data: bytes, *, of_first: int | None = None) -> None:
        """Sends unrequested data on all or the first connections; returns when the client's side has received it."""
        self._call(lambda: [transport.write(data) for transport in self._transports[:of_first]])

    def stop(self) -> None:
        """Closes all connections."""
        for transport in self._transports:
            transport.abort()

    async def serve(self, context: ssl.SSLContext | None, host: str) -> asyncio.Server:
        """Starts listening."""
        server = await self._loop.create_server(lambda: _Connection(self), "127.0.0.1", 0, ssl=context)
        scheme = "http" if context is None else "https"
        self.url = f"{scheme}://{host}:{server.sockets[0].getsockname()[1]}/client/v4"
        return server

    def connected(self, transport: asyncio.Transport) -> None:
        """Records a connection."""
        self.accepted += 1
        self._transports.append(transport)

    def answer(self, method: str, path: str) -> bytes:
        """Records a request and returns its response."""
        self.requests.append((method, path.rsplit("/", 1)[-1]))
        results = {"GET": [SERVICE], "DELETE": None, "POST": {"id": TOKEN_ID}}
        result = {"id": TOKEN_ID} if "/connect/" in path else results[method]
        body = json.dumps({"success": True, "errors": [], "messages": [], "result": result}).encode()
        status = "201 Created" if method == "POST" else "200 OK"
        return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body

    def _call(self, function: Callable[[], object]) -> None:
        async def call() -> None:
            function()

        asyncio.run_coroutine_threadsafe(call(), self._loop).result(timeout=30)


class _Connection(asyncio.Protocol):
    def __init__(self, server: IdleServer) -> None:
        self._server = server
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._server.connected(transport)

    def data_received(self, data: bytes) -> None:
        *requests, self._buffer = (self._buffer + data).split(b"\r\n\r\n")
        for request in requests:
            method, path, _ = request.split(b"\r\n")[0].decode().split(" ")
            self._transport.write(self._server.answer(method, path))


def _close(transport: asyncio.Transport, way: str) -> None:
    connection: socket.socket = transport.get_extra_info("socket")
    if way == "reset":
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        transport.abort()
    if "goodbye" in way:
        transport.close()
    if "fin" in way:
        connection.shutdown(socket.SHUT_WR)


@contextmanager
def idle_server(context: ssl.SSLContext | None = None, host: str = "127.0.0.1") -> Iterator[IdleServer]:
    """Serves while the context lasts."""
    loop = asyncio.new_event_loop()
    loop.set_exception_handler(lambda _loop, _context: None)  # connections are broken on purpose
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    server = IdleServer(loop)

    async def stop() -> None:
        server.stop()
        listening.close()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()

    listening = asyncio.run_coroutine_threadsafe(server.serve(context, host), loop).result(timeout=30)
    try:
        yield server
    finally:
        asyncio.run_coroutine_threadsafe(stop(), loop).result(timeout=30)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
