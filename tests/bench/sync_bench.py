"""What a synchronous call costs beside an asynchronous one of the same client: `python tests/bench/sync_bench.py`.

All ways are measured in one run, in rounds that take turns, against a server in a process of its own (server.py), so
that whatever else the machine does hits all of them. A ratio is the median of the rounds' ratios.
"""

import argparse
import asyncio
import platform
import statistics
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

if __package__ in {None, ""}:  # run as a script
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from pagerduty_alerting import AsyncClient, Client
from tests.bench.server import ACCOUNT_ID, LoopbackServer

THREADS = 8
ASYNC, SYNC, BACKGROUND, COROUTINES, POOL, BACKGROUND_POOL = (
    "async call",
    "sync call",
    "sync call through run_coroutine_threadsafe",
    f"{THREADS} coroutines",
    f"{THREADS} threads",
    f"{THREADS} threads through run_coroutine_threadsafe",
)


class Ratio(NamedTuple):
    """One way measured against another, and what was promised."""

    name: str
    way: str
    against: str
    target: float
    is_throughput: bool = False  # higher is better; times are compared the other way round


RATIOS = [
    Ratio("a sync call costs, in async calls", SYNC, ASYNC, 1.15),
    Ratio("a sync call costs, in calls through a background loop", SYNC, BACKGROUND, 0.70),
    Ratio(f"{THREADS} threads reach, of the throughput of {THREADS} coroutines", POOL, COROUTINES, 0.9, True),
]

Measure = Callable[[int], float]
"""Makes so many calls and returns the seconds that they took."""


def measure(rounds: int, calls: int) -> dict[str, list[float]]:
    """Returns the seconds per call of each way, one value for each round."""
    seconds: dict[str, list[float]] = {}
    with LoopbackServer() as server, ways(server.url) as measures:
        for measure_one in measures.values():
            measure_one(calls)  # opens connections, warms the interpreter's caches
        for _ in range(rounds):
            for name, measure_one in measures.items():
                seconds.setdefault(name, []).append(measure_one(calls) / calls)
    return seconds


@contextmanager
def ways(url: str) -> Iterator[dict[str, Measure]]:
    """Yields the ways of calling, each with a client of its own."""

    def options() -> dict[str, str]:
        return {"base_url": url, "api_token": "bench", "account_id": ACCOUNT_ID}

    with (
        Client(**options()) as client,
        Client(**options()) as shared,
        asyncio.Runner() as runner,
        background_loop() as loop,
    ):
        awaited, distant = AsyncClient(**options()), AsyncClient(**options())

        async def one_by_one(calls: int) -> float:
            started = time.perf_counter()
            for _ in range(calls):
                await awaited.list_services()
            return time.perf_counter() - started

        async def at_once(calls: int) -> float:
            async def some() -> None:
                for _ in range(calls // THREADS):
                    await awaited.list_services()

            started = time.perf_counter()
            async with asyncio.TaskGroup() as group:
                for _ in range(THREADS):
                    group.create_task(some())
            return time.perf_counter() - started

        def through_background() -> object:
            return asyncio.run_coroutine_threadsafe(distant.list_services(), loop).result()

        try:
            yield {
                ASYNC: lambda calls: runner.run(one_by_one(calls)),
                SYNC: lambda calls: in_this_thread(client.list_services, calls),
                BACKGROUND: lambda calls: in_this_thread(through_background, calls),
                COROUTINES: lambda calls: runner.run(at_once(calls)),
                POOL: lambda calls: in_threads(shared.list_services, calls),
                BACKGROUND_POOL: lambda calls: in_threads(through_background, calls),
            }
        finally:
            runner.run(awaited.aclose())
            asyncio.run_coroutine_threadsafe(distant.aclose(), loop).result()


def in_this_thread(call: Callable[[], object], calls: int) -> float:
    """Returns the seconds that the calls took."""
    started = time.perf_counter()
    for _ in range(calls):
        call()
    return time.perf_counter() - started


def in_threads(call: Callable[[], object], calls: int) -> float:
    """Returns the seconds that the calls took, shared out among threads that start together."""
    line = threading.Barrier(THREADS + 1)

    def some() -> None:
        line.wait()
        for _ in range(calls // THREADS):
            call()
        line.wait()

    threads = [threading.Thread(target=some) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    line.wait()
    started = time.perf_counter()
    line.wait()
    seconds = time.perf_counter() - started
    for thread in threads:
        thread.join()
    return seconds


@contextmanager
def background_loop() -> Iterator[asyncio.AbstractEventLoop]:
    """Yields a loop that a thread of its own drives."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield loop
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def ratios(seconds: dict[str, list[float]], wanted: Ratio) -> list[float]:
    """Returns one ratio for each round."""
    pairs = zip(seconds[wanted.way], seconds[wanted.against], strict=True)
    return [against / way if wanted.is_throughput else way / against for way, against in pairs]


def report(seconds: dict[str, list[float]]) -> Iterator[str]:
    """Yields the lines of a report: medians, with the quarters of the rounds below and above as their spread."""
    for name, values in seconds.items():
        lower, median, upper = statistics.quantiles(values, n=4)
        yield f"{name:50} {median * 1e6:6.0f} µs a call   ({lower * 1e6:.0f} to {upper * 1e6:.0f})"
    for wanted in RATIOS:
        lower, median, upper = statistics.quantiles(ratios(seconds, wanted), n=4)
        kept = median >= wanted.target if wanted.is_throughput else median <= wanted.target
        bound = "at least" if wanted.is_throughput else "at most"
        yield (
            f"{wanted.name:60} {median:.2f}   ({lower:.2f} to {upper:.2f};"
            f" {bound} {wanted.target:.2f}: {'kept' if kept else 'MISSED'})"
        )


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=75)
    parser.add_argument("--calls", type=int, default=80, help="calls of each way in a round")
    options = parser.parse_args()
    print(f"Python {platform.python_version()}, {options.rounds} rounds of {options.calls} calls")
    for line in report(measure(options.rounds, options.calls)):
        print(line)


if __name__ == "__main__":
    main()
