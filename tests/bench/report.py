"""Turns measurements into results as JSON, a report to print, and verdicts on the bounds."""

import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from tests.bench.cold import IMPORT_TYPER
from tests.bench.contenders import (
    AIOHTTP,
    HTTP_CLIENT,
    OFFICIAL_ASYNC,
    OFFICIAL_SYNC,
    OURS_ASYNC,
    OURS_SYNC,
    REQUESTS,
)
from tests.bench.rounds import SEQUENTIAL_ASYNC, SEQUENTIAL_SYNC, Cell, at_once
from tests.bench.tails import BACKGROUND, OURS, P50, P99, TIME, Tails, in_threads

Results = dict[str, Any]
"""What is kept as JSON: `machine`, `tails`, and for each of `sections` for each scenario for each client a `spread`."""

CALLS, IMPORT, MEMORY, SIZE = "microseconds a call", "import, milliseconds", "memory, MiB", "installed, MiB"
FIRST = "process, milliseconds"


def spread(values: Sequence[float]) -> list[float]:
    """Returns the lower quartile, the median and the upper quartile."""
    return statistics.quantiles(values, n=4, method="inclusive") if len(values) > 1 else [values[0]] * 3


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
    """Returns the quartiles of the ratios to ours, one ratio for each round."""
    return spread([value / our for value, our in zip(values, ours, strict=True)])


def of_values(values: Mapping[str, Sequence[float]], against: str, scale: float = 1.0) -> Results:
    """Returns other measurements, each with its ratio to that of `against`."""
    return {
        name: {"spread": spread([value * scale for value in measured]), "ours": _ratio(measured, values[against])}
        for name, measured in values.items()
    }


def of_tails(tails: Tails) -> Results:
    """Returns the waiting times for each number of threads, with ours as a multiple of those of a background loop."""
    return {
        str(threads): {
            what: {
                "ours": spread([tail.value(what) * 1e6 for tail in ways[OURS]]),
                "background": spread([tail.value(what) * 1e6 for tail in ways[BACKGROUND]]),
                "ratio": _ratio(
                    [tail.value(what) for tail in ways[OURS]], [tail.value(what) for tail in ways[BACKGROUND]]
                ),
            }
            for what in (P50, P99, TIME)
        }
        for threads, ways in tails.items()
    }


class Target(NamedTuple):
    """A bound for the ratio of our value to a client's; with `faster`, for the ratio of the client's to ours."""

    promise: str
    section: str
    scenario: str
    contender: str
    bound: float
    faster: bool = False


TARGETS = [
    Target("async call, of aiohttp's by hand", CALLS, SEQUENTIAL_ASYNC, AIOHTTP, 1.03),
    Target("64 at once, of aiohttp's by hand", CALLS, at_once(64), AIOHTTP, 1.03),
    Target("sync call, of http.client's by hand", CALLS, SEQUENTIAL_SYNC, HTTP_CLIENT, 1.5),
    Target("official async, of ours", CALLS, SEQUENTIAL_ASYNC, OFFICIAL_ASYNC, 4.0, faster=True),
    Target("official async, 64 at once, of ours", CALLS, at_once(64), OFFICIAL_ASYNC, 15.0, faster=True),
    Target("official sync, of ours", CALLS, SEQUENTIAL_SYNC, OFFICIAL_SYNC, 3.5, faster=True),
    Target("requests, of ours", CALLS, SEQUENTIAL_SYNC, REQUESTS, 2.5, faster=True),
    Target("import, of aiohttp's", IMPORT, "import", "import aiohttp", 1.15),
    Target("a process with one call, of import aiohttp", FIRST, "first answer", "import aiohttp", 1.12),
    Target("`services list`, of import typer", FIRST, "command line", IMPORT_TYPER, 4.8),
    Target("official async's memory, of ours", MEMORY, "memory", OFFICIAL_ASYNC, 1.5, faster=True),
    Target("official SDK's installed size, of ours", SIZE, "size", "cloudflare", 1.5, faster=True),
]
AT_MOST_OF_BACKGROUND, AT_MOST_WITH_ONE_THREAD = 1.2, 0.8


class Verdict(NamedTuple):
    """A bound and the measured ratio, which is None if the client is not installed."""

    promise: str
    bound: str
    measured: float | None
    kept: bool

    def __str__(self) -> str:
        if self.measured is None:
            return f"{self.promise:60} not measured"
        return f"{self.promise:60} {self.measured:6.2f} ×   {self.bound:16} {'kept' if self.kept else 'MISSED'}"


def verdicts(results: Results) -> Iterator[Verdict]:
    """Yields a verdict on each bound."""
    for target in TARGETS:
        measured = results["sections"].get(target.section, {}).get(target.scenario, {}).get(target.contender)
        ratio = measured and (measured["ours"][1] if target.faster else 1 / measured["ours"][1])
        yield _verdict(target.promise, ratio, target.bound, at_least=target.faster)
    for threads, compared in results["tails"].items():
        for what, measured in compared.items():
            bound = AT_MOST_WITH_ONE_THREAD if threads == "1" else AT_MOST_OF_BACKGROUND
            yield _verdict(f"{in_threads(int(threads))}, {what}, of a background loop's", measured["ratio"][1], bound)


def _verdict(promise: str, ratio: float | None, bound: float, *, at_least: bool = False) -> Verdict:
    kept = ratio is None or (ratio >= bound if at_least else ratio <= bound)
    return Verdict(promise, f"at {'least' if at_least else 'most'} {bound:.2f}", ratio, kept)


def table(results: Results) -> Iterator[str]:
    """Yields the lines of the report, in which all measurements are."""
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
    for threads, compared in results["tails"].items():
        yield ""
        yield f"sync, {in_threads(int(threads))} (microseconds)"
        for what, measured in compared.items():
            (_, ours, _), (_, theirs, _) = measured["ours"], measured["background"]
            lower, median, upper = measured["ratio"]
            line = f"  {what:12} {ours:9.1f}   through a loop in a background thread {theirs:9.1f}"
            yield f"{line}   {median:6.2f} × ({lower:.2f} to {upper:.2f})"
    yield ""
    yield from map(str, verdicts(results))
