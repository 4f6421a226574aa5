"""Asynchronous tests under anyio's pytest plugin: they have its marker and run on asyncio.

Run it with `pytest examples/test_with_emulator_anyio.py`; it needs no credentials and no network.
"""

import pytest

from pagerduty_alerting import AsyncClient
from pagerduty_alerting.emulator import Emulator


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"  # the client uses aiohttp, which needs asyncio


async def report(client: AsyncClient) -> str:
    """The code under test: a coroutine function."""
    names = [service.name for service in await client.list_services()]
    return f"Alerts go to {', '.join(names)}." if names else "Alerts go nowhere!"


@pytest.mark.anyio
async def test_a_report_of_an_account_without_pagerduty(pagerduty_async_client: AsyncClient) -> None:
    assert await report(pagerduty_async_client) == "Alerts go nowhere!"


@pytest.mark.anyio
async def test_a_report_names_the_connected_services(
    pagerduty_api: Emulator, pagerduty_async_client: AsyncClient
) -> None:
    pagerduty_api.add_service("Primary on-call")

    assert await report(pagerduty_async_client) == "Alerts go to Primary on-call."
    pagerduty_api.requests.assert_called("list", times=1)
