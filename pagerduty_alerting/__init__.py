"""Connect Cloudflare's notifications to PagerDuty: the public names, loaded when first used.

client.py           `AsyncClient`: the operations
sync.py             `Client`, generated from client.py by _generate.py
models.py           what calls return
errors.py           what calls raise
config.py           settings and `RetryPolicy`
_call.py            one call: deadline, quota, attempts, retries
_fleet.py           one call for each of many accounts
_pacer.py           waiting for the quota
_arguments.py       checks of callers' arguments
_protocol/          requests, responses, errors, quotas and retry rules; pure
_http/              requests and responses with aiohttp
_loop/              the event loop of the synchronous client, deadlines, forks
emulator/           a local implementation of the API, for tests
cli/                the command line
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pagerduty_alerting.client import AsyncClient, AsyncClientWithResponse
    from pagerduty_alerting.config import RetryEvent, RetryPolicy
    from pagerduty_alerting.errors import (
        APIConnectionError,
        APIResponseValidationError,
        APIStatusError,
        APITimeoutError,
        AuthenticationError,
        BadRequestError,
        ClientClosedError,
        ClientUsageError,
        ConfigurationError,
        ConflictError,
        InternalServerError,
        NotFoundError,
        PagerDutyAlertingError,
        PermissionDeniedError,
        RateLimitError,
        UnprocessableEntityError,
    )
    from pagerduty_alerting.models import (
        AccountDeletion,
        AccountServices,
        ConnectedDestination,
        Envelope,
        IntegrationToken,
        RateLimit,
        RateLimitPolicy,
        RateLimits,
        Response,
        ResponseInfo,
        ResultInfo,
        Service,
        ServicesDeleted,
        ServicesListed,
        ServicesNotDeleted,
        ServicesNotListed,
    )
    from pagerduty_alerting.sync import Client, ClientWithResponse

__version__ = "0.2.0"

__all__ = [
    "APIConnectionError",
    "APIResponseValidationError",
    "APIStatusError",
    "APITimeoutError",
    "AccountDeletion",
    "AccountServices",
    "AsyncClient",
    "AsyncClientWithResponse",
    "AuthenticationError",
    "BadRequestError",
    "Client",
    "ClientClosedError",
    "ClientUsageError",
    "ClientWithResponse",
    "ConfigurationError",
    "ConflictError",
    "ConnectedDestination",
    "Envelope",
    "IntegrationToken",
    "InternalServerError",
    "NotFoundError",
    "PagerDutyAlertingError",
    "PermissionDeniedError",
    "RateLimit",
    "RateLimitError",
    "RateLimitPolicy",
    "RateLimits",
    "Response",
    "ResponseInfo",
    "ResultInfo",
    "RetryEvent",
    "RetryPolicy",
    "Service",
    "ServicesDeleted",
    "ServicesListed",
    "ServicesNotDeleted",
    "ServicesNotListed",
    "UnprocessableEntityError",
    "__version__",
]

_MODULES = ("models", "errors", "config", "client", "sync")


def __getattr__(name: str) -> object:
    """Loads a public name when it is first used, so that `--help` and pytest do not import aiohttp."""
    if name in __all__:
        for module_name in _MODULES:
            module = import_module(f"{__name__}.{module_name}")
            if name in module.__all__:
                value: object = getattr(module, name)
                globals()[name] = value
                return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
