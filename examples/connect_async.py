"""Connects PagerDuty from asynchronous code: create a token, have it authorized, link it, list what is connected.

With CLOUDFLARE_API_TOKEN and CLOUDFLARE_ACCOUNT_ID in the environment it uses Cloudflare's API and asks you to
authorize the token in PagerDuty. Without them it uses the emulator and authorizes the token itself.
"""

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable

from pagerduty_alerting import AsyncClient, IntegrationToken, PagerDutyAlertingError
from pagerduty_alerting.emulator import Emulator


async def connect(client: AsyncClient, authorize: Callable[[IntegrationToken], Awaitable[None]]) -> None:
    """Links PagerDuty with the client's account."""
    print("connected before:", [service.name for service in await client.list_services()])
    token = await client.create_integration_token()
    await authorize(token)
    await client.connect(token)
    print("connected now:", [service.name for service in await client.list_services()])


async def ask(token: IntegrationToken) -> None:
    """Asks a person to authorize the token, without blocking the event loop."""
    await asyncio.to_thread(input, f"Authorize {token.id} in PagerDuty, then press Enter. ")


async def at_cloudflare() -> None:
    async with AsyncClient() as client:
        await connect(client, ask)


async def at_the_emulator() -> None:
    async with Emulator() as api:

        async def authorize(token: IntegrationToken) -> None:
            api.authorize(token.id, services=["Primary on-call", "Database"])

        async with AsyncClient(api_token=api.api_token, account_id=api.account_id, base_url=api.url) as client:
            await connect(client, authorize)
            await client.delete_services()
            print("connected in the end:", await client.list_services())


if __name__ == "__main__":
    try:
        asyncio.run(at_cloudflare() if "CLOUDFLARE_API_TOKEN" in os.environ else at_the_emulator())
    except PagerDutyAlertingError as error:
        sys.exit(f"{type(error).__name__}: {error}")
