"""The examples run as they stand: by themselves on the emulator, and against an API that the environment names."""

import pytest

from pagerduty_alerting.emulator import Emulator
from tests.support.examples import run, started

CONNECTING = ["connect_async", "connect_sync"]


@pytest.mark.parametrize("example", CONNECTING)
def test_without_credentials_the_example_uses_an_emulator_of_its_own(example: str) -> None:
    assert run(example).splitlines() == [
        "connected before: []",
        "connected now: ['Primary on-call', 'Database']",
        "connected in the end: []",
    ]


@pytest.mark.parametrize("example", CONNECTING)
def test_with_credentials_the_example_has_a_person_authorize_the_token(example: str) -> None:
    with Emulator() as api, started(example, api.environ) as running:
        assert running.hears() == "connected before: []"
        asked = running.stdout.read(len("Authorize ") + 32)
        api.authorize(asked.split()[-1], services=["Website"])
        running.tell()
        status, output, complaints = running.end()

    assert (status, complaints) == (0, "")
    assert output.endswith("connected now: ['Website']\n")


@pytest.mark.parametrize("example", CONNECTING)
def test_a_refusal_ends_the_example_with_one_clear_line(example: str) -> None:
    with Emulator() as api, started(example, {**api.environ, "CLOUDFLARE_API_TOKEN": "wrong"}) as running:
        status, _, complaints = running.end()

    assert status == 1
    assert complaints.startswith("AuthenticationError: List PagerDuty services failed with 401")
    assert len(complaints.splitlines()) == 1
