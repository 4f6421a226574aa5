"""The state that Cloudflare's own tests of this resource need, and a pytest plugin that runs them all, none skipped.

Those tests are marked as skipped where Cloudflare's mock server does not support them. The nox sessions download them.
"""

import os
import urllib.request
from collections.abc import Iterable

import pytest

from pagerduty_alerting.emulator import (
    Emulator,
    InitialAccount,
    InitialApiKey,
    InitialIntegrationToken,
    InitialState,
    RateLimits,
    TokenState,
)


def emulator() -> Emulator:
    """Returns an emulator with the account, the key and the integration token that those tests name."""
    token = InitialIntegrationToken(
        "8c71e667571b4f61b94d9e4b12158038", state=TokenState.AUTHORIZED, services=("Database",)
    )
    initial = InitialState(
        accounts=(InitialAccount("023e105f4ecef8ad9ca31a8372d0c353", services=("Primary on-call",)),),
        api_keys=(InitialApiKey("user@example.com", "144c9defac04969c7bfad8efaa8ea194"),),
        integration_tokens=(token,),
    )
    return Emulator(initial_state=initial, rate_limits=RateLimits.unlimited())


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: Iterable[pytest.Item]) -> None:
    for item in items:
        for node in item.listchain():
            node.own_markers[:] = [mark for mark in node.own_markers if mark.name != "skip"]


def pytest_runtest_setup() -> None:
    # Every test connects with the same token, which can be used once.
    reset = urllib.request.Request(f"{os.environ['EMULATOR_ORIGIN']}/_emulator/reset", method="POST")
    urllib.request.urlopen(reset, timeout=20).close()
