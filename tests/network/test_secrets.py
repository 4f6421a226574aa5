"""No secret is in anything that a call logs, raises or returns, even if the response of the server repeats it."""

import asyncio
import base64
import copy
import itertools
import logging
import pathlib
import pickle
import traceback
from typing import Any
from urllib.parse import quote

import pytest

import pagerduty_alerting
from pagerduty_alerting import AsyncClient, Client, IntegrationToken, RetryEvent, RetryPolicy
from tests.support.operations import ACCOUNT_ID
from tests.support.raw_server import Conversation, Script, http, raw_server, raw_server_in_thread
from tests.support.size import IS_FULL
from tests.support.virtual_time import virtual_time_loop

PACKAGE = pathlib.Path(pagerduty_alerting.__file__).parent

API_TOKEN = "sentinelApiToken0123456789_-abcdefghijkl"
API_KEY = "sentinelApiKey0123456789abcdef0123456"
GIVEN_TOKEN = "sentinel~given+token/é\"'<&>"  # needs percent-encoding, and escaping in JSON and HTML
GIVEN_UUID = "5e47141e-1111-4222-8333-0123456789ab"
MADE_TOKEN = "5e47141e2222422283330123456789ab"

SECRETS = (API_TOKEN, API_KEY, GIVEN_TOKEN, GIVEN_UUID, MADE_TOKEN)


def spellings(secret: str) -> set[str]:
    """Returns the secret as it is, percent-encoded, within base64, and as JSON and repr escape it."""
    raw = secret.encode()
    encoded = {base64.b64encode(raw[start:-3]).decode().rstrip("=")[2:-2] for start in range(3)}
    return {secret, quote(secret, safe=""), quote(secret), repr(secret)[1:-1], secret.upper(), *encoded}


FORBIDDEN = {spelling for secret in SECRETS for spelling in spellings(secret)}


def leaks(text: str) -> set[str]:
    return {spelling for spelling in FORBIDDEN if spelling in text}


def test_the_search_finds_secrets_in_every_spelling() -> None:
    for secret in SECRETS:
        assert leaks(f"before {secret} after")
        assert leaks(base64.b64encode(f"user:{secret}@x".encode()).decode())
        assert leaks(f"/connect/{quote(secret, safe='')}?")


ENVELOPE = '{{"success":{},"errors":[{{"code":10000,"message":{}}}],"messages":[{}],"result":{{"id":"{}"}}}}'


def quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\r\n", " ") + '"'


def envelope(head: str, success: str = "false") -> bytes:
    return ENVELOPE.format(success, quoted(head), "1" if success == "true" else '{"message":"m"}', MADE_TOKEN).encode()


def answers(head: str) -> list[bytes]:
    """Returns responses that repeat the whole head of the request, its secrets included."""
    path = head.split(" ")[1]
    line = head.replace("\r\n", " ")
    return [
        http(502, f"<html><pre>{head}</pre></html>".encode()),
        http(502, head.encode("utf-16")),
        http(400, envelope(head)),
        http(403, envelope(head)),
        http(429, envelope(head), "Retry-After: 0\r\n"),
        http(200, envelope(head)),
        http(200, head.encode()),
        http(200, envelope(head, "true")),
        http(200, b"[" + envelope(head) + b"]"),
        http(200, b'{"success":true,"result":{"id":["' + MADE_TOKEN.encode() + b'"]}}'),
        http(200, b'{"success":true,"result":[{"id":["' + MADE_TOKEN.encode() + b'"]}]}'),
        http(201, b'{"success":true,"result":{"id":"' + MADE_TOKEN.encode() + b'"},"errors":5}'),
        http(302, headers=f"Location: https://elsewhere.example{path}?{line}\r\n"),
        http(302, headers=f"Location: {path}\r\n"),
        http(503, headers=f"Retry-After: {line}\r\nRatelimit: {line}\r\nRatelimit-Policy: {line}\r\n"),
        http(200, headers=f"Set-Cookie: {line}\r\nX-Echo: {line}\r\n"),
        f"HTTP/1.1 {line}\r\n\r\n".encode(),
        f"HTTP/1.1 200 OK\r\n{line}\r\n\r\n".encode(),
        f"HTTP/1.1 200 {path}\r\nContent-Length: {path}\r\n\r\n".encode(),
        f"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{path}\r\n".encode(),
        f"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {len(path)}\r\n\r\n{path}".encode(),
        f"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n{path}{MADE_TOKEN}".encode(),
        path.encode(),
        b"",
    ]  # fmt: skip


def echo(number: int) -> Script:
    async def script(peer: Conversation) -> None:
        peer.send(answers(await peer.request())[number])
        await peer.drain()

    return script


async def reset(peer: Conversation) -> None:
    await peer.request()
    peer.reset()


async def half_a_token(peer: Conversation) -> None:
    await peer.request()
    peer.send(f'HTTP/1.1 201 OK\r\nContent-Length: 500\r\n\r\n{{"result":{{"id":"{MADE_TOKEN}"'.encode())
    await peer.wait_closed()


SCRIPTS: dict[str, Script] = {
    **{f"echo-{number}": echo(number) for number in range(len(answers("GET / HTTP/1.1\r\n\r\n")))},
    "reset": reset,
    "half-a-token": half_a_token,
}

CREDENTIALS: dict[str, dict[str, str]] = {
    "token": {"api_token": API_TOKEN},
    "key": {"api_key": API_KEY, "api_email": "someone@example.com"},
}

CALLS: list[tuple[str, tuple[Any, ...]]] = [
    ("list_services", ()),
    ("delete_services", ()),
    ("create_integration_token", ()),
    ("connect", (GIVEN_TOKEN,)),
    ("connect", (IntegrationToken(GIVEN_UUID),)),
]


def everything_about(error: BaseException) -> str:
    """Returns all that tools show of an exception: texts, chains, notes, local variables, pickles."""
    shown = [str(error), repr(error), repr(vars(error)), *traceback.format_exception(error)]
    seen: set[int] = set()
    pending: list[BaseException | None] = [error]
    while pending:
        current = pending.pop()
        if current is None or id(current) in seen:
            continue
        seen.add(id(current))
        shown += [str(current), repr(current), *getattr(current, "__notes__", ())]
        # Like formatters, follows a context only if it is not suppressed.
        pending += [current.__cause__, None if current.__suppress_context__ else current.__context__]
        for frame, _ in traceback.walk_tb(current.__traceback__):
            if PACKAGE in pathlib.Path(frame.f_code.co_filename).parents:
                shown += [f"{name} = {value!r}" for name, value in frame.f_locals.items()]
    if isinstance(error, pagerduty_alerting.PagerDutyAlertingError):
        shown += [pickle.dumps(error).decode("latin-1"), pickle.dumps(error, 0).decode("latin-1")]
        shown += [repr(copy.copy(error)), str(pickle.loads(pickle.dumps(error)))]
    return "\n".join(shown)


def everything_logged(caplog: pytest.LogCaptureFixture) -> str:
    shown = [caplog.text]
    for record in caplog.records:
        shown += [record.getMessage(), repr(vars(record)), repr(record.args)]
    return "\n".join(shown)


@pytest.fixture
def all_logs(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.DEBUG)
    for name in ("pagerduty_alerting", "asyncio", "aiohttp", "aiohttp.client", "aiohttp.internal"):
        caplog.set_level(logging.DEBUG, name)
    return caplog


@pytest.mark.parametrize(
    ("name", "credentials"),
    # Each response with one of the credentials in turn, or with both in the full size.
    list(itertools.product(SCRIPTS, CREDENTIALS) if IS_FULL else zip(SCRIPTS, itertools.cycle(CREDENTIALS))),
)
def test_an_asynchronous_call_shows_no_secret(all_logs: pytest.LogCaptureFixture, name: str, credentials: str) -> None:
    shown: list[str] = []

    def on_retry(event: RetryEvent) -> None:
        shown.extend([repr(event), str(event.error), everything_about(event.error)])

    async def main() -> None:
        retry = RetryPolicy(max_attempts=2, initial_delay=0, on_retry=on_retry, replay_unsafe=True)
        changes: Any = {"retry": retry, "account_id": ACCOUNT_ID, "timeout": 0.3 if name == "half-a-token" else 20}
        async with raw_server(SCRIPTS[name]) as server:
            changes |= {"base_url": server.url, **CREDENTIALS[credentials]}
            async with AsyncClient(**changes) as client:
                shown.extend([repr(client), repr(client.with_response), repr(client._core), repr(vars(client))])
                for operation, arguments in CALLS:
                    try:
                        shown.append(repr(await getattr(client.with_response, operation)(*arguments)))
                    except Exception as error:
                        shown.append(everything_about(error))

    asyncio.run(main(), debug=True)
    assert leaks("\n".join(shown)) == set()
    assert leaks(everything_logged(all_logs)) == set()


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_synchronous_call_shows_no_secret(all_logs: pytest.LogCaptureFixture, name: str) -> None:
    shown: list[str] = []
    timeout = 0.3 if name == "half-a-token" else 20
    with raw_server_in_thread(SCRIPTS[name]) as server:
        retry = RetryPolicy(max_attempts=1)
        with Client(
            base_url=server.url, api_token=API_TOKEN, account_id=ACCOUNT_ID, retry=retry, timeout=timeout
        ) as client:
            for operation, arguments in CALLS:
                try:
                    shown.append(repr(getattr(client.with_response, operation)(*arguments)))
                except Exception as error:
                    shown.append(everything_about(error))
    assert leaks("\n".join(shown)) == set()
    assert leaks(everything_logged(all_logs)) == set()


def test_no_secret_is_in_the_traceback_of_a_cancelled_call() -> None:
    async def main() -> str:
        async with raw_server(half_a_token) as server:
            shown = []
            async with AsyncClient(base_url=server.url, api_token=API_TOKEN, account_id=ACCOUNT_ID) as client:
                for operation, arguments in CALLS:
                    task = asyncio.ensure_future(getattr(client, operation)(*arguments))
                    server.arrived.clear()
                    await server.arrived.wait()
                    await asyncio.sleep(1)  # virtual: until half of the response is read
                    task.cancel()
                    try:
                        await task
                    except asyncio.CancelledError as error:
                        shown.append(everything_about(error))
                return "\n".join(shown)

    with asyncio.Runner(loop_factory=virtual_time_loop()) as runner:
        text = runner.run(main())
    assert text.count("CancelledError") >= len(CALLS)
    assert leaks(text) == set()


def test_an_unexpected_error_that_contains_a_secret_is_not_chained() -> None:
    import aiohttp

    async def raise_with_secrets(_session: Any, _context: Any, params: aiohttp.TraceRequestStartParams) -> None:
        try:
            raise KeyError(str(params.url))
        except KeyError as error:
            raise LookupError(params.headers["Authorization"]) from error

    trace = aiohttp.TraceConfig()
    trace.on_request_start.append(raise_with_secrets)

    async def main() -> str:
        settings: Any = {"api_token": API_TOKEN, "account_id": ACCOUNT_ID, "trace_configs": [trace]}
        async with AsyncClient(base_url="http://127.0.0.1:1", **settings) as client:
            try:
                await client.connect(GIVEN_UUID)
            except pagerduty_alerting.APIConnectionError as error:
                return everything_about(error)
        raise AssertionError("it did not fail")

    text = asyncio.run(main())
    assert "unexpected LookupError" in text
    assert leaks(text) == set()
