"""Tests of applications may stop Python's clocks, as freezegun does; calls and the emulator still end in time."""

import functools
import time
from collections.abc import Iterator

import pytest

from pagerduty_alerting import APITimeoutError, Client
from pagerduty_alerting.emulator import Emulator, Operation
from tests.support.threads import InThread

CLOCKS = ("time", "time_ns", "monotonic", "monotonic_ns", "perf_counter", "perf_counter_ns")

pytestmark = pytest.mark.skipif(not hasattr(time, "clock_gettime"), reason="this system has no other clock")


@pytest.fixture(autouse=True)
def stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stops the clocks, at the present time."""
    for name in CLOCKS:
        monkeypatch.setattr(
            time, name, functools.partial(int if name.endswith("_ns") else float, getattr(time, name)())
        )


def outcome(client: Client, timeout: float) -> object:
    """Returns the outcome of a call on another thread, so that one that never ends fails."""
    call = InThread(lambda: client.list_services(timeout=timeout))
    try:
        return call.result(patience=20)
    except Exception as error:
        return type(error)


@pytest.fixture
def client(emulator: Emulator) -> Iterator[Client]:
    with Client(base_url=emulator.url, api_token=emulator.api_token, account_id=emulator.account_id) as client:
        yield client


def test_a_synchronous_call_is_retried(emulator: Emulator, client: Client) -> None:
    emulator.on(Operation.LIST).once().respond(503)
    assert outcome(client, timeout=30) == []


def test_a_synchronous_call_ends_at_its_deadline(emulator: Emulator, client: Client) -> None:
    emulator.on(Operation.LIST).hang()
    assert outcome(client, timeout=0.1) is APITimeoutError


def test_a_latency_of_an_emulator_ends() -> None:
    with (
        Emulator(latency=0.05) as api,
        Client(base_url=api.url, api_token=api.api_token, account_id=api.account_id) as slow,
    ):
        assert outcome(slow, timeout=30) == []
