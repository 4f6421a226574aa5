"""Makes 200,000 calls to a server that fails one in ten, and checks that none is lost and nothing is leaked.

    python tests/soak/soak.py [--calls 100000] [--concurrency 64] [--threads 16]

A part of the calls is cancelled, or ended by a timeout or a group of tasks around it, and the last clients are closed
while they are called.

Exits with status 1 and prints the reason if a response was not that of its request, if file descriptors or tasks are
left, or if memory grew by 5 MB or more after the warm-up.
"""

import argparse
import asyncio
import ctypes
import gc
import multiprocessing
import os
import pathlib
import random
import socket
import struct
import sys
import threading
import time
from collections import Counter
from collections.abc import Coroutine
from typing import Any

from pagerduty_alerting import AsyncClient, Client, ClientClosedError, PagerDutyAlertingError, RetryPolicy

FAULTS = 0.1
ENDED_FROM_OUTSIDE = 0.05
CLOSED_CLIENTS = 50  # of either kind
PATIENCE = 60.0  # seconds in which the calls of a closed client end
ALLOWED_GROWTH = 5_000_000

SETTINGS: dict[str, Any] = {
    "api_token": "soak-token",
    "timeout": 10.0,
    "retry": RetryPolicy(max_attempts=6, initial_delay=0.001, max_delay=0.01, attempt_timeout=0.5),
}


def http(status: int, body: bytes, headers: bytes = b"") -> bytes:
    return b"HTTP/1.1 %d Reason\r\nContent-Length: %d\r\n%s\r\n%s" % (status, len(body), headers, body)


class FaultyServer(asyncio.Protocol):
    """Responds with a list that contains the account of the request, or fails in one of several ways."""

    def __init__(self) -> None:
        self.transport: Any = None
        self.buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        while b"\r\n\r\n" in self.buffer and not self.transport.is_closing():
            head, _, self.buffer = self.buffer.partition(b"\r\n\r\n")
            account = head.split(b"/accounts/", 1)[1].split(b"/", 1)[0]
            body = b'{"success":true,"result":[{"id":"%s","name":"of %s"}]}' % (account, account)
            if random.random() < FAULTS:
                random.choice(self.faults)(self, body)
            else:
                self.transport.write(http(200, body))

    def reset(self, _: bytes) -> None:
        sock = self.transport.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()

    def close(self, _: bytes) -> None:
        self.transport.close()

    def truncate(self, body: bytes) -> None:
        self.transport.write(http(200, body)[:-7])
        self.transport.close()

    def unavailable(self, _: bytes) -> None:
        self.transport.write(http(503, b'{"success":false,"errors":[{"code":1000,"message":"busy"}]}'))

    def page(self, _: bytes) -> None:
        self.transport.write(http(502, b"<html>bad gateway</html>"))

    def limit(self, _: bytes) -> None:
        self.transport.write(http(429, b"", b"Retry-After: 0\r\n"))

    def garbage(self, _: bytes) -> None:
        self.transport.write(b"not http at all\r\n\r\n")
        self.transport.close()

    def send_unasked(self, body: bytes) -> None:
        # With the response, so that it is on the connection before the next request.
        stale = http(200, b'{"success":true,"result":[{"id":"stale","name":"stale"}]}')
        self.transport.write(http(200, body) + random.choice((stale, stale[:20], stale[:-9])))

    def hang(self, body: bytes) -> None:
        # Hangs in one case of ten, because each costs the client a timeout.
        if random.random() < 0.9:
            self.unavailable(body)

    faults = (reset, close, truncate, unavailable, page, limit, garbage, send_unasked, hang)


def serve(port: Any) -> None:
    async def main() -> None:
        server = await asyncio.get_running_loop().create_server(FaultyServer, "127.0.0.1", 0)
        port.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(main())


class LeavingError(Exception):
    """What another task of a group raises."""


OUTER_ERRORS = (asyncio.CancelledError, TimeoutError, ExceptionGroup)


async def leave(seconds: float) -> None:
    await asyncio.sleep(seconds)
    raise LeavingError


async def ended_from_outside(call: Coroutine[Any, Any, Any]) -> Any:
    """Makes a call and ends it early, in one of the ways of asyncio; returns its response if that was too late."""
    seconds = random.uniform(0, 0.03)
    task = asyncio.ensure_future(call)
    try:
        match random.choice(("task", "timeout", "group")):
            case "task":
                timer = asyncio.get_running_loop().call_later(seconds, task.cancel)
                await asyncio.wait([task])
                timer.cancel()
            case "timeout":
                async with asyncio.timeout(seconds):
                    await task
            case _:
                async with asyncio.TaskGroup() as group:
                    group.create_task(leave(seconds))
                    await task
    except (TimeoutError, ExceptionGroup):
        await asyncio.wait([task])
        if task.cancelled():
            raise
    return task.result()


class Tally:
    """Counts the outcomes of the calls, and collects wrong ones."""

    def __init__(self) -> None:
        self.outcomes: Counter[str] = Counter()
        self.attempts = 0
        self.wrong: list[str] = []

    def count(self, account: str, response: Any, *, ended: bool = False) -> None:
        """Counts the outcome of a call, which something else may have ended."""
        if isinstance(response, BaseException):
            self.outcomes[type(response).__name__] += 1
            if not isinstance(response, (PagerDutyAlertingError, *(OUTER_ERRORS if ended else ()))):
                self.wrong.append(repr(response))
            return
        self.outcomes["success"] += 1
        self.attempts += response.attempts
        if [(service.id, service.name) for service in response.result] != [(account, f"of {account}")]:
            self.wrong.append(f"{account} got {response.result}")


def memory() -> int:
    """Returns the resident memory of this process in bytes, after a garbage collection."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    return int(pathlib.Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def descriptors() -> int:
    return sum(1 for _ in pathlib.Path("/proc/self/fd").iterdir())


async def run_async(url: str, numbers: Any, concurrency: int, tally: Tally, warm_up: int) -> tuple[int, int]:
    """Makes the calls; returns memory after the warm-up and at the end."""
    after_warm_up = 0
    async with AsyncClient(base_url=url, **SETTINGS) as client:
        operations = client.with_response

        async def worker() -> None:
            nonlocal after_warm_up
            for number in numbers:
                account = f"account-{number}"
                ended = random.random() < ENDED_FROM_OUTSIDE
                call = operations.list_services(account_id=account)
                try:
                    tally.count(account, await (ended_from_outside(call) if ended else call))
                except (Exception, asyncio.CancelledError) as error:
                    tally.count(account, error, ended=ended)
                if number == warm_up:
                    after_warm_up = memory()

        await asyncio.gather(*(worker() for _ in range(concurrency)))
        if under_way := client._core.pacer._under_way:
            tally.wrong.append(f"{under_way} requests still count as under way")
        return after_warm_up, memory()


async def close_async(url: str, concurrency: int, tally: Tally) -> int:
    """Closes clients while they are called; returns how many calls were made."""
    made = 0

    async def worker(client: AsyncClient) -> None:
        nonlocal made
        while not client.is_closed:
            made += 1
            account = f"account-{made}"
            try:
                tally.count(account, await client.with_response.list_services(account_id=account))
            except Exception as error:
                tally.count(account, error)

    for _ in range(CLOSED_CLIENTS):
        client = AsyncClient(base_url=url, **SETTINGS)
        workers = [asyncio.ensure_future(worker(client)) for _ in range(concurrency)]
        await asyncio.sleep(random.uniform(0, 0.1))
        await client.aclose()
        _, hung = await asyncio.wait(workers, timeout=PATIENCE)
        if hung:
            tally.wrong.append(f"{len(hung)} calls of a closed client hang")
    return made


def close_sync(url: str, threads: int, tally: Tally) -> int:
    """Like `close_async`, with threads on synchronous clients."""
    made = 0
    lock = threading.Lock()

    def worker(client: Client) -> None:
        nonlocal made
        outcome: Any = None
        while not isinstance(outcome, ClientClosedError):
            with lock:
                made += 1
                account = f"account-{made}"
            try:
                outcome = client.with_response.list_services(account_id=account)
            except Exception as error:
                outcome = error
            with lock:
                tally.count(account, outcome)

    for _ in range(CLOSED_CLIENTS):
        client = Client(base_url=url, **SETTINGS)
        workers = [threading.Thread(target=worker, args=(client,), daemon=True) for _ in range(threads)]
        for thread in workers:
            thread.start()
        time.sleep(random.uniform(0, 0.1))
        client.close()
        for thread in workers:
            thread.join(PATIENCE)
        if hung := sum(thread.is_alive() for thread in workers):
            tally.wrong.append(f"{hung} calls of a closed client hang")
    return made


def run_sync(url: str, numbers: Any, threads: int, tally: Tally, warm_up: int) -> tuple[int, int]:
    """Like `run_async`, in threads that share one synchronous client."""
    after_warm_up = 0
    lock = threading.Lock()

    def worker(client: Client) -> None:
        nonlocal after_warm_up
        operations = client.with_response
        while True:
            with lock:
                number = next(numbers, None)
            if number is None:
                return
            account = f"account-{number}"
            outcome: Any
            try:
                outcome = operations.list_services(account_id=account)
            except Exception as error:
                outcome = error
            with lock:
                tally.count(account, outcome)
            del outcome
            if number == warm_up:
                after_warm_up = memory()

    with Client(base_url=url, **SETTINGS) as client:
        workers = [threading.Thread(target=worker, args=(client,)) for _ in range(threads)]
        for thread in workers:
            thread.start()
        for thread in workers:
            thread.join()
        return after_warm_up, memory()


def report(
    name: str, calls: int, tally: Tally, started: float, memories: tuple[int, int], files: int, left: int
) -> bool:
    """Prints the outcome of a run; returns whether it passed."""
    seconds = time.monotonic() - started
    growth = memories[1] - memories[0]
    failures = [*tally.wrong[:5]]
    if sum(tally.outcomes.values()) != calls:
        failures.append(f"{calls - sum(tally.outcomes.values())} calls were lost")
    if growth >= ALLOWED_GROWTH:
        failures.append(f"memory grew by {growth / 1e6:.1f} MB")
    if descriptors() > files:
        failures.append(f"{descriptors() - files} file descriptors are left")
    if left:
        failures.append(f"{left} tasks or threads are left")
    print(
        f"{name}: {calls:,} calls in {seconds:.0f} s ({calls / seconds:,.0f}/s), {tally.attempts:,} requests answered"
    )
    print(f"  outcomes: {', '.join(f'{kind} {count:,}' for kind, count in tally.outcomes.most_common())}")
    print(f"  memory: {memories[0] / 1e6:.1f} MB after the warm-up, {growth / 1e6:+.2f} MB at the end")
    print(f"  file descriptors {files} before, {descriptors()} after; tasks and threads left: {left}")
    for failure in failures:
        print(f"  FAILED: {failure}")
    return not failures


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=100_000)
    parser.add_argument("--concurrency", type=int, default=64)
    parser.add_argument("--threads", type=int, default=16)
    options = parser.parse_args()
    warm_up = options.calls // 10

    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    server = context.Process(target=serve, args=(theirs,), daemon=True)
    server.start()
    url = f"http://127.0.0.1:{ours.recv()}"
    passed = True
    try:
        tally, started, files = Tally(), time.monotonic(), descriptors()
        left = 0

        async def asynchronous() -> tuple[int, int]:
            nonlocal left
            memories = await run_async(url, iter(range(options.calls)), options.concurrency, tally, warm_up)
            await asyncio.sleep(0)
            left = len(asyncio.all_tasks()) - 1
            return memories

        memories = asyncio.run(asynchronous())
        name = f"AsyncClient, {options.concurrency} at once"
        passed &= report(name, options.calls, tally, started, memories, files, left)

        tally, started, files = Tally(), time.monotonic(), descriptors()
        memories = run_sync(url, iter(range(options.calls)), options.threads, tally, warm_up)
        name = f"Client, {options.threads} threads"
        passed &= report(name, options.calls, tally, started, memories, files, threading.active_count() - 1)

        tally, started, files = Tally(), time.monotonic(), descriptors()
        made = asyncio.run(close_async(url, options.concurrency, tally))
        passed &= report(f"{CLOSED_CLIENTS} AsyncClients, closed", made, tally, started, (0, 0), files, 0)

        tally, started, files = Tally(), time.monotonic(), descriptors()
        made = close_sync(url, options.threads, tally)
        name = f"{CLOSED_CLIENTS} Clients, closed"
        passed &= report(name, made, tally, started, (0, 0), files, threading.active_count() - 1)
    finally:
        server.terminate()
        server.join()
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
