"""Asynchronous tests under pytest-asyncio in its strict mode, which is its default: each needs the marker.

Run it with `pytest examples/test_with_emulator_asyncio.py`; it needs no credentials and no network.
"""

import pytest

from pagerduty_alerting import AsyncClient
from pagerduty_alerting.emulator import Emulator


async def report(client: AsyncClient) -> str:
    """The code under test: a coroutine function."""
    names = [service.name for service in await client.list_services()]
    return f"Alerts go to {', '.join(names)}." if names else "Alerts go nowhere!"


@pytest.mark.asyncio
async def test_a_report_of_an_account_without_pagerduty(pagerduty_async_client: AsyncClient) -> None:
    assert await report(pagerduty_async_client) == "Alerts go nowhere!"


@pytest.mark.asyncio
async def test_a_report_names_the_connected_services(
    pagerduty_api: Emulator, pagerduty_async_client: AsyncClient
) -> None:
    pagerduty_api.add_service("Primary on-call")

    assert await report(pagerduty_async_client) == "Alerts go to Primary on-call."
    pagerduty_api.requests.assert_called("list", times=1)
