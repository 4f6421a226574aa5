"""Trace configs of aiohttp see every attempt of both clients; the examples of tracing run."""

import traceback
from types import SimpleNamespace
from typing import Any

import aiohttp
import pytest

from pagerduty_alerting import APIConnectionError, AsyncClient, Client, RetryPolicy
from pagerduty_alerting.emulator import Emulator
from tests.support.examples import run
from tests.support.raw_server import Conversation, Script, http, raw_server

TOKEN = "0123456789abcdef0123456789abcdef"


class CalledHooks(list[str]):
    """The names of the hooks that were called, in order."""

    def config(self) -> aiohttp.TraceConfig:
        config = aiohttp.TraceConfig()
        for name in ("request_start", "connection_create_end", "connection_reuseconn", "request_end"):
            getattr(config, f"on_{name}").append(self._hook(name))
        return config

    def _hook(self, name: str) -> Any:
        async def hook(_: aiohttp.ClientSession, __: SimpleNamespace, ___: object) -> None:
            self.append(name)

        return hook


ONE_RETRY = [
    "request_start",
    "connection_create_end",
    "request_end",
    "request_start",
    "connection_reuseconn",
    "request_end",
]


async def test_the_hooks_see_each_attempt_of_an_asynchronous_call(emulator: Emulator, options: dict[str, Any]) -> None:
    seen = CalledHooks()
    emulator.on().once().respond(503)
    async with AsyncClient(**options, trace_configs=[seen.config()]) as client:
        await client.list_services()

    assert seen == ONE_RETRY


async def test_the_hooks_see_that_a_name_is_resolved(emulator: Emulator, options: dict[str, Any]) -> None:
    hosts: list[str] = []

    async def resolving(_: object, __: object, params: aiohttp.TraceDnsResolveHostStartParams) -> None:
        hosts.append(params.host)

    config = aiohttp.TraceConfig()
    config.on_dns_resolvehost_start.append(resolving)
    named = {**options, "base_url": emulator.url.replace("127.0.0.1", "localhost")}
    async with AsyncClient(**named, trace_configs=[config]) as client:
        await client.list_services()

    assert hosts == ["localhost"]


def test_the_hooks_see_each_attempt_of_a_synchronous_call(emulator: Emulator, options: dict[str, Any]) -> None:
    seen = CalledHooks()
    emulator.on().once().respond(503)
    with Client(**options, trace_configs=[seen.config()]) as client:
        client.list_services()

    assert seen == ONE_RETRY


async def stay_silent(peer: Conversation) -> None:
    await peer.wait_closed()


async def refuse(peer: Conversation) -> None:
    await peer.request()
    peer.send(http(407))


async def send_invalid_http(peer: Conversation) -> None:
    await peer.request()
    peer.send(b"HTTP/1.1 2OO is not a number\r\n\r\n")


async def close(peer: Conversation) -> None:
    await peer.request()


@pytest.mark.parametrize("of_proxy", [True, False], ids=["proxy", "server"])
@pytest.mark.parametrize("session_of", ["the client", "the caller"])
@pytest.mark.parametrize("script", [stay_silent, refuse, send_invalid_http, close])
async def test_exceptions_passed_to_hooks_do_not_contain_the_integration_token(
    script: Script, session_of: str, of_proxy: bool
) -> None:
    seen: list[str] = []

    async def hook(_: aiohttp.ClientSession, __: SimpleNamespace, ended: aiohttp.TraceRequestExceptionParams) -> None:
        shown = "".join(traceback.format_exception(ended.exception))
        seen.append(f"{shown} {ended.exception!r} {vars(ended.exception)} {ended.exception.__context__!r}")

    trace = aiohttp.TraceConfig()
    trace.on_request_exception.append(hook)
    async with raw_server(script) as server:
        proxy = f"http://127.0.0.1:{server.port}" if of_proxy else None
        options = {
            "base_url": "https://api.example/v4" if of_proxy else server.url.replace("http:", "https:"),
            "api_token": "t",
            "account_id": "a",
            "connect_timeout": 0.2,
            "timeout": 1,
            "retry": RetryPolicy(max_attempts=1),
        }
        if session_of == "the client":
            async with AsyncClient(**options, proxy=proxy, trace_configs=[trace]) as client:
                with pytest.raises(APIConnectionError):
                    await client.connect(TOKEN)
        else:
            async with aiohttp.ClientSession(proxy=proxy, trace_configs=[trace]) as session:
                with pytest.raises(APIConnectionError):
                    await AsyncClient(**options, session=session).connect(TOKEN)

    assert len(seen) == 1
    assert TOKEN not in seen[0]


@pytest.mark.parametrize("is_callers", [False, True], ids=["own-session", "callers-session"])
async def test_hooks_see_a_url_without_the_integration_token(
    emulator: Emulator, options: dict[str, Any], is_callers: bool
) -> None:
    shown: list[str] = []

    async def hook(_: aiohttp.ClientSession, __: SimpleNamespace, params: Any) -> None:
        shown.append(str(params.url))

    config = aiohttp.TraceConfig()
    config.on_request_start.append(hook)
    config.on_request_end.append(hook)
    async with aiohttp.ClientSession(trace_configs=[config]) as session:
        changes: dict[str, Any] = {"session": session} if is_callers else {"trace_configs": [config]}
        async with AsyncClient(**options, **changes) as client:
            token = await client.create_integration_token()
            emulator.authorize(token.id, services=["Database"])
            await client.connect(token)

    assert [url.rpartition("/")[2] for url in shown] == ["connect", "connect", "<hidden>", "<hidden>"]


def test_the_example_prints_a_line_for_each_attempt() -> None:
    first, second = run("trace_aiohttp").splitlines()

    assert first.startswith("GET: 200 over a new connection in ")
    assert second.startswith("POST: 201 over the same connection in ")


def test_the_opentelemetry_example_prints_a_span_for_each_attempt_and_no_token() -> None:
    pytest.importorskip("opentelemetry.instrumentation.aiohttp_client", reason="the example needs OpenTelemetry")
    lines = run("trace_opentelemetry").splitlines()

    spans = [line.split()[:3] for line in lines if line.startswith(("GET ", "POST "))]
    assert [status for _, _, status in spans] == ["201", "200", "503", "200"]
    assert spans[1][1].endswith("/connect/<hidden>")
