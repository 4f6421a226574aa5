"""A local copy of Cloudflare's API for PagerDuty destinations: its public names; it must not import them unasked."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pagerduty_alerting.emulator._request_log import RequestLog
    from pagerduty_alerting.emulator.emulator import Emulator
    from pagerduty_alerting.emulator.faults.builder import FaultBuilder
    from pagerduty_alerting.emulator.faults.gates import Gate
    from pagerduty_alerting.emulator.faults.selection import Order
    from pagerduty_alerting.emulator.requests import RecordedRequest
    from pagerduty_alerting.emulator.rules._ids import IdStyle
    from pagerduty_alerting.emulator.rules.answers import Dialect, ErrorCode
    from pagerduty_alerting.emulator.rules.contract import Operation, Permission
    from pagerduty_alerting.emulator.rules.initial_state import (
        InitialAccount,
        InitialApiKey,
        InitialApiToken,
        InitialState,
    )
    from pagerduty_alerting.emulator.rules.rate_limits import RateLimits
    from pagerduty_alerting.emulator.rules.state import (
        Account,
        EmulatorUsageError,
        IntegrationToken,
        Service,
        TokenState,
    )

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

_HOMES = {
    "rules.answers": ("Dialect", "ErrorCode"),
    "rules.contract": ("Operation", "Permission"),
    "emulator": ("Emulator",),
    "faults.builder": ("FaultBuilder",),
    "faults.gates": ("Gate",),
    "rules._ids": ("IdStyle",),
    "rules.initial_state": ("InitialAccount", "InitialApiKey", "InitialApiToken", "InitialState"),
    "faults.selection": ("Order",),
    "rules.rate_limits": ("RateLimits",),
    "_request_log": ("RequestLog",),
    "requests": ("RecordedRequest",),
    "rules.state": ("Account", "EmulatorUsageError", "IntegrationToken", "Service", "TokenState"),
}


def __getattr__(name: str) -> object:
    # Imported when first asked for: pytest loads the plugin beside this file in every test run there is.
    for module, names in _HOMES.items():
        if name in names:
            value: object = getattr(importlib.import_module(f"{__name__}.{module}"), name)
            globals()[name] = value
            return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
