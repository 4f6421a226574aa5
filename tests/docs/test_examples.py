"""The examples run unchanged: by themselves on the emulator, and against an API that the environment names."""

import pytest

from pagerduty_alerting.emulator import Emulator
from tests.support.examples import run, started

CONNECTING = ["connect_async", "connect_sync"]


@pytest.mark.parametrize("example", CONNECTING)
def test_without_credentials_the_example_uses_the_emulator(example: str) -> None:
    assert run(example).splitlines() == [
        "connected before: []",
        "connected now: ['Primary on-call', 'Database']",
        "connected in the end: []",
    ]


@pytest.mark.parametrize("example", CONNECTING)
def test_with_credentials_the_example_asks_the_user_to_authorize_the_token(example: str) -> None:
    with Emulator() as api, started(example, api.environ) as running:
        assert running.read_line() == "connected before: []"
        asked = running.stdout.read(len("Authorize ") + 32)
        api.authorize(asked.split()[-1], services=["Website"])
        running.write_line()
        status, output, errors = running.end()

    assert (status, errors) == (0, "")
    assert output.endswith("connected now: ['Website']\n")


@pytest.mark.parametrize("example", CONNECTING)
def test_a_refusal_ends_the_example_with_a_one_line_message(example: str) -> None:
    with Emulator() as api, started(example, {**api.environ, "CLOUDFLARE_API_TOKEN": "wrong"}) as running:
        status, _, errors = running.end()

    assert status == 1
    assert errors.startswith("AuthenticationError: List PagerDuty services failed with 401")
    assert len(errors.splitlines()) == 1
