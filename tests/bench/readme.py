"""Writes the README's tables of performance: a row for each client, between two comments."""

from collections.abc import Iterator
from pathlib import Path

from attrs import frozen

from tests.bench import contenders as names
from tests.bench.report import CALLS, FIRST, IMPORT, MEMORY, SIZE, Results
from tests.bench.rounds import SEQUENTIAL_ASYNC, SEQUENTIAL_SYNC, THREADS, at_once, threads
from tests.bench.tails import CALLS_OF_A_THREAD, P50, P99, TIME, in_threads

BEGIN, END = "<!-- bench: begin -->", "<!-- bench: end -->"

OF_CALLS = "| µs a call, × ours (quartiles) | async call | 64 at once | sync call | 32 threads |"
OF_STARTS = "| before the second call | import | process with one call | memory | installed |"
OF_TAILS = "| sync, × a loop in a background thread | p50 | p99 | time a call |"


@frozen
class Row:
    """A client: its names among the asynchronous and synchronous ones, what it installs, how it is imported."""

    label: str
    asynchronous: str = ""
    synchronous: str = ""
    distribution: str = ""
    statement: str = ""


def _by_hand(module: str) -> str:
    return f"import {module}, cattrs.preconf.orjson"


ROWS = [
    Row(
        "**`pagerduty_alerting`**",
        names.OURS_ASYNC,
        names.OURS_SYNC,
        "pagerduty_alerting",
        "from pagerduty_alerting import AsyncClient",
    ),
    Row("**`pagerduty_alerting`** on uvloop", names.OURS_UVLOOP),
    Row("aiohttp", names.AIOHTTP, "", names.AIOHTTP, _by_hand("aiohttp")),
    Row("aiohttp on uvloop", names.AIOHTTP_UVLOOP),
    Row("aiosonic", names.AIOSONIC, "", names.AIOSONIC, _by_hand("aiosonic")),
    Row(
        "pyreqwest (Rust)",
        names.PYREQWEST_ASYNC,
        names.PYREQWEST_SYNC,
        names.PYREQWEST_SYNC,
        _by_hand("pyreqwest.client"),
    ),
    Row("primp (Rust)", names.PRIMP_ASYNC, names.PRIMP_SYNC, names.PRIMP_SYNC, _by_hand("primp")),
    Row("pycurl", "", names.PYCURL, names.PYCURL, _by_hand("pycurl")),
    Row("http.client", "", names.HTTP_CLIENT, names.HTTP_CLIENT, _by_hand("http.client")),
    Row("urllib3", "", names.URLLIB3, names.URLLIB3, _by_hand("urllib3")),
    Row("niquests", names.NIQUESTS_ASYNC, names.NIQUESTS_SYNC, names.NIQUESTS_SYNC, "import niquests"),
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
    Row("a socket, the same bytes", names.FLOOR_ASYNC, names.FLOOR_SYNC),
]


def write(path: Path, results: Results) -> None:
    """Puts the tables of these results between the comments."""
    before, _, rest = path.read_text(encoding="utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    if not end:
        raise ValueError(f"{path.name} does not hold {BEGIN} and {END}")
    text = "\n".join([BEGIN, "", *tables(results), "", END])
    path.write_text(f"{before}{text}{after}", encoding="utf-8")


def tables(results: Results) -> Iterator[str]:
    """Yields the lines of the tables, and when and on what they were measured. An empty cell was not measured."""
    for head, rows in (
        (OF_CALLS, [(row.label, _of_calls(row, results)) for row in ROWS]),
        (OF_STARTS, [(row.label, _of_start(row, results)) for row in ROWS if row.distribution]),
        (OF_TAILS, [(in_threads(number), _of_tails(number, results)) for number in CALLS_OF_A_THREAD]),
    ):
        yield head
        yield f"|---|{'---:|' * (head.count('|') - 2)}"
        for label, cells in rows:
            yield f"| {label} | {' | '.join(cells)} |"
        yield ""
    yield f"Measured by `nox -s bench -- --write`: {results['machine']}."


def _of_calls(row: Row, results: Results) -> Iterator[str]:
    calls = results["sections"][CALLS]
    for scenario in (SEQUENTIAL_ASYNC, at_once(64), SEQUENTIAL_SYNC, threads(THREADS)):
        name = row.asynchronous if scenario.startswith("async") else row.synchronous
        measured = calls.get(scenario, {}).get(name)
        if not measured:
            yield ""
        elif name in {names.OURS_ASYNC, names.OURS_SYNC}:
            yield f"{measured['spread'][1]:,.0f}"
        else:
            yield f"{measured['spread'][1]:,.0f}, {_ratio(measured['ours'])}"


def _ratio(spread: list[float]) -> str:
    lower, median, upper = (f"{value:.2f}" if value < 10 else f"{value:.0f}" for value in spread)
    return f"{median} × ({lower}–{upper})"


def _of_start(row: Row, results: Results) -> Iterator[str]:
    sections = results["sections"]
    contender = row.asynchronous or row.synchronous
    for measured, unit in (
        (sections[IMPORT]["import"].get(row.statement), "ms"),
        (sections[FIRST]["one call"].get(contender), "ms"),
        (sections[MEMORY]["memory"].get(contender), "MiB"),
        (sections[SIZE]["size"].get(row.distribution), "MiB"),
    ):
        yield f"{measured['spread'][1]:.0f} {unit}" if measured else ""


def _of_tails(number: int, results: Results) -> Iterator[str]:
    compared = results["tails"].get(str(number), {})
    for what in (P50, P99, TIME):
        yield _ratio(compared[what]["ratio"]) if what in compared else ""
