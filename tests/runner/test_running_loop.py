"""Synchronous calls from a thread whose event loop is running, and calls that cannot work."""

import asyncio
import threading

import aiohttp
import pytest

from pagerduty_alerting import Client, ClientUsageError, RetryPolicy
from pagerduty_alerting._loop.runner import LoopRunner
from pagerduty_alerting.emulator import Emulator, Operation


def options(emulator: Emulator) -> dict[str, str]:
    return {"base_url": emulator.url, "api_token": emulator.api_token, "account_id": emulator.account_id}


async def test_a_call_inside_a_coroutine_works(emulator: Emulator, client: Client) -> None:
    assert client.list_services() == []


async def test_the_whole_job_inside_a_coroutine_leaves_no_thread_behind(emulator: Emulator) -> None:
    before = threading.enumerate()
    with Client(**options(emulator)) as client:
        token = client.create_integration_token()
        emulator.authorize(token.id, ["Website"])
        client.connect(token)
        assert [service.name for service in client.list_services()] == ["Website"]
    assert threading.enumerate() == before


async def test_the_callers_loop_is_still_running_after_a_call(client: Client) -> None:
    before = asyncio.get_running_loop()
    client.list_services()
    assert asyncio.get_running_loop() is before


async def test_an_error_inside_a_coroutine_is_raised_to_the_caller(runner: LoopRunner) -> None:
    async def fail() -> None:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        runner.run(fail())


async def test_an_error_in_starting_a_thread_is_raised_to_the_caller(
    runner: LoopRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def nothing() -> None:
        """Is never run, and causes no warning."""

    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patches:
        patches.setattr(threading.Thread, "start", refuse)
        with pytest.raises(RuntimeError, match="can't start new thread"):
            runner.run(nothing())


def test_a_call_from_a_trace_hook_on_the_clients_own_loop_is_an_error_and_no_deadlock(emulator: Emulator) -> None:
    async def call_again(*_: object) -> None:
        client.list_services()

    hooks = aiohttp.TraceConfig()
    hooks.on_request_start.append(call_again)
    with (
        Client(**options(emulator), trace_configs=[hooks]) as client,
        pytest.raises(ClientUsageError, match="client's own event loop"),
    ):
        client.list_services()


def test_closing_from_a_trace_hook_on_the_clients_own_loop_is_an_error_and_closes_nothing(emulator: Emulator) -> None:
    async def close(*_: object) -> None:
        with pytest.raises(ClientUsageError, match="client's own event loop"):
            client.close()

    hooks = aiohttp.TraceConfig()
    hooks.on_request_start.append(close)
    with Client(**options(emulator), trace_configs=[hooks]) as client:
        assert client.list_services() == []


def test_a_call_with_another_client_from_a_trace_hook_works(emulator: Emulator) -> None:
    seen = []

    async def call_other(*_: object) -> None:
        seen.append(other.list_services())

    hooks = aiohttp.TraceConfig()
    hooks.on_request_start.append(call_other)
    with Client(**options(emulator)) as other, Client(**options(emulator), trace_configs=[hooks]) as client:
        client.list_services()
    assert seen == [[]]


def test_a_call_with_other_options_on_the_clients_own_loop_is_an_error_too(emulator: Emulator) -> None:
    def call_again(_: object) -> None:
        with pytest.raises(ClientUsageError, match="client's own event loop"):
            client.list_services()
        raised.append(True)

    raised: list[bool] = []
    emulator.on(Operation.LIST).once().respond(503)
    with Client(**options(emulator)) as client:
        retrying = client.with_options(retry=RetryPolicy(initial_delay=0.01, on_retry=call_again))
        retrying.list_services()
    assert raised == [True]
