"""Fixture of the observability tests: the options of a client of the emulator."""

import pytest

from pagerduty_alerting import RetryPolicy
from pagerduty_alerting.emulator import Emulator


@pytest.fixture
def options(emulator: Emulator) -> dict[str, object]:
    """The options of a client of the emulator, with a short back-off."""
    return {
        "api_token": emulator.api_token,
        "account_id": emulator.account_id,
        "base_url": emulator.url,
        "retry": RetryPolicy(initial_delay=0.001),
    }
