"""Hooks and coroutines see the context variables of the caller."""

import asyncio
import contextvars

import aiohttp
import pytest

from pagerduty_alerting import AsyncClient, Client
from pagerduty_alerting._loop.runner import LoopRunner
from pagerduty_alerting.emulator import Emulator, Operation
from tests.support.threads import AtGate, InThread

request_id: contextvars.ContextVar[str] = contextvars.ContextVar("request_id", default="none")


@pytest.fixture
def seen() -> list[str]:
    """The values that the hooks saw."""
    return []


@pytest.fixture
def hooks(seen: list[str]) -> aiohttp.TraceConfig:
    """Trace hooks that record the variable."""

    async def note(*_: object) -> None:
        seen.append(request_id.get())

    config = aiohttp.TraceConfig()
    config.on_request_start.append(note)
    config.on_request_end.append(note)
    return config


def options(emulator: Emulator, hooks: aiohttp.TraceConfig) -> dict[str, object]:
    return {
        "base_url": emulator.url,
        "api_token": emulator.api_token,
        "account_id": emulator.account_id,
        "trace_configs": [hooks],
    }


def test_a_trace_hook_sees_the_context_of_a_synchronous_caller(
    emulator: Emulator, hooks: aiohttp.TraceConfig, seen: list[str]
) -> None:
    with Client(**options(emulator, hooks)) as client:
        contextvars.copy_context().run(lambda: (request_id.set("a"), client.list_services()))
    assert seen == ["a", "a"]


async def test_a_trace_hook_sees_the_context_of_an_asynchronous_caller(
    emulator: Emulator, hooks: aiohttp.TraceConfig, seen: list[str]
) -> None:
    async with AsyncClient(**options(emulator, hooks)) as client:
        request_id.set("b")
        await client.list_services()
    assert seen == ["b", "b"]


async def test_a_trace_hook_sees_the_context_of_a_synchronous_caller_inside_a_coroutine(
    emulator: Emulator, hooks: aiohttp.TraceConfig, seen: list[str]
) -> None:
    request_id.set("c")
    with Client(**options(emulator, hooks)) as client:
        client.list_services()
    assert seen == ["c", "c"]


def test_each_of_two_threads_has_its_own_context(
    emulator: Emulator, hooks: aiohttp.TraceConfig, seen: list[str]
) -> None:
    gate = emulator.on(Operation.LIST).hold()

    def call(name: str) -> None:
        request_id.set(name)
        client.list_services()

    with Client(**options(emulator, hooks)) as client:
        leader = InThread(lambda: call("leader"))
        gate.wait_arrived(1)
        follower = InThread(lambda: call("follower"))
        gate.wait_arrived(2)
        gate.release()
        leader.result(), follower.result()
    assert (sorted(seen), seen[:2]) == (["follower", "follower", "leader", "leader"], ["leader", "follower"])


def test_context_variables_set_in_a_call_do_not_reach_the_caller(runner: LoopRunner) -> None:
    async def set_it() -> None:
        request_id.set("inside")

    runner.run(set_it())
    assert request_id.get() == "none"


def test_a_coroutine_that_is_driven_by_another_thread_keeps_its_callers_context(runner: LoopRunner) -> None:
    gate = AtGate()

    async def name() -> str:
        await asyncio.sleep(0)
        return request_id.get()

    def call() -> str:
        request_id.set("follower")
        return runner.run(name())

    leader = InThread(lambda: runner.run(gate.passed()))
    gate.wait_reached()
    follower = InThread(call)
    assert follower.result() == "follower"
    gate.open()
    leader.result()
