"""A local copy of Cloudflare's API for PagerDuty destinations, over real HTTP.

    emulator       `Emulator`, the public class: start, stop, reset, and what people do in Cloudflare and PagerDuty
    dispatch       handles one request: counts it, records it, applies its faults, returns the response
    requests       the log of requests, with masked secrets and assertions
    server         the listening socket and its connections; a thread for synchronous code
    errors         `EmulatorUsageError`
    json_input     reads JSON into attrs classes, with readable error messages
    standalone     runs the emulator as a process of its own
    pytest_plugin  fixtures; every pytest run loads this file, so it imports nothing until a fixture is used
    rules/         PURE, how Cloudflare responds: contract (operations, paths), answers (envelopes), credentials,
                   rate_limits, state (accounts, tokens, ids), initial_state, operations (runs a request)
    faults/        ordered faults: kinds (data), selection (which requests), builder (`api.on(…)`), gates, playback
    control/       the paths below `/_emulator/`: api, orders (its input), page

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

__all__ = [
    "Account",
    "Dialect",
    "Emulator",
    "EmulatorUsageError",
    "ErrorCode",
    "FaultBuilder",
    "Gate",
    "IdStyle",
    "InitialAccount",
    "InitialApiKey",
    "InitialApiToken",
    "InitialIntegrationToken",
    "InitialState",
    "IntegrationToken",
    "Operation",
    "Order",
    "Permission",
    "RateLimits",
    "RecordedRequest",
    "RequestLog",
    "Service",
    "TokenState",
]

_MODULES = {
    "emulator": ("Emulator",),
    "errors": ("EmulatorUsageError",),
    "faults.builder": ("FaultBuilder",),
    "faults.gates": ("Gate",),
    "faults.selection": ("Order",),
    "requests": ("RecordedRequest", "RequestLog"),
    "rules.answers": ("Dialect", "ErrorCode"),
    "rules.contract": ("Operation", "Permission"),
    "rules.initial_state": (
        "InitialAccount",
        "InitialApiKey",
        "InitialApiToken",
        "InitialIntegrationToken",
        "InitialState",
    ),
    "rules.rate_limits": ("RateLimits",),
    "rules.state": ("Account", "IdStyle", "IntegrationToken", "Service", "TokenState"),
}


def __getattr__(name: str) -> object:
    # Imported on first use: every pytest run loads this package together with its plugin.
    for module, names in _MODULES.items():
        if name in names:
            value: object = getattr(importlib.import_module(f"{__name__}.{module}"), name)
            globals()[name] = value
            return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
