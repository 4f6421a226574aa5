"""The example of tests of one's own passes in a pytest run of its own, with nothing configured."""

import os
import subprocess
import sys

from tests.support.examples import EXAMPLES


def test_the_tests_of_the_example_pass() -> None:
    options = [
        "-q",
        "-p",
        "no:cacheprovider",
        "-c",
        os.devnull,
        "--rootdir",
        str(EXAMPLES),
        "-W",
        "error",
        "-p",
        "no:asyncio",
    ]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, str(EXAMPLES / "test_with_emulator.py")],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert "4 passed" in done.stdout
