"""Two independent clients share a quota through aiolimiter; in virtual time."""

import asyncio

import pytest
from aiolimiter import AsyncLimiter

from pagerduty_alerting import AccountServices, AsyncClient, Client
from pagerduty_alerting.emulator import Emulator, RateLimits

pytestmark = pytest.mark.virtual_time(patience=0)


def now() -> float:
    return asyncio.get_running_loop().time()


async def test_two_clients_with_one_aiolimiter_stay_within_the_quota() -> None:
    limits = RateLimits(requests=60, window=60, block=300)
    # A leaky bucket admits its capacity at once and the same number again in each period: each is half of the quota.
    limiter = AsyncLimiter(30, 60)
    async with Emulator(clock=now, rate_limits=limits) as api:
        accounts = [api.add_account() for _ in range(240)]

        async def run(mine: list[str]) -> list[AccountServices]:
            settings = {"base_url": api.url, "api_token": api.api_token}
            async with AsyncClient(**settings, limiter=limiter, respect_rate_limits=False) as client:
                return [result async for result in client.list_services_in(mine, timeout=5)]

        results = await asyncio.gather(run(accounts[::2]), run(accounts[1::2]))
        assert {request.status for request in api.requests} == {200}
        assert len(api.requests) == 240
    assert [result.error for found in results for result in found] == [None] * 240


def test_the_synchronous_client_takes_an_aiolimiter_too(emulator: Emulator, accounts: list[str]) -> None:
    limiter = AsyncLimiter(1000, 1)
    with Client(base_url=emulator.url, api_token=emulator.api_token, limiter=limiter) as client:
        results = list(client.list_services_in(accounts))
    assert {result.error for result in results} == {None}
    assert 0 < limiter._level <= len(accounts)
