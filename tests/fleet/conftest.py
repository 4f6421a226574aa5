"""Fixture of the tests of fleets: many accounts on the emulator."""

import pytest

from pagerduty_alerting.emulator import Emulator


@pytest.fixture
def accounts(emulator: Emulator) -> list[str]:
    """Forty accounts; all but the first have one service, named by number."""
    return [emulator.add_account(services=[f"Service {number}"] if number else []) for number in range(40)]
