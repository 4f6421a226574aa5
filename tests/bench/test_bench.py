"""The measurements run with the clients that are installed, and the report and the README show them."""

from pathlib import Path

import pytest

from tests.bench import readme, report
from tests.bench.async_contenders import ASYNC
from tests.bench.contenders import AIOHTTP, LEFT_OUT, OURS_ASYNC, OURS_SYNC
from tests.bench.rounds import SEQUENTIAL_ASYNC, Cell, measure
from tests.bench.sync_contenders import SYNC
from tests.bench.tails import BACKGROUND, OURS, Tail

ROOT = Path(__file__).resolve().parents[2]
KNOWN = {*ASYNC, *SYNC, *LEFT_OUT}


def cell(scenario: str, contender: str, *seconds: float) -> Cell:
    return Cell(
        scenario,
        contender,
        lambda calls: (0.0, 0.0),
        calls=1,
        seconds_per_call=list(seconds),
        cpu_per_call=list(seconds),
    )


def results(*cells: Cell) -> report.Results:
    return {
        "machine": "a machine",
        "tails": {},
        "sections": {
            report.CALLS: report.of_calls(cells),
            report.IMPORT: {"import": {}},
            report.FIRST: {"first answer": {}, "command line": {}, "one call": {}},
            report.MEMORY: {"memory": {}},
            report.SIZE: {"size": {}},
        },
    }


def shape(table: str) -> list[list[str]]:
    """Returns the head of a table whole, and of every other row its first cell and how many there are."""
    head, *rows = [line for line in table.splitlines() if line.startswith("|")]
    return [[head], *([line.split("|")[1].strip(), str(line.count("|"))] for line in rows)]


def test_a_ratio_is_the_median_of_the_ratios_of_the_rounds() -> None:
    ours, theirs = cell("scenario", OURS_ASYNC, 1, 10, 2), cell("scenario", AIOHTTP, 2, 20, 10)

    measured = report.of_calls([ours, theirs])["scenario"]

    assert measured[AIOHTTP]["ours"][1] == 2  # and not 10 / 2, the ratio of the medians
    assert measured[OURS_ASYNC]["ours"] == [1, 1, 1]


@pytest.mark.parametrize(("theirs", "kept"), [(1.0, True), (0.9, False)])
def test_a_bound_is_kept_up_to_its_value_and_missed_beyond(theirs: float, kept: bool) -> None:
    measured = results(cell(SEQUENTIAL_ASYNC, OURS_ASYNC, 1, 1), cell(SEQUENTIAL_ASYNC, AIOHTTP, theirs, theirs))

    (verdict,) = [verdict for verdict in report.verdicts(measured) if verdict.measured is not None]

    assert verdict.kept is kept
    assert ("kept" if kept else "MISSED") in str(verdict)


@pytest.mark.parametrize(
    ("threads", "ours", "kept"), [(1, 0.79, True), (1, 0.81, False), (8, 1.1, True), (8, 1.3, False)]
)
def test_the_bound_for_one_thread_is_lower_than_for_several(threads: int, ours: float, kept: bool) -> None:
    tails = {threads: {OURS: [Tail(ours, ours, ours)] * 2, BACKGROUND: [Tail(1, 1, 1)] * 2}}

    found = list(report.verdicts({**results(), "tails": report.of_tails(tails)}))

    assert [verdict.kept for verdict in found if verdict.measured is not None] == [kept] * 3


def test_a_bound_is_not_measured_if_its_client_is_not_installed() -> None:
    found = list(report.verdicts(results(cell(SEQUENTIAL_ASYNC, OURS_ASYNC, 1, 1))))

    assert all(verdict.kept and "not measured" in str(verdict) for verdict in found)


def test_the_readme_has_the_table_that_the_bench_writes() -> None:
    written = (ROOT / "README.md").read_text(encoding="utf-8").partition(readme.BEGIN)[2].partition(readme.END)[0]

    assert shape(written) == shape("\n".join(readme.lines(results())))
    assert {name for row in readme.ROWS for name in (row.asynchronous, row.synchronous) if name} <= KNOWN


def test_the_report_has_a_line_for_every_client() -> None:
    cells = [cell(SEQUENTIAL_ASYNC, name, 1, 1) for name in (OURS_ASYNC, *sorted(KNOWN - {OURS_ASYNC}))]

    printed = [line.strip() for line in report.table(results(*cells))]

    assert [name for name in KNOWN if not any(line.startswith(name) for line in printed)] == []


def test_writing_the_readme_changes_nothing_outside_the_two_comments(tmp_path: Path) -> None:
    path = tmp_path / "README.md"
    path.write_text(f"before\n{readme.BEGIN}\nold\n{readme.END}\nafter\n", encoding="utf-8")

    readme.write(path, results(cell(SEQUENTIAL_ASYNC, OURS_ASYNC, 1, 1)))

    lines = path.read_text(encoding="utf-8").splitlines()
    assert (lines[:2], lines[-2:]) == (["before", readme.BEGIN], [readme.END, "after"])
    assert "| **`pagerduty_alerting`** | 1,000,000 µs |  |  |  |  |  |  |" in lines
    assert "old" not in lines


def test_a_readme_without_the_two_comments_is_not_written(tmp_path: Path) -> None:
    path = tmp_path / "README.md"
    path.write_text("no comments", encoding="utf-8")

    with pytest.raises(ValueError, match="does not hold"):
        readme.write(path, results())

    assert path.read_text(encoding="utf-8") == "no comments"


def test_every_client_takes_part_in_every_round() -> None:
    cells = measure(2, 0.0001, lambda text: None, quick=True)

    assert {OURS_ASYNC, OURS_SYNC, AIOHTTP} <= {cell.contender for cell in cells}
    assert {len(cell.seconds_per_call) for cell in cells} == {2}
