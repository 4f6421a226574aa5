"""Asynchronous and synchronous clients for a raw server, and helpers to check what they leave behind."""

import asyncio
import contextlib
import gc
import pathlib
import ssl
from collections.abc import AsyncIterator, Iterator
from typing import Any

from pagerduty_alerting import AsyncClient, Client, RetryPolicy
from tests.support.operations import ACCOUNT_ID, API_TOKEN, TOKEN_ID
from tests.support.raw_server import RawServer, Script, raw_server, raw_server_in_thread

ONE_ATTEMPT = RetryPolicy(max_attempts=1)

# The arguments of each operation, and which operations may be sent twice.
CALLS: dict[str, tuple[str, ...]] = {
    "list_services": (),
    "delete_services": (),
    "create_integration_token": (),
    "connect": (TOKEN_ID,),
}
REPLAY_SAFE = ("list_services", "delete_services")
NOT_REPLAY_SAFE = ("create_integration_token", "connect")


def settings(url: str, **changes: Any) -> dict[str, Any]:
    """Returns settings of a client for tests, by default with one attempt for each call."""
    return {"base_url": url, "api_token": API_TOKEN, "account_id": ACCOUNT_ID, "retry": ONE_ATTEMPT, **changes}


@contextlib.asynccontextmanager
async def client_of(
    script: Script, *, tls: ssl.SSLContext | None = None, **changes: Any
) -> AsyncIterator[tuple[AsyncClient, RawServer]]:
    """Yields an asynchronous client and its scripted server, on one loop."""
    async with raw_server(script, tls=tls) as server, AsyncClient(**settings(server.url, **changes)) as client:
        yield client, server


@contextlib.contextmanager
def sync_client_of(script: Script, **changes: Any) -> Iterator[tuple[Client, RawServer]]:
    """Yields a synchronous client and its scripted server, which runs on another thread."""
    with raw_server_in_thread(script) as server, Client(**settings(server.url, **changes)) as client:
        yield client, server


async def call(client: AsyncClient, operation: str, **options: Any) -> Any:
    return await getattr(client, operation)(*CALLS[operation], **options)


def open_files() -> int:
    """Returns the number of open file descriptors of this process."""
    return sum(1 for _ in pathlib.Path("/proc/self/fd").iterdir())


async def settled() -> None:
    """Waits until all callbacks that are ready have run."""
    for _ in range(10):
        await asyncio.sleep(0)
    gc.collect()
