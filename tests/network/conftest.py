"""What the tests over raw sockets share: the loop of modules that set `VIRTUAL_TIME`, and clients' settings."""

import asyncio
from collections.abc import Callable, Mapping

import pytest

from tests.support.virtual_time import CarefulVirtualTimeLoop


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Modules that say `VIRTUAL_TIME = True` run on a loop whose clock jumps."""
    if getattr(item.module, "VIRTUAL_TIME", False):
        return {"virtual": CarefulVirtualTimeLoop}
    return {"real": asyncio.new_event_loop}
