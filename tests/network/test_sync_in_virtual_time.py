"""Deadlines, Retry-After and the quota through the synchronous facade, on a loop whose clock jumps."""

import asyncio
import threading
import time

import pytest

from pagerduty_alerting import APITimeoutError, RateLimitError, RetryPolicy
from tests.support.raw_calls import sync_client_of
from tests.support.raw_server import LISTED, Conversation, answering, http
from tests.support.virtual_time import OTHER_THREAD, VirtualTimeLoop


@pytest.fixture(autouse=True)
def virtual_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes the clock of the runner's loops jump, but not that of the raw server's, which is on its own thread."""
    plain = asyncio.new_event_loop

    def new_event_loop() -> asyncio.AbstractEventLoop:
        return plain() if threading.current_thread().name == "raw-server" else VirtualTimeLoop(OTHER_THREAD)

    monkeypatch.setattr("asyncio.new_event_loop", new_event_loop)


async def silent(peer: Conversation) -> None:
    await peer.request()
    await peer.wait_closed()


def test_a_deadline_ends_a_synchronous_call() -> None:
    started = time.monotonic()
    with sync_client_of(silent) as (client, server):
        with pytest.raises(APITimeoutError, match="waiting for the response") as caught:
            client.create_integration_token(timeout=600)
        assert len(server.requests) == 1
    assert caught.value.timeout == 600
    assert time.monotonic() - started < 100


def test_a_synchronous_call_waits_as_long_as_retry_after_says() -> None:
    script = answering(http(503, headers="Retry-After: 300\r\n"), http(200, LISTED))
    with sync_client_of(script, retry=RetryPolicy(), timeout=600) as (client, _):
        response = client.with_response.list_services()
    assert response.attempts == 2
    assert 300 <= response.elapsed < 400


def test_synchronous_calls_wait_for_the_quota() -> None:
    script = answering(http(200, LISTED, 'Ratelimit: "default";r=0;t=200\r\n'))
    with sync_client_of(script, timeout=600) as (client, _):
        client.list_services()
        assert client.with_response.list_services().elapsed >= 200
        with pytest.raises(RateLimitError, match="not sent"):
            client.list_services(timeout=100)
