"""Under trio, a call says that it needs asyncio."""

import anyio
import pytest
import trio

from pagerduty_alerting import AsyncClient, ClientUsageError
from tests.support.operations import API_TOKEN


@pytest.mark.parametrize("operation", ["list_services", "delete_services", "create_integration_token"])
def test_a_call_under_trio_says_that_it_needs_asyncio(operation: str) -> None:
    client = AsyncClient(api_token=API_TOKEN, account_id="a")
    for owner in (client, client.with_response):
        with pytest.raises(ClientUsageError, match="asyncio only, not with trio"):
            trio.run(getattr(owner, operation))


def test_entering_a_client_under_trio_says_that_it_needs_asyncio() -> None:
    async def enter() -> None:
        async with AsyncClient(api_token=API_TOKEN):
            pass

    with pytest.raises(ClientUsageError, match="asyncio only, not with trio"):
        anyio.run(enter, backend="trio")


def test_a_fleet_under_trio_says_that_it_needs_asyncio() -> None:
    async def run() -> None:
        async for _ in AsyncClient(api_token=API_TOKEN).list_services_in(["a"]):
            pass

    with pytest.raises(ClientUsageError, match="asyncio only, not with trio"):
        trio.run(run)


def test_a_client_that_was_not_used_can_be_closed_under_trio() -> None:
    client = AsyncClient(api_token=API_TOKEN)
    trio.run(client.aclose)
    assert client.is_closed
