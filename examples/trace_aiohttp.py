"""aiohttp's own tracing: how long each attempt took, and whether it needed a new connection.

Needs nothing but this package. It runs against an emulator of its own.
"""

import asyncio
import time
from types import SimpleNamespace

import aiohttp

from pagerduty_alerting import AsyncClient
from pagerduty_alerting.emulator import Emulator


def timing() -> aiohttp.TraceConfig:
    """Makes hooks that print a line for each attempt. They print no URL: that of *connect* holds a secret."""

    async def start(_: aiohttp.ClientSession, attempt: SimpleNamespace, __: aiohttp.TraceRequestStartParams) -> None:
        attempt.started, attempt.connection = time.perf_counter(), "a new connection"

    async def reuse(_: aiohttp.ClientSession, attempt: SimpleNamespace, __: object) -> None:
        attempt.connection = "the same connection"

    async def end(_: aiohttp.ClientSession, attempt: SimpleNamespace, done: aiohttp.TraceRequestEndParams) -> None:
        milliseconds = (time.perf_counter() - attempt.started) * 1000
        print(f"{done.method}: {done.response.status} over {attempt.connection} in {milliseconds:.1f} ms")

    config = aiohttp.TraceConfig()
    config.on_request_start.append(start)
    config.on_connection_reuseconn.append(reuse)
    config.on_request_end.append(end)
    return config


async def main() -> None:
    async with (
        Emulator() as api,
        AsyncClient(
            api_token=api.api_token, account_id=api.account_id, base_url=api.url, trace_configs=[timing()]
        ) as client,
    ):
        await client.list_services()
        await client.create_integration_token()


if __name__ == "__main__":
    asyncio.run(main())
