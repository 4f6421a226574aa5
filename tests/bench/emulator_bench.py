"""Measures the emulator: requests per second on one core, and the time from its start to the first response.

    python tests/bench/emulator_bench.py [--check]

With `--check` it exits with status 1 if a bound is missed.
"""

import argparse
import asyncio
import multiprocessing
import os
import socket
import statistics
import time
from multiprocessing.connection import Connection
from typing import NamedTuple

from pagerduty_alerting.emulator import Emulator, RateLimits

MINIMUM_REQUESTS_PER_SECOND = 3000
MAXIMUM_START_MILLISECONDS = 50


class Round(NamedTuple):
    """The result of one round of load."""

    requests_per_second: float
    cpu_microseconds: float


class Figures(NamedTuple):
    """All results."""

    rounds: list[Round]
    start_milliseconds: float

    @property
    def median(self) -> Round:
        """The median round; single rounds vary much on a shared machine."""
        return sorted(self.rounds)[len(self.rounds) // 2]


class LoadConnection(asyncio.Protocol):
    """One kept-alive connection that sends the next request as soon as a response is complete."""

    def __init__(self, request: bytes, finished: asyncio.Event) -> None:
        self.answered = 0
        self._request = request
        self._finished = finished
        self._pending = b""
        self._transport: asyncio.Transport | None = None
        self.closed = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.write(self._request)

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed.set()

    def data_received(self, data: bytes) -> None:
        self._pending += data
        head, separator, body = self._pending.partition(b"\r\n\r\n")
        if not separator:
            return
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        if len(body) < length:
            return
        assert head.startswith(b"HTTP/1.1 200"), head
        self._pending = b""
        self.answered += 1
        assert self._transport is not None
        if self._finished.is_set():
            self._transport.close()
        else:
            self._transport.write(self._request)


def list_request(api: Emulator) -> bytes:
    """Returns the bytes of a request that lists the services of the default account."""
    path = f"{api.url.removeprefix(api.origin)}/accounts/{api.account_id}/alerting/v3/destinations/pagerduty"
    head = [
        f"GET {path} HTTP/1.1",
        f"Host: {api.origin.removeprefix('http://')}",
        f"Authorization: Bearer {api.api_token}",
        "Accept: application/json",
        "Accept-Encoding: gzip, deflate",
        "User-Agent: bench",
    ]
    return ("\r\n".join(head) + "\r\n\r\n").encode()


def pin_to_core(number: int) -> None:
    """Binds this process to one core, on systems that support it."""
    if hasattr(os, "sched_setaffinity"):
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, {cores[number % len(cores)]})


def serve_on_one_core(pipe: Connection) -> None:
    """Serves until the parent sends a message, then sends the number of requests and the CPU time."""
    pin_to_core(0)

    async def serve() -> None:
        async with Emulator(rate_limits=RateLimits.unlimited()) as api:
            for name in ("Primary on-call", "Database"):
                api.add_service(name)
            pipe.send((api.origin, list_request(api)))
            before = time.process_time()
            await asyncio.get_running_loop().run_in_executor(None, pipe.recv)
            pipe.send((api.requests.total, time.process_time() - before))

    asyncio.run(serve())


async def load(origin: str, request: bytes, connections: int, seconds: float) -> tuple[int, float]:
    """Sends requests as fast as the server responds; returns the number of responses and the seconds they took."""
    loop = asyncio.get_running_loop()
    finished = asyncio.Event()
    host, port = origin.removeprefix("http://").rsplit(":", 1)
    started = time.perf_counter()
    opened = [
        await loop.create_connection(lambda: LoadConnection(request, finished), host, int(port))
        for _ in range(connections)
    ]
    await asyncio.sleep(seconds)
    finished.set()
    async with asyncio.timeout(10):
        for _, connection in opened:
            await connection.closed.wait()
    elapsed = time.perf_counter() - started
    return sum(connection.answered for _, connection in opened), elapsed


def measure_round(connections: int = 16, seconds: float = 2.0) -> Round:
    """Measures the load that one core serves to another process."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    server = context.Process(target=serve_on_one_core, args=(theirs,))
    server.start()
    try:
        origin, request = ours.recv()
        answered, elapsed = asyncio.run(load(origin, request, connections, seconds))
        ours.send("stop")
        counted, cpu = ours.recv()
    finally:
        server.join()
    if counted != answered:
        raise RuntimeError(f"the client counted {answered} responses, the server {counted} requests")
    return Round(answered / elapsed, cpu / counted * 1e6)


def measure_start(repetitions: int = 20) -> float:
    """Returns the median milliseconds from entering an emulator to its first response, on a new connection."""
    times: list[float] = []
    for _ in range(repetitions):
        started = time.perf_counter()
        with Emulator() as api:
            host, port = api.origin.removeprefix("http://").rsplit(":", 1)
            with socket.create_connection((host, int(port))) as connection:
                connection.sendall(list_request(api))
                assert connection.recv(65536).startswith(b"HTTP/1.1 200")
            times.append((time.perf_counter() - started) * 1000)
    return statistics.median(times)


def measure(rounds: int = 5) -> Figures:
    """Measures everything."""
    start = measure_start()
    pin_to_core(1)
    return Figures([measure_round() for _ in range(rounds)], start)


def main() -> int:
    """Measures and prints; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="exit with status 1 if a bound is missed")
    arguments = parser.parse_args()
    figures = measure()
    slowest, fastest = min(figures.rounds), max(figures.rounds)
    print(
        f"emulator: {figures.median.requests_per_second:,.0f} requests/s on one core"
        f" ({slowest.requests_per_second:,.0f} to {fastest.requests_per_second:,.0f} in {len(figures.rounds)} rounds),"
        f" {figures.median.cpu_microseconds:.0f} µs of CPU time each",
        flush=True,
    )
    print(f"emulator: {figures.start_milliseconds:.1f} ms from start to first response", flush=True)
    missed = (
        figures.median.requests_per_second < MINIMUM_REQUESTS_PER_SECOND
        or figures.start_milliseconds > MAXIMUM_START_MILLISECONDS
    )
    bounds = f"at least {MINIMUM_REQUESTS_PER_SECOND:,} requests/s, at most {MAXIMUM_START_MILLISECONDS} ms"
    print(f"emulator: {bounds}: {'MISSED' if missed else 'kept'}")
    return 1 if arguments.check and missed else 0


if __name__ == "__main__":
    raise SystemExit(main())
