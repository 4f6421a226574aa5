"""Fixtures for the whole tree: a clean environment, mocked HTTP, the emulator, and clients of both flavours."""

import os
import signal
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from pagerduty_alerting.emulator import Emulator, RateLimits
from tests.support.callers import MakeCaller, open_callers
from tests.support.mocked_api import MockedApi

# How long an example takes says more about the machine than about the code.
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")

# Whoever starts the tests in the background of a script has them ignore Ctrl-C, and with them all that they start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Takes out what the client reads from the environment, so that no test depends on the machine it runs on."""
    for name in list(os.environ):
        if name.upper().startswith("CLOUDFLARE_") or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)


@pytest.fixture
def mocked_api() -> Iterator[MockedApi]:
    """aiohttp without a network: answers are what the test says, and requests are recorded."""
    with MockedApi() as api:
        yield api


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    """A fresh emulator over real sockets, on a thread of its own: for asynchronous and synchronous tests alike."""
    with Emulator(rate_limits=RateLimits.unlimited()) as api:
        yield api


@pytest.fixture(params=["async", "sync"])
def make_caller(request: pytest.FixtureRequest) -> Iterator[MakeCaller]:
    """Makes clients of one flavour that are called the same way; the test runs once for each flavour."""
    with open_callers(request.param) as make:
        yield make
