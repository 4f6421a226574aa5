"""Lists the services of many accounts, one id a line on standard input, within a quota shared through Redis.

Any number of these programs, on any number of hosts whose clocks agree, may run at the same time with one token:

    REDIS_URL=redis://redis.example.com python fleet_shared_limiter.py < accounts.txt

Needs limits and redis (`pip install 'limits[redis]'`), and reads the CLOUDFLARE_* variables. By default RATE is
"1100 per 5 minutes", which leaves some of Cloudflare's 1,200 to other programs. Prints one JSON object per account.
"""

import asyncio
import contextlib
import json
import os
import sys
import time
from collections.abc import AsyncIterator

from attrs import asdict
from limits import RateLimitItem, parse
from limits.aio.storage import RedisStorage
from limits.aio.strategies import MovingWindowRateLimiter
from redis.asyncio import ConnectionPool

from pagerduty_alerting import AsyncClient


class SharedLimiter:
    """Delays requests until the quota in Redis allows them."""

    def __init__(self, limiter: MovingWindowRateLimiter, rate: RateLimitItem, name: str) -> None:
        self._limiter = limiter
        self._rate = rate
        self._name = name

    async def __aenter__(self) -> None:
        while not await self._limiter.hit(self._rate, self._name):
            window = await self._limiter.get_window_stats(self._rate, self._name)
            await asyncio.sleep(max(0.05, window.reset_time - time.time()))

    async def __aexit__(self, *exc_info: object) -> None:
        pass


@contextlib.asynccontextmanager
async def shared_limiter(rate: str, redis_url: str) -> AsyncIterator[SharedLimiter]:
    """Connects to Redis and yields the limiter, which all programs with the same Redis and rate share."""
    pool = ConnectionPool.from_url(redis_url)
    try:
        storage = RedisStorage("async+redis://", implementation="redispy", connection_pool=pool)
        # A moving window keeps to the rate in every period, so it does not matter when Cloudflare's window starts.
        yield SharedLimiter(MovingWindowRateLimiter(storage), parse(rate), "cloudflare-api")
    finally:
        await pool.aclose()


async def main() -> None:
    rate = os.environ.get("RATE", "1100 per 5 minutes")
    account_ids = [line.strip() for line in sys.stdin if line.strip()]
    async with (
        shared_limiter(rate, os.environ.get("REDIS_URL", "redis://127.0.0.1:6379")) as limiter,
        AsyncClient(limiter=limiter) as client,
    ):
        async for result in client.list_services_in(account_ids):
            if result.error is None:
                found = {"services": [asdict(service) for service in result.services or []]}
            else:
                found = {"error": str(result.error)}
            print(json.dumps({"account_id": result.account_id, **found}), flush=True)


if __name__ == "__main__":
    asyncio.run(main())
