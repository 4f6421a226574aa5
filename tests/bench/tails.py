"""Compares synchronous calls from 1 to 128 threads with calls through an event loop in a background thread.

A program without a synchronous client would use such a loop with `asyncio.run_coroutine_threadsafe`. Both ways
alternate in every round, each with its own client.
"""

import asyncio
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from attrs import frozen

from pagerduty_alerting import AsyncClient, Client
from tests.bench.contenders import ACCOUNT_ID, TOKEN, SyncCall
from tests.bench.server import LoopbackServer

CALLS_OF_A_THREAD = {1: 400, 8: 60, 32: 25, 128: 10}
"""How many calls each thread makes in a round, for each number of threads."""

OURS, BACKGROUND = "the synchronous client", "a loop in a background thread"
P50, P99, TIME = "p50", "p99", "time a call"
"""What is compared: two quantiles of the time that a caller waits, and the total time divided by the calls."""


def in_threads(number: int) -> str:
    """Returns the number of threads as text."""
    return f"{number} thread{'' if number == 1 else 's'}"


@frozen
class Tail:
    """The measurements of one way of calling in one round, in seconds."""

    p50: float
    p99: float
    per_call: float

    def value(self, what: str) -> float:
        """Returns the measurement with this name."""
        return {P50: self.p50, P99: self.p99, TIME: self.per_call}[what]


Tails = dict[int, dict[str, list[Tail]]]
"""For each number of threads, for each way of calling, one value for each round."""


def measure(rounds: int, report: Callable[[str], None]) -> Tails:
    """Returns the measurements of both ways for each number of threads."""
    tails: Tails = {threads: {OURS: [], BACKGROUND: []} for threads in CALLS_OF_A_THREAD}
    with LoopbackServer() as server, _ways(server.url) as ways:
        for number in range(rounds + 1):
            for threads, calls in CALLS_OF_A_THREAD.items():
                report(f"round {number} of {rounds}: {in_threads(threads)}")
                for name, call in ways if number % 2 else reversed(ways):
                    tail = _in_threads(call, threads, calls)
                    if number:  # the first opens the connections
                        tails[threads][name].append(tail)
    return tails


@contextmanager
def _ways(url: str) -> Iterator[list[tuple[str, SyncCall]]]:
    """Yields the two ways of calling."""
    options = {"base_url": url, "api_token": TOKEN, "account_id": ACCOUNT_ID}
    with Client(**options) as client, _background_loop() as loop:
        in_background = AsyncClient(**options)

        def through_background() -> object:
            return asyncio.run_coroutine_threadsafe(in_background.list_services(), loop).result()

        try:
            yield [(OURS, client.list_services), (BACKGROUND, through_background)]
        finally:
            asyncio.run_coroutine_threadsafe(in_background.aclose(), loop).result()


@contextmanager
def _background_loop() -> Iterator[asyncio.AbstractEventLoop]:
    """Yields an event loop that runs in a background thread."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield loop
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def _in_threads(call: SyncCall, threads: int, calls: int) -> Tail:
    """Makes the given number of calls in each thread; the threads start together."""
    barrier = threading.Barrier(threads)
    waits: list[float] = []
    times: list[float] = []
    failures: list[BaseException] = []

    def some() -> None:
        mine = []
        barrier.wait()
        times.append(time.perf_counter())
        try:
            for _ in range(calls):
                started = time.perf_counter()
                call()
                mine.append(time.perf_counter() - started)
        except BaseException as failure:
            failures.append(failure)
        times.append(time.perf_counter())
        waits.extend(mine)

    workers = [threading.Thread(target=some) for _ in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    if failures:
        raise failures[0]
    cuts = statistics.quantiles(waits, n=100)
    return Tail(cuts[49], cuts[98], (max(times) - min(times)) / (threads * calls))
