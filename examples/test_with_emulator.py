"""Tests with the emulator: installing this package gives pytest the fixtures `pagerduty_api` and `pagerduty_client`.

Run it with `pytest examples/test_with_emulator.py`; it needs no credentials and no network. Asynchronous tests use
`pagerduty_async_client`: see `test_with_emulator_asyncio.py`, `…_asyncio_auto.py` and `…_anyio.py`.
"""

import pytest

from pagerduty_alerting import Client, RateLimitError
from pagerduty_alerting.emulator import Emulator, Operation


def report(client: Client) -> str:
    """The code under test."""
    names = [service.name for service in client.list_services()]
    return f"Alerts go to {', '.join(names)}." if names else "Alerts go nowhere!"


def test_a_report_of_an_account_without_pagerduty(pagerduty_client: Client) -> None:
    assert report(pagerduty_client) == "Alerts go nowhere!"


def test_a_report_names_the_connected_services(pagerduty_api: Emulator, pagerduty_client: Client) -> None:
    pagerduty_api.add_service("Primary on-call")
    pagerduty_api.add_service("Database")

    assert report(pagerduty_client) == "Alerts go to Primary on-call, Database."
    pagerduty_api.requests.assert_operations(Operation.LIST)


def test_a_report_succeeds_after_a_short_outage(pagerduty_api: Emulator, pagerduty_client: Client) -> None:
    pagerduty_api.on(Operation.LIST).once().respond(503)

    assert report(pagerduty_client) == "Alerts go nowhere!"


def test_a_report_fails_under_a_long_block(pagerduty_api: Emulator, pagerduty_client: Client) -> None:
    pagerduty_api.on(Operation.LIST).rate_limited(retry_after=300)

    with pytest.raises(RateLimitError) as failure:
        report(pagerduty_client)

    assert failure.value.retry_after == 300


def report_of_the_environment() -> str:
    """Code under test that makes its own client from the environment."""
    with Client() as client:
        return report(client)


def test_a_report_of_the_environment_uses_the_emulator(
    pagerduty_api: Emulator, pagerduty_environ: dict[str, str]
) -> None:
    pagerduty_api.add_service("Database")

    assert report_of_the_environment() == "Alerts go to Database."
