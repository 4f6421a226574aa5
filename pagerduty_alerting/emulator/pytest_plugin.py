"""Pytest fixtures: the emulator, and clients for it. Nothing is imported until a test uses a fixture."""

import asyncio
import functools
import inspect
from collections.abc import Awaitable, Callable, Generator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pagerduty_alerting import AsyncClient, Client
    from pagerduty_alerting.emulator.emulator import Emulator


@pytest.fixture(scope="session")
def pagerduty_server() -> "Generator[Emulator]":
    """The emulator that the tests of this session share, on a thread of its own.

    Override it to set options, such as `Emulator(rate_limits=RateLimits.unlimited())`. Tests use `pagerduty_api`,
    the same emulator, which is reset for each test.
    """
    from pagerduty_alerting.emulator.emulator import Emulator

    with Emulator() as api:
        yield api


@pytest.fixture
def pagerduty_api(pagerduty_server: "Emulator") -> "Generator[Emulator]":
    """The emulator, fresh: one account without services, one API token, no faults, nothing in `requests`.

    It works in synchronous tests, and in asynchronous tests under pytest-asyncio and anyio.
    """
    pagerduty_server.reset()
    yield pagerduty_server
    pagerduty_server.reset()


@pytest.fixture
def pagerduty_environ(pagerduty_api: "Emulator", monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The environment of `pagerduty_api`, set for the test: for code that builds its own client.

    `CLOUDFLARE_API_KEY` and `CLOUDFLARE_EMAIL` are unset, so that no credential of the machine is used.
    """
    for name in ("CLOUDFLARE_API_KEY", "CLOUDFLARE_EMAIL"):
        monkeypatch.delenv(name, raising=False)
    environ = pagerduty_api.environ
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    return environ


@pytest.fixture
def pagerduty_client(pagerduty_api: "Emulator") -> "Generator[Client]":
    """A synchronous client for `pagerduty_api`, closed after the test."""
    from pagerduty_alerting import Client

    api = pagerduty_api
    with Client(base_url=api.url, api_token=api.api_token, account_id=api.account_id) as client:
        yield client


@pytest.fixture
def pagerduty_async_client(pagerduty_api: "Emulator", request: pytest.FixtureRequest) -> "Generator[AsyncClient]":
    """An asynchronous client for `pagerduty_api`, closed on the test's own event loop when the test ends."""
    from pagerduty_alerting import AsyncClient

    api = pagerduty_api
    client = AsyncClient(base_url=api.url, api_token=api.api_token, account_id=api.account_id)
    closed_by_test = _close_at_end(request.node, client.aclose)
    yield client
    if not closed_by_test:
        asyncio.run(client.aclose())


def _close_at_end(item: object, aclose: Callable[[], Awaitable[None]]) -> bool:
    # An asynchronous fixture would depend on pytest-asyncio or on anyio. Both run the test's coroutine function on the
    # event loop of the client's connections, so the client is closed in a wrapper of that function.
    if not isinstance(item, pytest.Function) or not inspect.iscoroutinefunction(item.obj):
        return False
    test: Callable[..., Awaitable[object]] = item.obj

    @functools.wraps(test)
    async def closing_test(*arguments: object, **fixtures: object) -> None:
        try:
            await test(*arguments, **fixtures)
        finally:
            await aclose()

    item.obj = closing_test
    return True
