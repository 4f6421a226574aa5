"""Writes the README's table of performance, between two comments: the clients that a user chooses among.

The report that `nox -s bench` prints has all clients and all measurements.
"""

from collections.abc import Iterator
from pathlib import Path

from attrs import frozen

from tests.bench import contenders as names
from tests.bench.report import CALLS, IMPORT, MEMORY, SIZE, Results
from tests.bench.rounds import SEQUENTIAL_ASYNC, SEQUENTIAL_SYNC, THREADS, at_once, threads
from tests.bench.tails import CALLS_OF_A_THREAD, P50, P99, in_threads

BEGIN, END = "<!-- bench: begin -->", "<!-- bench: end -->"

HEAD = "| time a call | async | 64 at once | sync | 32 threads | import | memory | installed |"
SCENARIOS = (SEQUENTIAL_ASYNC, at_once(64), SEQUENTIAL_SYNC, threads(THREADS))


@frozen
class Row:
    """A client of the table.

    Attributes:
        label: Its name in the table.
        asynchronous: Its name among the asynchronous clients; empty if there is none.
        synchronous: Its name among the synchronous clients; empty if there is none.
        distribution: What is installed for it; empty if no other row says so already.
        statement: The import that is timed for it; empty for none.
    """

    label: str
    asynchronous: str = ""
    synchronous: str = ""
    distribution: str = ""
    statement: str = ""


def _by_hand(module: str) -> str:
    return f"import {module}, cattrs.preconf.orjson"


ROWS = (
    Row(
        "**`pagerduty_alerting`**",
        names.OURS_ASYNC,
        names.OURS_SYNC,
        "pagerduty_alerting",
        "from pagerduty_alerting import AsyncClient",
    ),
    Row("the same on uvloop", names.OURS_UVLOOP),
    Row("aiohttp", names.AIOHTTP, "", names.AIOHTTP, _by_hand("aiohttp")),
    Row("http.client", "", names.HTTP_CLIENT, names.HTTP_CLIENT, _by_hand("http.client")),
    Row("pycurl", "", names.PYCURL, names.PYCURL, _by_hand("pycurl")),
    Row(
        "pyreqwest (Rust)",
        names.PYREQWEST_ASYNC,
        names.PYREQWEST_SYNC,
        names.PYREQWEST_SYNC,
        _by_hand("pyreqwest.client"),
    ),
    Row("httpx", names.HTTPX_ASYNC, names.HTTPX_SYNC, "httpx", "import httpx"),
    Row("requests", "", names.REQUESTS, "requests", "import requests"),
    Row(
        "Cloudflare's SDK",
        names.OFFICIAL_ASYNC,
        names.OFFICIAL_SYNC,
        "cloudflare",
        "from cloudflare import AsyncCloudflare",
    ),
    Row("Cloudflare's SDK on aiohttp", names.OFFICIAL_AIOHTTP, "", names.OFFICIAL_AIOHTTP),
)


def write(path: Path, results: Results) -> None:
    """Replaces what is between the comments by the table of these results.

    Raises:
        ValueError: The file does not hold the two comments.
    """
    before, _, rest = path.read_text(encoding="utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    if not end:
        raise ValueError(f"{path.name} does not hold {BEGIN} and {END}")
    text = "\n".join([BEGIN, "", *lines(results), "", END])
    path.write_text(f"{before}{text}{after}", encoding="utf-8")


def lines(results: Results) -> Iterator[str]:
    """Yields the table, a sentence on threads, and when and where it was measured. An empty cell was not measured."""
    yield HEAD
    yield f"|---|{'---:|' * (HEAD.count('|') - 2)}"
    for row in ROWS:
        yield f"| {row.label} | {' | '.join([*_of_calls(row, results), *_of_start(row, results)])} |"
    yield ""
    yield (
        "A synchronous call takes, as a multiple of one through an event loop in a background thread (p50,"
        f" p99): {'; '.join(_of_tails(results))}."
    )
    yield f"Measured by `nox -s bench -- --write`: {results['machine']}."


def _of_calls(row: Row, results: Results) -> Iterator[str]:
    """Yields our times in microseconds, and those of others as multiples of ours."""
    calls = results["sections"][CALLS]
    for scenario in SCENARIOS:
        name = row.asynchronous if scenario.startswith("async") else row.synchronous
        measured = calls.get(scenario, {}).get(name)
        if not measured:
            yield ""
        elif name in {names.OURS_ASYNC, names.OURS_SYNC}:
            yield f"{measured['spread'][1]:,.0f} µs"
        else:
            lower, median, upper = map(_multiple, measured["ours"])
            yield f"{median} × ({lower}–{upper})"


def _multiple(value: float) -> str:
    return f"{value:.2f}" if value < 10 else f"{value:.0f}"


def _of_start(row: Row, results: Results) -> Iterator[str]:
    sections = results["sections"]
    for measured, unit in (
        (sections[IMPORT]["import"].get(row.statement), "ms"),
        (row.distribution and sections[MEMORY]["memory"].get(row.asynchronous or row.synchronous), "MiB"),
        (sections[SIZE]["size"].get(row.distribution), "MiB"),
    ):
        yield f"{measured['spread'][1]:.0f} {unit}" if measured else ""


def _of_tails(results: Results) -> Iterator[str]:
    for number in CALLS_OF_A_THREAD:
        compared = results["tails"].get(str(number))
        waits = [f"{_multiple(compared[what]['ratio'][1])} ×" for what in (P50, P99)] if compared else ["not measured"]
        yield f"{in_threads(number)} {', '.join(waits)}"
