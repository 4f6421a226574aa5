"""Connects PagerDuty from synchronous code: create a token, have it authorized, link it, list what is connected.

With CLOUDFLARE_API_TOKEN and CLOUDFLARE_ACCOUNT_ID in the environment it uses Cloudflare's API and asks you to
authorize the token in PagerDuty. Without them it uses the emulator and authorizes the token itself.
"""

import os
import sys
from collections.abc import Callable

from pagerduty_alerting import Client, IntegrationToken, PagerDutyAlertingError
from pagerduty_alerting.emulator import Emulator


def connect(client: Client, authorize: Callable[[IntegrationToken], None]) -> None:
    """Links PagerDuty with the client's account."""
    print("connected before:", [service.name for service in client.list_services()])
    token = client.create_integration_token()
    authorize(token)
    client.connect(token)
    print("connected now:", [service.name for service in client.list_services()])


def ask(token: IntegrationToken) -> None:
    """Asks a person to authorize the token."""
    input(f"Authorize {token.id} in PagerDuty, then press Enter. ")


def at_cloudflare() -> None:
    with Client() as client:
        connect(client, ask)


def at_the_emulator() -> None:
    with (
        Emulator() as api,
        Client(api_token=api.api_token, account_id=api.account_id, base_url=api.url) as client,
    ):
        connect(client, lambda token: api.authorize(token.id, services=["Primary on-call", "Database"]))
        client.delete_services()
        print("connected in the end:", client.list_services())


if __name__ == "__main__":
    try:
        if "CLOUDFLARE_API_TOKEN" in os.environ:
            at_cloudflare()
        else:
            at_the_emulator()
    except PagerDutyAlertingError as error:
        sys.exit(f"{type(error).__name__}: {error}")
