"""The measurements run with whatever clients are installed, and the report of them says what was measured."""

import pytest

from tests.bench import report
from tests.bench.contenders import AIOHTTP, OURS_ASYNC, OURS_SYNC
from tests.bench.rounds import SEQUENTIAL_ASYNC, Cell, measure


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
        "sections": {
            report.CALLS: report.of_calls(cells),
            report.IMPORT: {"import": {}},
            report.MEMORY: {"memory": {}},
            report.SIZE: {"size": {}},
        },
    }


def test_a_ratio_is_the_median_of_the_rounds_ratios() -> None:
    ours, theirs = cell("scenario", OURS_ASYNC, 1, 10, 2), cell("scenario", AIOHTTP, 2, 20, 10)

    measured = report.of_calls([ours, theirs])["scenario"]

    assert measured[AIOHTTP]["ours"][1] == 2  # and not 10 / 2, the ratio of the medians
    assert measured[OURS_ASYNC]["ours"] == [1, 1, 1]


@pytest.mark.parametrize(("theirs", "verdict"), [(1.0, "kept"), (0.9, "MISSED")])
def test_a_target_is_kept_or_missed(theirs: float, verdict: str) -> None:
    measured = results(cell(SEQUENTIAL_ASYNC, OURS_ASYNC, 1, 1), cell(SEQUENTIAL_ASYNC, AIOHTTP, theirs, theirs))

    (line,) = [line for line in report.targets(measured) if "by hand" in line]

    assert verdict in line


def test_a_target_of_a_client_that_is_not_installed_counts_as_not_measured() -> None:
    lines = list(report.targets(results(cell(SEQUENTIAL_ASYNC, OURS_ASYNC, 1, 1))))

    assert all("not measured" in line for line in lines)


def test_every_client_takes_part_in_every_round() -> None:
    cells = measure(2, 0.0001, lambda text: None, quick=True)

    assert {OURS_ASYNC, OURS_SYNC, AIOHTTP} <= {cell.contender for cell in cells}
    assert {len(cell.seconds_per_call) for cell in cells} == {2}
