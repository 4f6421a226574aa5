"""The examples of tests pass in separate pytest runs, with only the configuration that they describe."""

import os
import subprocess
import sys

import pytest

from tests.support.examples import EXAMPLES

# Where the scope is unset, pytest-asyncio warns, and warnings are errors here.
UNDER_ASYNCIO = ["-p", "no:anyio", "-o", "asyncio_default_fixture_loop_scope=function"]


@pytest.mark.parametrize(
    ("example", "options", "passed"),
    [
        ("test_with_emulator.py", ["-p", "no:asyncio", "-p", "no:anyio"], 5),
        ("test_with_emulator_asyncio.py", UNDER_ASYNCIO, 2),
        ("test_with_emulator_asyncio_auto.py", [*UNDER_ASYNCIO, "-o", "asyncio_mode=auto"], 2),
        ("test_with_emulator_anyio.py", ["-p", "no:asyncio"], 2),
    ],
    ids=["synchronous", "strict", "auto", "anyio"],
)
def test_the_tests_of_the_example_pass(example: str, options: list[str], passed: int) -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-c", os.devnull, "-W", "error"]
    command += ["-p", "no:cacheprovider", "-p", "no:hypothesispytest"]
    done = subprocess.run(
        [*command, "--rootdir", str(EXAMPLES), *options, str(EXAMPLES / example)],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{passed} passed" in done.stdout
