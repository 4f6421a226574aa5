"""Traces with aiohttp's own hooks: how long each attempt took, and whether it needed a new connection.

Needs only this package. It runs against its own emulator.
"""

import asyncio
import time
from types import SimpleNamespace

import aiohttp

from pagerduty_alerting import AsyncClient
from pagerduty_alerting.emulator import Emulator


def timing() -> aiohttp.TraceConfig:
    """Returns hooks that print a line for each attempt, without the URL, which contains a secret in *connect*."""

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
