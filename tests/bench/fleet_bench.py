"""Measures fleets: peak memory and time for 1,000 and for 100,000 accounts, against a loopback server.

    python tests/bench/fleet_bench.py [--check]

Each size runs in a separate process, asynchronous and synchronous, without respect for rate limits (the quota would
make it take hours). The cost of an account is CPU time, which other load on the machine affects less. The peak is that
of Python's allocations, measured by tracemalloc in a run of its own, because it slows everything down; the growth of
resident memory is printed as well. With `--check` it exits with status 1 if memory or cost grows with the number of
accounts.
"""

import argparse
import asyncio
import json
import resource
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

from pagerduty_alerting import AsyncClient, Client

if __package__ in {None, ""}:  # run as a script
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.bench.server import LoopbackServer

SMALL, LARGE = 1_000, 100_000
FLAVOURS = ("async", "sync")

# Bounds between noise and growth: a hundred times as many accounts would need a hundred times as much memory.
MOST_GROWTH = 0.5  # MiB, of Python's allocations
MOST_SLOWDOWN = 1.5


def account_ids(count: int) -> Iterator[str]:
    return (f"{number:032x}" for number in range(count))


def settings(url: str) -> dict[str, object]:
    return {"base_url": url, "api_token": "t", "respect_rate_limits": False}


async def run_async(url: str, count: int) -> int:
    done = 0
    async with AsyncClient(**settings(url)) as client:  # type: ignore[arg-type]
        async for result in client.list_services_in(account_ids(count)):
            done += result.error is None
    return done


def run_sync(url: str, count: int) -> int:
    with Client(**settings(url)) as client:  # type: ignore[arg-type]
        return sum(result.error is None for result in client.list_services_in(account_ids(count)))


def measure(flavour: str, url: str, count: int, *, traced: bool) -> dict[str, float]:
    """Returns the measurements of one run in this process, after a warm-up."""

    def run(accounts: int) -> int:
        return asyncio.run(run_async(url, accounts)) if flavour == "async" else run_sync(url, accounts)

    run(500)
    resident = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    if traced:
        tracemalloc.start()
    started, cpu = time.perf_counter(), time.process_time()
    done = run(count)
    seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
    peak = tracemalloc.get_traced_memory()[1] if traced else 0
    if done != count:
        sys.exit(f"{count - done} accounts failed")
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - resident
    return {"seconds": seconds, "cpu": cpu, "peak": peak / 2**20, "grown": grown / 2**10}


def measured(flavour: str, url: str, count: int, *, traced: bool) -> dict[str, float]:
    """Returns what `measure` returns in a new process."""
    command = [sys.executable, __file__, "--one", flavour, url, str(count), "traced" if traced else "timed"]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return dict(json.loads(done.stdout))


def main(*, check: bool) -> None:
    problems = []
    print(f"{'':6} {'accounts':>9} {'µs CPU each':>12} {'µs each':>8} {'Python peak':>12} {'resident growth':>16}")
    with LoopbackServer() as server:
        for flavour in FLAVOURS:
            found = {}
            for count in (SMALL, LARGE):
                # The fastest run is the least disturbed; the small size runs more often, because it is short.
                timed = [measured(flavour, server.url, count, traced=False) for _ in range(5 if count == SMALL else 2)]
                traced = measured(flavour, server.url, count, traced=True)
                cpu, seconds = (min(run[what] for run in timed) / count * 1e6 for what in ("cpu", "seconds"))
                grown = max(run["grown"] for run in timed)
                found[count] = cpu, traced["peak"]
                peak = f"{traced['peak']:.2f} MiB"
                print(f"{flavour:6} {count:9,} {cpu:12.0f} {seconds:8.0f} {peak:>12} {grown:12.1f} MiB", flush=True)
            growth = found[LARGE][1] - found[SMALL][1]
            slowdown = found[LARGE][0] / found[SMALL][0]
            print(f"{flavour:6} peak {growth:+.2f} MiB, cost per account x {slowdown:.2f}")
            if growth > MOST_GROWTH:
                problems.append(f"{flavour}: the peak grew by {growth:.2f} MiB, more than {MOST_GROWTH}")
            if slowdown > MOST_SLOWDOWN:
                problems.append(f"{flavour}: an account costs {slowdown:.2f} times as much, more than {MOST_SLOWDOWN}")
    print("\n".join(f"MISSED: {problem}" for problem in problems) or "fleet: both bounds kept")
    if check and problems:
        sys.exit(1)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="exit with status 1 if a bound is missed")
    parser.add_argument("--one", nargs=4, metavar=("FLAVOUR", "URL", "COUNT", "HOW"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        flavour, url, count, how = arguments.one
        print(json.dumps(measure(flavour, url, int(count), traced=how == "traced")))
    else:
        main(check=arguments.check)
