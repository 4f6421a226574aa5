"""Calls that fail or are ended early in all possible ways, with secrets that must not be visible afterwards."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import aiohttp

from pagerduty_alerting import AsyncClient, IntegrationToken, RetryPolicy
from tests.support.raw_server import Conversation, RawServer, Script, http, raw_server

API_TOKEN = "sentinelApiToken0123456789_-abcdefghijkl"
TOKEN = "5e47141e-1111-4222-8333-0123456789ab"
MADE = "5e47141e2222422283330123456789ab"
SECRETS = (API_TOKEN, TOKEN, MADE)

CALLS: dict[str, tuple[Any, ...]] = {
    "list_services": (),
    "delete_services": (),
    "create_integration_token": (),
    "connect": (IntegrationToken(TOKEN),),
}


def scripted(answer: Callable[[str], bytes], *, cut: Callable[[Conversation], Any] | None = None) -> Script:
    """Returns a script that responds with bytes made from the request's head, then cuts or keeps the connection."""

    async def script(peer: Conversation) -> None:
        peer.send(answer(await peer.request()))
        await peer.drain()
        if cut is not None:
            cut(peer)
        else:
            await peer.wait_closed()

    return script


def close(_peer: Conversation) -> None:
    """Ends the script, which closes the connection."""


def envelope(head: str) -> bytes:
    path = head.split(" ")[1]
    return b'{"success":false,"errors":[{"message":"no such thing: %s"}],"result":{"id":"%s"}}' % (
        path.encode(),
        MADE.encode(),
    )


HALF_A_BODY = f'HTTP/1.1 201 OK\r\nX-Id: {MADE}\r\nContent-Length: 500\r\n\r\n{{"result":{{"id":"{MADE}"'.encode()

# Responses after which the connection breaks or stays open.
FAILURES: dict[str, Script] = {
    "closed": scripted(lambda _: b"", cut=close),
    "reset": scripted(lambda _: b"", cut=Conversation.reset),
    "half a head": scripted(lambda head: f"HTTP/1.1 200 OK\r\nX-Id: {head.split(' ')[1]}\r\n".encode(), cut=close),
    "half a body": scripted(lambda _: HALF_A_BODY, cut=close),
    "not HTTP": scripted(lambda head: head.encode(), cut=close),
    "bad chunks": scripted(
        lambda head: f"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{head}".encode(), cut=close
    ),
    "refusal": scripted(lambda head: http(403, envelope(head))),
    "server error": scripted(lambda head: http(502, head.encode())),
    "rate limit": scripted(lambda head: http(429, envelope(head))),
    "no envelope": scripted(lambda head: http(200, head.encode())),
    "odd result": scripted(lambda _: http(200, b'[{"success":true,"result":{"id":"%s"}}]' % MADE.encode())),
    "redirect": scripted(lambda head: http(302, headers=f"Location: {head.split(' ')[1]}\r\n")),
}
SILENCES: dict[str, Script] = {
    "no response": scripted(lambda _: b""),
    "half a head": scripted(lambda _: f"HTTP/1.1 200 OK\r\nX-Id: {MADE}\r\n".encode()),
    "half a body": scripted(lambda _: HALF_A_BODY),
}


def settings(server: RawServer, **changes: Any) -> dict[str, Any]:
    retry = RetryPolicy(max_attempts=1)
    return {"base_url": server.url, "api_token": API_TOKEN, "account_id": "a", "retry": retry, **changes}


@contextlib.asynccontextmanager
async def client_of(script: Script, *, session: bool = False, **changes: Any) -> AsyncIterator[tuple[Any, RawServer]]:
    async with raw_server(script) as server, contextlib.AsyncExitStack() as stack:
        if session:
            changes["session"] = await stack.enter_async_context(aiohttp.ClientSession())
        yield await stack.enter_async_context(AsyncClient(**settings(server, **changes))), server


async def failure_of(awaitable: Awaitable[Any]) -> BaseException:
    try:
        result = await awaitable
    except BaseException as error:
        return error
    raise AssertionError(f"it did not fail: {result!r}")


async def by_timeout(call: Awaitable[Any], _client: Any, _reached: asyncio.Event) -> None:
    async with asyncio.timeout(5):
        await call


async def by_wait_for(call: Awaitable[Any], _client: Any, _reached: asyncio.Event) -> None:
    await asyncio.wait_for(call, 5)


async def by_task_group(call: Awaitable[Any], _client: Any, reached: asyncio.Event) -> None:
    async def fail() -> None:
        await reached.wait()
        await asyncio.sleep(1)
        raise LookupError

    async with asyncio.TaskGroup() as group:
        group.create_task(_awaited(call))
        group.create_task(fail())


async def by_cancel(call: Awaitable[Any], _client: Any, reached: asyncio.Event) -> None:
    task = asyncio.ensure_future(call)
    await reached.wait()
    await asyncio.sleep(1)
    task.cancel("why")
    await task


async def by_deadline(call: Awaitable[Any], _client: Any, _reached: asyncio.Event) -> None:
    await call


async def by_closing(call: Awaitable[Any], client: Any, reached: asyncio.Event) -> None:
    task = asyncio.ensure_future(call)
    await reached.wait()
    await asyncio.sleep(1)
    await client.aclose()
    await task


async def _awaited(awaitable: Awaitable[Any]) -> None:
    await awaitable


WAYS = {
    "timeout": by_timeout,
    "wait_for": by_wait_for,
    "task group": by_task_group,
    "cancel": by_cancel,
    "deadline": by_deadline,
    "closing": by_closing,
}
