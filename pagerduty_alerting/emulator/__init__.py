"""A local copy of Cloudflare's API for PagerDuty destinations, over real HTTP.

## Quick start

    from pagerduty_alerting import Client
    from pagerduty_alerting.emulator import Emulator

    with Emulator() as api:
        with Client(base_url=api.url, api_token=api.api_token, account_id=api.account_id) as client:
            token = client.create_integration_token()
            api.authorize(token, services=["Database"])  # what a person does in PagerDuty
            api.on("connect").once().rate_limited()  # a fault, after which the client retries
            client.connect(token)

The fixtures of `pagerduty_alerting.emulator.pytest_plugin` give tests the emulator and the clients.

## The modules

    emulator       `Emulator`, the public class: start, stop, reset, and what people do
    dispatch       handles one request: counts it, records it, applies its faults
    requests       the log of requests, with masked secrets and assertions
    server         the listening socket and its connections; a thread for synchronous code
    errors         `EmulatorUsageError`
    json_input     reads JSON into attrs classes and arguments, with readable error messages
    standalone     runs the emulator as a process of its own
    pytest_plugin  the fixtures; every pytest run loads it, so it imports nothing at first
    rules/         how Cloudflare responds; pure
        contract       operations, paths, permissions
        answers        envelopes and errors
        credentials    tokens and keys, and whether a request has valid ones
        rate_limits    quotas and their headers
        state          accounts, services and tokens
        initial_state  the state at the start, from Python or JSON
        operations     carries out a request
    faults/        ordered faults
        kinds          the faults, as data
        selection      which requests get a fault
        builder        `api.on(…)`
        gates          holds requests until they are released
        playback       carries out a fault on a connection
    control/       the paths below `/_emulator/`
        api            the control API
        page           the page for people

A new fault is a class in `faults/kinds.py`, a case in `faults/playback.py` and a method in `faults/builder.py`; the
control API takes its name and arguments from the method.
"""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pagerduty_alerting.emulator.emulator import Emulator
    from pagerduty_alerting.emulator.errors import EmulatorUsageError
    from pagerduty_alerting.emulator.faults.builder import FaultBuilder
    from pagerduty_alerting.emulator.faults.gates import Gate
    from pagerduty_alerting.emulator.faults.selection import Order
    from pagerduty_alerting.emulator.requests import RecordedRequest, RequestLog
    from pagerduty_alerting.emulator.rules.answers import Dialect, ErrorCode
    from pagerduty_alerting.emulator.rules.contract import Operation, Permission
    from pagerduty_alerting.emulator.rules.initial_state import (
        InitialAccount,
        InitialApiKey,
        InitialApiToken,
        InitialIntegrationToken,
        InitialState,
    )
    from pagerduty_alerting.emulator.rules.rate_limits import RateLimits
    from pagerduty_alerting.emulator.rules.state import Account, IdStyle, IntegrationToken, Service, TokenState

# The order of the reference.
__all__ = [  # noqa: RUF022
    "Emulator", "Operation", "FaultBuilder", "Order", "Gate", "RequestLog", "RecordedRequest",
    "RateLimits", "Dialect", "IdStyle",
    "InitialState", "InitialAccount", "InitialApiToken", "InitialApiKey", "InitialIntegrationToken",
    "Account", "Service", "IntegrationToken", "TokenState", "Permission", "ErrorCode", "EmulatorUsageError",
]  # fmt: skip

# From the ground up, so that the first one that has a name imports little more than that name needs.
_MODULES = (
    *("errors", "rules.contract", "rules.answers", "rules.rate_limits", "rules.state", "rules.initial_state"),
    *("requests", "faults.gates", "faults.selection", "faults.builder", "emulator"),
)


def __getattr__(name: str) -> object:
    # Imported on first use: every pytest run loads this package together with its plugin.
    if name in __all__:
        for module in _MODULES:
            value: object = getattr(importlib.import_module(f"{__name__}.{module}"), name, None)
            if value is not None:
                globals()[name] = value
                return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
