"""A local copy of Cloudflare's API for PagerDuty destinations: its public names; it must not import them unasked."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pagerduty_alerting.emulator._answers import Dialect, ErrorCode
    from pagerduty_alerting.emulator._contract import Operation, Permission
    from pagerduty_alerting.emulator._emulator import Emulator
    from pagerduty_alerting.emulator._fault_builder import FaultBuilder
    from pagerduty_alerting.emulator._gates import Gate
    from pagerduty_alerting.emulator._ids import IdStyle
    from pagerduty_alerting.emulator._initial_state import (
        InitialAccount,
        InitialApiKey,
        InitialApiToken,
        InitialState,
    )
    from pagerduty_alerting.emulator._orders import Order
    from pagerduty_alerting.emulator._rate_limits import RateLimits
    from pagerduty_alerting.emulator._request_log import RequestLog
    from pagerduty_alerting.emulator._requests import RecordedRequest
    from pagerduty_alerting.emulator._state import (
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
    "_answers": ("Dialect", "ErrorCode"),
    "_contract": ("Operation", "Permission"),
    "_emulator": ("Emulator",),
    "_fault_builder": ("FaultBuilder",),
    "_gates": ("Gate",),
    "_ids": ("IdStyle",),
    "_initial_state": ("InitialAccount", "InitialApiKey", "InitialApiToken", "InitialState"),
    "_orders": ("Order",),
    "_rate_limits": ("RateLimits",),
    "_request_log": ("RequestLog",),
    "_requests": ("RecordedRequest",),
    "_state": ("Account", "EmulatorUsageError", "IntegrationToken", "Service", "TokenState"),
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
