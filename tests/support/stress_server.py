"""A server that responds, delays or fails as the account id of a request says, and counts the requests by account.

An id is `kind-anything`, or `late.MILLISECONDS-anything`. As a program it prints its port, and the counts when its
standard input ends.
"""

import asyncio
import json
import sys
from collections import Counter

counts: Counter[str] = Counter()


def answer(account: str, status: str = "200 OK", *, success: bool = True) -> bytes:
    """Returns a response whose only service has the name of the account."""
    result = [{"id": "f174e90afafe4643bbbc4a0ed4fc8415", "name": account}] if success else None
    errors = [] if success else [{"code": 1000, "message": account}]
    body = json.dumps({"success": success, "errors": errors, "messages": [], "result": result}).encode()
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


class Connection(asyncio.Protocol):
    """Handles requests one after the other."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.buffer = b""

    def data_received(self, data: bytes) -> None:
        *requests, self.buffer = (self.buffer + data).split(b"\r\n\r\n")
        for request in requests:
            path = request.split(b" ", 2)[1].decode()
            account = path.split("/accounts/")[1].split("/")[0]
            counts[account] += 1
            self.serve(account)

    def serve(self, account: str) -> None:
        kind, _, milliseconds = account.partition("-")[0].partition(".")
        match kind:
            case "late":
                asyncio.get_running_loop().call_later(int(milliseconds) / 1000, self.transport.write, answer(account))
            case "reset":
                self.transport.abort()
            case "truncated":
                self.transport.write(answer(account)[:-10])
                self.transport.close()
            case "unavailable":
                self.transport.write(answer(account, "503 Service Unavailable", success=False))
            case "closes":  # with a header, because a close without one may cross with the next request
                self.transport.write(answer(account).replace(b"\r\n", b"\r\nConnection: close\r\n", 1))
                self.transport.close()
            case "hangs":
                pass
            case _:
                self.transport.write(answer(account))


async def serve() -> None:
    """Serves until the input ends."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Connection, "127.0.0.1", 0, backlog=512)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)
    print(json.dumps(counts))


if __name__ == "__main__":
    asyncio.run(serve())
