"""Turns what was measured into results that a machine can read, a table for a person, and the table of the README."""

import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from tests.bench.contenders import (
    AIOHTTP,
    FLOOR_ASYNC,
    FLOOR_SYNC,
    HTTPX_ASYNC,
    HTTPX_SYNC,
    OFFICIAL_AIOHTTP,
    OFFICIAL_ASYNC,
    OFFICIAL_SYNC,
    OURS_ASYNC,
    OURS_SYNC,
    REQUESTS,
)
from tests.bench.rounds import SEQUENTIAL_ASYNC, SEQUENTIAL_SYNC, Cell, at_once, threads

Results = dict[str, Any]
"""What is kept as JSON: `machine`, and for each of `sections` for each scenario for each client a `spread`."""

CALLS, IMPORT, MEMORY, SIZE = "microseconds a call", "import, milliseconds", "memory, MiB", "installed, MiB"


def spread(values: Sequence[float]) -> list[float]:
    """Returns the quarter of the values below, the median, and the quarter above."""
    return statistics.quantiles(values, n=4) if len(values) > 1 else [values[0]] * 3


def of_calls(cells: Iterable[Cell]) -> Results:
    """Returns the times of calls, each with its ratio to ours, which is the median of the rounds' ratios."""
    scenarios: dict[str, dict[str, Cell]] = {}
    for cell in cells:
        scenarios.setdefault(cell.scenario, {})[cell.contender] = cell
    return {
        scenario: {
            name: {
                "spread": spread([value * 1e6 for value in cell.seconds_per_call]),
                "cpu": spread([value * 1e6 for value in cell.cpu_per_call]),
                "calls": cell.calls,
                "ours": _ratio(cell.seconds_per_call, _ours(contenders).seconds_per_call),
                "ours_cpu": _ratio(cell.cpu_per_call, _ours(contenders).cpu_per_call),
            }
            for name, cell in contenders.items()
        }
        for scenario, contenders in scenarios.items()
    }


def _ours(contenders: Mapping[str, Cell]) -> Cell:
    return contenders.get(OURS_SYNC) or contenders[OURS_ASYNC]


def _ratio(values: Sequence[float], ours: Sequence[float]) -> list[float]:
    """Returns the spread of how many times as long as ours they took."""
    return spread([value / our for value, our in zip(values, ours, strict=True)])


def of_values(values: Mapping[str, Sequence[float]], against: str, scale: float = 1.0) -> Results:
    """Returns other measurements, each with its ratio to that of `against`."""
    base = statistics.median(values[against])
    return {
        name: {
            "spread": [value * scale for value in spread(measured)],
            "ours": [value / base for value in spread(measured)],
        }
        for name, measured in values.items()
    }


class Target(NamedTuple):
    """What was promised: a client's value over ours, at least or at most so much."""

    promise: str
    scenario: str
    contender: str
    bound: float
    section: str = CALLS
    inverted: bool = False  # ours over theirs, at most the bound; otherwise theirs over ours, at least the bound


TARGETS = [
    Target("async ≤ 1.05 × aiohttp + cattrs by hand", SEQUENTIAL_ASYNC, AIOHTTP, 1.05, inverted=True),
    Target("async ≥ 4 × faster than the official async", SEQUENTIAL_ASYNC, OFFICIAL_ASYNC, 4.0),
    Target("64 at once ≥ 15 × the official async", at_once(64), OFFICIAL_ASYNC, 15.0),
    Target("sync ≥ 3.5 × faster than the official sync", SEQUENTIAL_SYNC, OFFICIAL_SYNC, 3.5),
    Target("sync ≥ 2.5 × faster than requests", SEQUENTIAL_SYNC, REQUESTS, 2.5),
    Target("import ≤ 1.15 × import aiohttp", "import", "import aiohttp", 1.15, IMPORT, inverted=True),
    Target("memory below the official async SDK's", "memory", OFFICIAL_ASYNC, 1.5, MEMORY),
    Target("installed size below the official SDK's", "size", "cloudflare", 1.5, SIZE),
]


def targets(results: Results) -> Iterator[str]:
    """Yields a line for each target that could be measured."""
    for target in TARGETS:
        measured = results["sections"].get(target.section, {}).get(target.scenario, {}).get(target.contender)
        if measured is None:
            yield f"{target.promise:45} not measured"
            continue
        ratio, cpu = (measured[key][1] if key in measured else None for key in ("ours", "ours_cpu"))
        if target.inverted:
            ratio, cpu = (value and 1 / value for value in (ratio, cpu))
        kept = ratio <= target.bound if target.inverted else ratio >= target.bound
        by_cpu = f"   (CPU time: {cpu:.2f})" if cpu else ""
        yield f"{target.promise:45} {ratio:6.2f}   {'kept' if kept else 'MISSED'}{by_cpu}"


def table(results: Results) -> Iterator[str]:
    """Yields the lines of a table for a person."""
    yield results["machine"]
    for name, reason in results.get("left_out", {}).items():
        yield f"not measured: {name}: {reason}"
    for section, scenarios in results["sections"].items():
        for scenario, contenders in scenarios.items():
            yield ""
            yield f"{scenario} ({section})"
            for name, measured in contenders.items():
                lower, median, upper = measured["spread"]
                line = f"  {name:42} {median:9.1f}   {f'({lower:.1f} to {upper:.1f})':22}"
                line += f" {measured['ours'][1]:6.2f} × ours"
                if "cpu" in measured:
                    line += f"   CPU {measured['cpu'][1]:9.1f}   {measured['ours_cpu'][1]:6.2f} × ours"
                yield line
    yield ""
    yield from targets(results)


_COLUMNS = {
    "async call": (SEQUENTIAL_ASYNC, 1),
    "64 at once, a call": (at_once(64), 1),
    "256 at once, a call": (at_once(256), 1),
    "sync call": (SEQUENTIAL_SYNC, 1),
    "32 threads, a call": (threads(32), 1),
}
_ROWS = {
    "**`pagerduty_alerting`**": (OURS_ASYNC, OURS_SYNC),
    "aiohttp + cattrs, by hand": (AIOHTTP,),
    "httpx, by hand": (HTTPX_ASYNC, HTTPX_SYNC),
    "requests, by hand": (REQUESTS,),
    "Cloudflare's SDK": (OFFICIAL_ASYNC, OFFICIAL_SYNC),
    "Cloudflare's SDK on aiohttp": (OFFICIAL_AIOHTTP,),
    "a socket, the same bytes": (FLOOR_ASYNC, FLOOR_SYNC),
}
_SIZES = {
    "**`pagerduty_alerting`**": ("pagerduty_alerting", OURS_ASYNC, "from pagerduty_alerting import AsyncClient"),
    "aiohttp + cattrs, by hand": (AIOHTTP, AIOHTTP, "import aiohttp, cattrs.preconf.orjson"),
    "httpx, by hand": ("httpx", HTTPX_ASYNC, "import httpx"),
    "requests, by hand": ("requests", REQUESTS, "import requests"),
    "Cloudflare's SDK": ("cloudflare", OFFICIAL_ASYNC, "from cloudflare import AsyncCloudflare"),
    "Cloudflare's SDK on aiohttp": (OFFICIAL_AIOHTTP, OFFICIAL_AIOHTTP, ""),
}


def readme(results: Results) -> Iterator[str]:
    """Yields the README's table: microseconds a call, how many times as long as ours, and the costs of the start."""
    calls = results["sections"][CALLS]
    yield f"| µs a call (× ours) | {' | '.join(_COLUMNS)} |"
    yield f"|---|{'---:|' * len(_COLUMNS)}"
    for label, contenders in _ROWS.items():
        texts = [_cell(calls[scenario], contenders) for scenario, _ in _COLUMNS.values()]
        if any(texts):
            yield f"| {label} | {' | '.join(texts)} |"
    yield ""
    yield "| before the first answer | import | memory | installed, with dependencies |"
    yield "|---|---:|---:|---:|"
    for label, (distribution, contender, statement) in _SIZES.items():
        imported = results["sections"][IMPORT]["import"].get(statement)
        resident = results["sections"][MEMORY]["memory"].get(contender)
        installed = results["sections"][SIZE]["size"].get(distribution)
        texts = [
            f"{measured['spread'][1]:.0f} {unit}" if measured else ""
            for measured, unit in ((imported, "ms"), (resident, "MiB"), (installed, "MiB"))
        ]
        if any(texts):
            yield f"| {label} | {' | '.join(texts)} |"
    yield ""
    yield f"Measured by `nox -s bench`: {results['machine']}."


def _cell(scenario: Results, contenders: Sequence[str]) -> str:
    for name in contenders:
        if name in scenario:
            measured = scenario[name]
            ratio = "" if name in {OURS_ASYNC, OURS_SYNC} else f" ({measured['ours'][1]:.2g} ×)"
            return f"{measured['spread'][1]:,.0f}{ratio}"
    return ""
