"""Connects Cloudflare's notifications to PagerDuty.

## Quick start

    from pagerduty_alerting import Client

    with Client() as client:  # reads CLOUDFLARE_API_TOKEN and CLOUDFLARE_ACCOUNT_ID
        token = client.create_integration_token()
        print("Authorize this token in PagerDuty, then press Enter:", token.id)
        input()
        client.connect(token)
        print(client.list_services())

`AsyncClient` has the same methods as coroutines. Calls raise subclasses of `PagerDutyAlertingError` and are retried as
`RetryPolicy` says. `pagerduty_alerting.emulator` is an API to test against, with the fixtures of
`pagerduty_alerting.emulator.pytest_plugin`.

## The modules

    client.py      `AsyncClient`: the operations
    sync.py        `Client`, generated from client.py by _generate.py
    models.py      what calls return
    errors.py      what calls raise
    config.py      settings and `RetryPolicy`
    _call.py       one call: deadline, quota, attempts, retries
    _outcome.py    what a call ends with: its response, or an exception
    _fleet.py      one call for each of many accounts
    _pacer.py      waiting for the quota
    _arguments.py  checks of callers' arguments
    _values.py     repr, equality and hash of data classes
    __main__.py    `python -m pagerduty_alerting`, the command line
    _protocol/     requests, responses, errors, quotas and retry rules; pure
    _http/         requests and responses with aiohttp
    _loop/         the event loop of the synchronous client, deadlines, forks
    emulator/      a local implementation of the API, for tests
    cli/           the command line
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # each module lists its public names
    from pagerduty_alerting.client import *
    from pagerduty_alerting.config import RetryEvent, RetryPolicy
    from pagerduty_alerting.errors import *
    from pagerduty_alerting.models import *
    from pagerduty_alerting.sync import *

__version__ = "0.2.0"

# The order of the reference.
__all__ = [  # noqa: RUF022
    "AsyncClient", "Client", "AsyncClientWithResponse", "ClientWithResponse",
    "Service", "IntegrationToken", "ConnectedDestination",
    "Envelope", "Response", "ResponseInfo", "ResultInfo", "RateLimits", "RateLimit", "RateLimitPolicy",
    "AccountServices", "ServicesListed", "ServicesNotListed",
    "AccountDeletion", "ServicesDeleted", "ServicesNotDeleted",
    "RetryPolicy", "RetryEvent",
    "PagerDutyAlertingError", "APIStatusError", "BadRequestError", "AuthenticationError", "PermissionDeniedError",
    "NotFoundError", "ConflictError", "UnprocessableEntityError", "RateLimitError", "InternalServerError",
    "APIConnectionError", "APITimeoutError", "APIResponseValidationError",
    "ConfigurationError", "ClientClosedError", "ClientUsageError",
    "__version__",
]  # fmt: skip

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
