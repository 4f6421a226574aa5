"""A server for measurements, in a separate process: it responds to the list endpoint as fast as Python can.

    with LoopbackServer() as server:
        Client(base_url=server.url, api_token="t", account_id=ACCOUNT_ID)

    with LoopbackServer(services=10_000) as server:  # a longer list

It reads requests without a body and sends the same bytes for each, so that the client is measured.
"""

import asyncio
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Self

ACCOUNT_ID = "023e105f4ecef8ad9ca31a8372d0c353"
SERVICES = [
    {"id": "f174e90a-fafe-4643-bbbc-4a0ed4fc8415", "name": "Primary on-call"},
    {"id": "0da2b59e-f118-439d-8097-bdfb215203c9", "name": "Database"},
    {"id": "a313ba7d3e464c0ea40808fafbc3816a", "name": "Website"},
]


class LoopbackServer:
    """Serves while the context lasts. Its process ends when this one ends, however that happens."""

    def __init__(self, services: int = len(SERVICES)) -> None:
        self._services = services

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__).resolve()), str(self._services)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        self.url = f"http://127.0.0.1:{int(self._process.stdout.readline())}/client/v4"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._process.communicate()  # closes its standard input, and with that ends it


def answer(services: int = len(SERVICES)) -> bytes:
    """Returns the bytes of the response, with the headers that Cloudflare sends."""
    import json

    result = [SERVICES[number % len(SERVICES)] for number in range(services)]
    body = json.dumps({"success": True, "errors": [], "messages": [], "result": result}).encode()
    head = (
        "HTTP/1.1 200 OK\r\n"
        "Content-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n"
        "Date: Mon, 23 Nov 2026 12:00:00 GMT\r\n"
        "CF-Ray: 8f2a3b4c5d6e7f80-FRA\r\n"
        'Ratelimit: "default";r=1000000;t=300\r\n'
        'Ratelimit-Policy: "default";q=1000000;w=300\r\n'
        "\r\n"
    )
    return head.encode() + body


class _Connection(asyncio.Protocol):
    """Sends a response for every blank line, which ends a request."""

    answer: bytes

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._rest = b""

    def data_received(self, data: bytes) -> None:
        *requests, self._rest = (self._rest + data).split(b"\r\n\r\n")
        if requests:
            self._transport.write(self.answer * len(requests))


async def _serve(services: int) -> None:
    _Connection.answer = answer(services)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(_Connection, "127.0.0.1", 0, backlog=512)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1])))
