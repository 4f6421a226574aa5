"""Interruptions at every line of the runner, and at random moments: nothing blocks, gets lost or stays broken.

`nox -s soak` interrupts at every line instead of every third, and 10,000 times at random moments. STORM_SEED seeds the
random numbers.
"""

import ast
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.support import stress_server
from tests.support.scripts import End, program_of, script
from tests.support.size import size

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no POSIX signals")

HERE = Path(__file__).parent
COUNT = size(200, full=10_000)
SEED = int(os.environ.get("STORM_SEED", "20261124"))

STRIDE = size(3, full=1)
FEWEST_POINTS = 50 // STRIDE  # of each situation; fewer would mean that lines are no longer counted


# Ends the measurement of coverage, whose locks a signal handler can leave held.
UNMEASURED = """
import sys
if "coverage" in sys.modules and (measurement := sys.modules["coverage"].Coverage.current()):
    measurement.stop()
"""


def end_of(program: str, *arguments: str, settings: Mapping[str, str]) -> End:
    """Runs a program of this folder and returns how it ended."""
    # An interruption before the runner starts leaves a coroutine that is never awaited, of which Python warns.
    source = UNMEASURED + program_of(HERE / program, *arguments)
    with script(source, settings, "-Wignore", preamble="") as running:
        return running.end()


@pytest.mark.timeout(300)
@pytest.mark.parametrize("interruption", ["exception", "signal", "ctrl-c", "call", "garbage-collection"])
def test_an_interruption_at_any_line_blocks_nothing_and_leaves_the_client_usable(interruption: str) -> None:
    end = end_of("every_line.py", interruption, settings={"EVERY_LINE_STRIDE": str(STRIDE)})
    assert (end.status, end.errors) == (0, ""), end
    lines = end.output.splitlines()
    assert [line for line in lines if not line.endswith(" points, 0 failed")] == []
    assert len(lines) == 10
    assert min(int(line.split(": ")[1].split()[0]) for line in lines) >= FEWEST_POINTS


@pytest.fixture(scope="module")
def api() -> Iterator[dict[str, str]]:
    """The environment of an API in a separate process."""
    with script(program_of(Path(stress_server.__file__)), {}, preamble="") as server:
        yield {
            "CLOUDFLARE_BASE_URL": f"http://127.0.0.1:{server.read_line()}/client/v4",
            "CLOUDFLARE_API_TOKEN": "storm",
            "CLOUDFLARE_ACCOUNT_ID": "good-1",
        }


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("threads", [0, 4], ids=["alone", "beside threads"])
@pytest.mark.parametrize("kind", ["signal", "ctrl-c", "asynchronous"])
def test_random_interruptions_block_no_call_and_leave_the_client_usable(
    api: dict[str, str], kind: str, threads: int
) -> None:
    end = end_of("storm.py", kind, str(COUNT), str(SEED), str(threads), settings=api)
    assert end.status == 0, end
    came = ast.literal_eval(end.output.splitlines()[0])
    assert came["KeyboardInterrupt" if kind == "ctrl-c" else "Interruption"] > COUNT / 2
