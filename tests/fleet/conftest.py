"""What the tests of fleets share: the loop of modules that set `VIRTUAL_TIME`, and many accounts at an emulator."""

import asyncio
from collections.abc import Callable, Mapping

import pytest

from pagerduty_alerting.emulator import Emulator
from tests.support.virtual_time import VirtualTimeLoop


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Modules that say `VIRTUAL_TIME = True` run on a loop whose clock jumps."""
    if getattr(item.module, "VIRTUAL_TIME", False):
        return {"virtual": VirtualTimeLoop}
    return {"real": asyncio.new_event_loop}


@pytest.fixture
def accounts(emulator: Emulator) -> list[str]:
    """Forty accounts; all but the first have a service of their number."""
    return [emulator.add_account(services=[f"Service {number}"] if number else []) for number in range(40)]
