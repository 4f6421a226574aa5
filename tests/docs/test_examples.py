"""The examples run as they stand: by themselves on the emulator, and against an API that the environment names."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pagerduty_alerting.emulator import Emulator

EXAMPLES = Path(__file__).parents[2] / "examples"
CONNECTING = ["connect_async.py", "connect_sync.py"]


def start(example: str, environ: dict[str, str]) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-W", "error", str(EXAMPLES / example)],
        env={**os.environ, **environ},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("example", CONNECTING)
def test_without_credentials_the_example_uses_an_emulator_of_its_own(example: str) -> None:
    with start(example, {}) as process:
        output, errors = process.communicate(timeout=240)

    assert errors == ""
    assert process.returncode == 0
    assert output.splitlines() == [
        "connected before: []",
        "connected now: ['Primary on-call', 'Database']",
        "connected in the end: []",
    ]


@pytest.mark.parametrize("example", CONNECTING)
def test_with_credentials_the_example_has_a_person_authorize_the_token(example: str) -> None:
    with Emulator() as api, start(example, api.environ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "connected before: []\n"
        asked = process.stdout.read(len("Authorize ") + 32)
        api.authorize(asked.split()[-1], services=["Website"])
        output, errors = process.communicate("\n", timeout=240)

    assert errors == ""
    assert process.returncode == 0
    assert output.endswith("connected now: ['Website']\n")


@pytest.mark.parametrize("example", CONNECTING)
def test_a_refusal_ends_the_example_with_one_clear_line(example: str) -> None:
    with Emulator() as api, start(example, {**api.environ, "CLOUDFLARE_API_TOKEN": "wrong"}) as process:
        _, errors = process.communicate("\n", timeout=240)

    assert process.returncode == 1
    assert errors.startswith("AuthenticationError: List PagerDuty services failed with 401")
    assert len(errors.splitlines()) == 1
