"""Interruptions at every line of the runner, and at random moments: nothing blocks, gets lost or stays broken.

`nox -s soak` interrupts at every line instead of every third, and 10,000 times at random moments. STORM_SEED seeds the
random numbers.
"""

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import stress_server
from tests.support.size import size

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no POSIX signals")

HERE = Path(__file__).parent
COUNT = size(200, full=10_000)
SEED = int(os.environ.get("STORM_SEED", "20261124"))

STRIDE = size(3, full=1)
FEWEST_POINTS = 50 // STRIDE  # of each situation; fewer would mean that lines are no longer counted


def unmeasured() -> dict[str, str]:
    """Returns the environment without coverage, whose locks a signal handler can leave held."""
    return {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}


@pytest.mark.timeout(300)
@pytest.mark.parametrize("interruption", ["exception", "signal", "ctrl-c", "call", "garbage-collection"])
def test_an_interruption_at_any_line_blocks_nothing_and_leaves_the_client_usable(interruption: str) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", HERE / "every_line.py", interruption],
        env={**unmeasured(), "EVERY_LINE_STRIDE": str(STRIDE)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr
    lines = done.stdout.splitlines()
    assert [line for line in lines if not line.endswith(" points, 0 failed")] == []
    assert len(lines) == 10
    assert min(int(line.split(": ")[1].split()[0]) for line in lines) >= FEWEST_POINTS


@pytest.fixture(scope="module")
def api() -> Iterator[dict[str, str]]:
    """The environment of an API in a separate process."""
    process = subprocess.Popen(
        [sys.executable, stress_server.__file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    port = process.stdout.readline().strip()
    try:
        yield {
            "CLOUDFLARE_BASE_URL": f"http://127.0.0.1:{port}/client/v4",
            "CLOUDFLARE_API_TOKEN": "storm",
            "CLOUDFLARE_ACCOUNT_ID": "good-1",
        }
    finally:
        process.kill()
        process.communicate()


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("threads", [0, 4], ids=["alone", "beside threads"])
@pytest.mark.parametrize("kind", ["signal", "ctrl-c", "asynchronous"])
def test_random_interruptions_block_no_call_and_leave_the_client_usable(
    api: dict[str, str], kind: str, threads: int
) -> None:
    # An interruption before the runner starts leaves a coroutine that is never awaited, of which Python warns.
    command = [sys.executable, "-W", "ignore", HERE / "storm.py", kind, str(COUNT), str(SEED), str(threads)]
    done = subprocess.run(command, env={**unmeasured(), **api}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    came = ast.literal_eval(done.stdout.splitlines()[0])
    assert came["KeyboardInterrupt" if kind == "ctrl-c" else "Interruption"] > COUNT / 2
