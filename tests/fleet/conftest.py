"""What the tests of fleets share: many accounts at an emulator."""

import pytest

from pagerduty_alerting.emulator import Emulator


@pytest.fixture
def accounts(emulator: Emulator) -> list[str]:
    """Forty accounts; all but the first have a service of their number."""
    return [emulator.add_account(services=[f"Service {number}"] if number else []) for number in range(40)]
