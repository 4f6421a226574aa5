"""What the observability tests share: options for clients of an emulator."""

import pytest

from pagerduty_alerting import RetryPolicy
from pagerduty_alerting.emulator import Emulator


@pytest.fixture
def options(emulator: Emulator) -> dict[str, object]:
    """The arguments of a client for the emulator, which does not wait long before it tries again."""
    return {
        "api_token": emulator.api_token,
        "account_id": emulator.account_id,
        "base_url": emulator.url,
        "retry": RetryPolicy(initial_delay=0.001),
    }
