"""aiohttp's trace configs see every attempt of both clients, and the examples of tracing run."""

from types import SimpleNamespace
from typing import Any

import aiohttp
import pytest

from pagerduty_alerting import AsyncClient, Client
from pagerduty_alerting.emulator import Emulator
from tests.support.examples import run


class Seen(list[str]):
    """What the hooks saw, in order."""

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
    seen = Seen()
    emulator.on().once().respond(503)
    async with AsyncClient(**options, trace_configs=[seen.config()]) as client:
        await client.list_services()

    assert seen == ONE_RETRY


def test_the_hooks_see_each_attempt_of_a_synchronous_call(emulator: Emulator, options: dict[str, Any]) -> None:
    seen = Seen()
    emulator.on().once().respond(503)
    with Client(**options, trace_configs=[seen.config()]) as client:
        client.list_services()

    assert seen == ONE_RETRY


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
