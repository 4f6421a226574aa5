"""Measures calls in rounds in which all clients take turns, so that other load on the machine affects all alike."""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager

from attrs import define, field

from tests.bench.async_contenders import ASYNC, new_loop
from tests.bench.contenders import (
    AIOHTTP,
    FLOOR_SYNC,
    HTTP_CLIENT,
    OFFICIAL_ASYNC,
    OFFICIAL_SYNC,
    OURS_ASYNC,
    OURS_SYNC,
    AsyncCall,
    SyncCall,
)
from tests.bench.server import SERVICES, LoopbackServer
from tests.bench.sync_contenders import SYNC

CONCURRENCY = (1, 64)
THREADS = 32
LENGTHS = (100, 10_000)
QUICK_LENGTHS = LENGTHS[:1]  # some clients take seconds for the longest
# The clients with which long lists are measured; they decode in different ways.
OF_LISTS = {OURS_ASYNC, OURS_SYNC, AIOHTTP, HTTP_CLIENT, OFFICIAL_ASYNC, OFFICIAL_SYNC}

SEQUENTIAL_SYNC, SEQUENTIAL_ASYNC = "sync, one after the other", "async, one after the other"

Measure = Callable[[int], tuple[float, float]]
"""Makes the given number of calls; returns the seconds they took, and the CPU time of this process in seconds."""


def at_once(number: int) -> str:
    """Returns the name of the scenario with this number of coroutines."""
    return SEQUENTIAL_ASYNC if number == 1 else f"async, {number} at once"


def threads(number: int) -> str:
    """Returns the name of the scenario with this number of threads."""
    return f"sync, {number} threads"


def listing(kind: str, services: int) -> str:
    """Returns the name of the scenario with lists of that length."""
    return f"{kind}, {services:,} service{'' if services == 1 else 's'}"


@define
class Cell:
    """One client in one scenario."""

    scenario: str
    contender: str
    measure: Measure
    workers: int = 1
    calls: int = 0
    seconds_per_call: list[float] = field(factory=list)
    cpu_per_call: list[float] = field(factory=list)

    def warm_up(self, seconds: float) -> None:
        """Opens the connections, fills the caches, and sets `calls` to the number that takes about `seconds`."""
        self.measure(self.workers)
        took, _ = self.measure(self.workers)
        if took < seconds / 4:  # too few for an estimate
            took, _ = self.measure(4 * self.workers)
            took /= 4
        self.calls = self.workers * max(1, round(seconds / took))

    def take_turn(self) -> None:
        """Makes the calls of one round."""
        self.measure(self.workers)  # idle connections may have been closed while the others took their turns
        took, cpu = self.measure(self.calls)
        self.seconds_per_call.append(took / self.calls)
        self.cpu_per_call.append(cpu / self.calls)


def measure(rounds: int, seconds: float, report: Callable[[str], None], *, quick: bool) -> list[Cell]:
    """Returns the seconds per call, one value for each round; each cell's part of a round takes about `seconds`."""
    with ExitStack() as stack:
        cells = list(_cells(stack, QUICK_LENGTHS if quick else LENGTHS))
        for number, cell in enumerate(cells, 1):
            report(f"warming up {number} of {len(cells)}: {cell.scenario}, {cell.contender}")
            cell.warm_up(seconds)
        turns = sorted(cells, key=lambda cell: cell.scenario)  # clients that are compared are adjacent
        for number in range(1, rounds + 1):
            for cell in turns:
                report(f"round {number} of {rounds}: {cell.scenario}, {cell.contender}")
                cell.take_turn()
            turns.reverse()  # so that no client always follows the same one
    return cells


def _cells(stack: ExitStack, lengths: Sequence[int]) -> Iterator[Cell]:
    url = stack.enter_context(LoopbackServer()).url
    few = len(SERVICES)
    for name, open_sync in SYNC.items():
        call = stack.enter_context(open_sync(url, few))
        yield Cell(SEQUENTIAL_SYNC, name, _in_this_thread(call))
        if name != FLOOR_SYNC:  # it is one connection, which threads cannot share
            yield Cell(threads(THREADS), name, _in_threads(call, THREADS), THREADS)
    for name in ASYNC:
        for number in CONCURRENCY:
            yield Cell(at_once(number), name, stack.enter_context(_concurrently(name, url, few, number)), number)
    for services in lengths:
        url = stack.enter_context(LoopbackServer(services)).url
        for name in [name for name in SYNC if name in OF_LISTS]:
            call = stack.enter_context(SYNC[name](url, services))
            yield Cell(listing("sync", services), name, _in_this_thread(call))
        for name in [name for name in ASYNC if name in OF_LISTS]:
            yield Cell(listing("async", services), name, stack.enter_context(_concurrently(name, url, services, 1)))


def _now() -> tuple[float, float]:
    return time.perf_counter(), time.process_time()


def _since(started: tuple[float, float]) -> tuple[float, float]:
    return time.perf_counter() - started[0], time.process_time() - started[1]


def _in_this_thread(call: SyncCall) -> Measure:
    def measure(calls: int) -> tuple[float, float]:
        started = _now()
        for _ in range(calls):
            call()
        return _since(started)

    return measure


def _in_threads(call: SyncCall, number: int) -> Measure:
    """Returns a measurement that divides the calls among threads that start together."""

    def measure(calls: int) -> tuple[float, float]:
        barrier = threading.Barrier(number + 1)

        def some() -> None:
            try:
                barrier.wait()
                for _ in range(calls // number):
                    call()
                barrier.wait()
            except BaseException:
                barrier.abort()  # the others would wait for this thread
                raise

        workers = [threading.Thread(target=some, daemon=True) for _ in range(number)]
        for worker in workers:
            worker.start()
        barrier.wait()
        started = _now()
        barrier.wait()
        seconds = _since(started)
        for worker in workers:
            worker.join()
        return seconds

    return measure


@contextmanager
def _concurrently(name: str, url: str, services: int, number: int) -> Iterator[Measure]:
    """Yields a measurement that divides the calls among coroutines, on an event loop for this client."""
    with asyncio.Runner(loop_factory=new_loop(name)) as runner:
        opened = ASYNC[name](url, services)
        call: AsyncCall = runner.run(opened.__aenter__())

        async def measure(calls: int) -> tuple[float, float]:
            async def some() -> None:
                for _ in range(calls // number):
                    await call()

            started = _now()
            if number == 1:
                await some()
            else:
                async with asyncio.TaskGroup() as group:
                    for _ in range(number):
                        group.create_task(some())
            return _since(started)

        try:
            yield lambda calls: runner.run(measure(calls))
        finally:
            runner.run(opened.__aexit__(None, None, None))
