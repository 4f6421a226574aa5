"""When a call is retried, when it must not be, and how each retry can be observed; in virtual time."""

import asyncio
import contextlib
import email.utils
import logging
import re
import time
import traceback
from collections.abc import AsyncIterator, Callable
from typing import Any

import aiohttp
import pytest

from pagerduty_alerting import (
    APIConnectionError,
    APIResponseValidationError,
    InternalServerError,
    NotFoundError,
    RateLimitError,
    RetryEvent,
    RetryPolicy,
)
from tests.support.raw_calls import CALLS, NOT_REPLAY_SAFE, REPLAY_SAFE, call, client_of
from tests.support.raw_server import CREATED, LISTED, Conversation, Script, answering, http

pytestmark = pytest.mark.virtual_time

THREE = RetryPolicy(max_attempts=3, initial_delay=0.5, max_delay=8.0)

SUCCESS = {
    "list_services": http(200, LISTED),
    "delete_services": http(200, b'{"success":true}'),
    "create_integration_token": http(201, CREATED),
    "connect": http(200, CREATED),
}


def now() -> float:
    return asyncio.get_running_loop().time()


def set_jitter(monkeypatch: pytest.MonkeyPatch, value: float) -> None:
    monkeypatch.setattr("random.random", lambda: value)


async def reset_after_the_request(peer: Conversation) -> None:
    await peer.request()
    peer.reset()


async def close_after_the_request(peer: Conversation) -> None:
    await peer.request()


async def reset_in_the_head(peer: Conversation) -> None:
    await peer.request()
    peer.send(b"HTTP/1.1 200 OK\r\nContent-Len")
    await peer.drain()
    await asyncio.sleep(0.01)
    peer.reset()


async def reset_in_the_body(peer: Conversation) -> None:
    await peer.request()
    peer.send(http(200, LISTED)[:-9])
    await peer.drain()
    await asyncio.sleep(0.01)
    peer.reset()


async def silent(peer: Conversation) -> None:
    await peer.wait_closed()


async def garbage(peer: Conversation) -> None:
    await peer.request()
    peer.send(b"SSH-2.0-OpenSSH_9.9\r\n")


BROKEN = [reset_after_the_request, close_after_the_request, reset_in_the_head, reset_in_the_body, garbage]


@pytest.mark.parametrize("operation", REPLAY_SAFE)
@pytest.mark.parametrize("script", BROKEN)
async def test_list_and_delete_are_sent_again_when_the_connection_breaks(script: Script, operation: str) -> None:
    async with client_of(script, retry=THREE) as (client, server):
        with pytest.raises(APIConnectionError) as caught:
            await call(client, operation)
    assert len(server.requests) == caught.value.attempts == 3


@pytest.mark.parametrize("operation", NOT_REPLAY_SAFE)
@pytest.mark.parametrize("script", BROKEN)
async def test_create_and_connect_are_sent_once_when_the_connection_breaks(script: Script, operation: str) -> None:
    async with client_of(script, retry=THREE) as (client, server):
        with pytest.raises(APIConnectionError, match="may have been carried out") as caught:
            await call(client, operation)
    assert len(server.requests) == caught.value.attempts == 1
    assert caught.value.may_have_acted is True


@contextlib.asynccontextmanager
async def session_of(whose: str) -> AsyncIterator[dict[str, Any]]:
    """Yields the settings for a session that is the client's own, has trace hooks, or is the caller's."""
    if whose == "the caller's":
        async with aiohttp.ClientSession() as session:
            yield {"session": session}
    else:
        yield {"trace_configs": [aiohttp.TraceConfig()] if whose == "traced" else []}


@pytest.mark.parametrize("whose", ["own", "traced", "the caller's"])
@pytest.mark.parametrize("break_connection", [lambda peer: None, Conversation.reset], ids=["closed", "reset"])
@pytest.mark.parametrize("operation", CALLS)
async def test_a_request_lost_with_a_kept_alive_connection_is_not_silently_replayed(
    operation: str, break_connection: Callable[[Conversation], None], whose: str
) -> None:
    """aiohttp by itself would send the GETs and the DELETE a second time, on a new connection."""

    async def script(peer: Conversation) -> None:
        await peer.request()
        peer.send(SUCCESS[operation])
        await peer.request()  # the second call, on the same connection: acted on, then cut off
        break_connection(peer)

    async with session_of(whose) as session, client_of(script, **session) as (client, server):
        await call(client, operation)
        with pytest.raises(APIConnectionError, match="connection (broke|without)") as caught:
            await call(client, operation)
    assert len(server.requests) == 2
    assert caught.value.attempts == 1


@pytest.mark.parametrize("operation", CALLS)
async def test_a_trace_hook_may_make_calls(operation: str) -> None:
    """Each call knows its own connection, even if one is made within another."""
    calls = 0

    async def call_within(*_: object) -> None:
        nonlocal calls
        calls += 1
        if calls < 4:
            await call(client, "list_services")

    hooks = aiohttp.TraceConfig()
    hooks.on_request_start.append(call_within)

    async def script(peer: Conversation) -> None:
        while request := await peer.request():
            peer.send(SUCCESS["list_services"] if "/connect" not in request else SUCCESS[operation])

    async with client_of(script, trace_configs=[hooks]) as (client, server):
        await call(client, operation)
        await call(client, operation)
    assert len(server.requests) == calls == 5


async def test_an_abandoned_call_can_be_closed_in_another_context() -> None:
    """The garbage collector does that with the coroutine of a task that is never awaited."""

    async def script(peer: Conversation) -> None:
        await peer.request()
        await asyncio.Event().wait()

    async with client_of(script) as (client, server):
        abandoned = client.list_services()
        task = asyncio.create_task(abandoned)
        await server.arrived.wait()
        abandoned.close()
        with pytest.raises(RuntimeError, match="cannot reuse already awaited coroutine"):
            await task


@pytest.mark.parametrize("operation", CALLS)
async def test_a_kept_alive_connection_that_the_server_closed_while_idle_is_not_reused(operation: str) -> None:
    async def script(peer: Conversation) -> None:
        await peer.request()
        peer.send(SUCCESS[operation])
        await peer.drain()

    async with client_of(script) as (client, server):
        for _ in range(3):
            await call(client, operation)
            await asyncio.sleep(1)
    assert len(server.requests) == 3


@pytest.mark.parametrize("operation", NOT_REPLAY_SAFE)
@pytest.mark.parametrize("status", [408, 500, 502, 503, 504])
async def test_create_and_connect_are_not_sent_again_after_a_server_error(operation: str, status: int) -> None:
    async with client_of(answering(http(status)), retry=THREE) as (client, server):
        with pytest.raises(Exception, match=str(status)):
            await call(client, operation)
    assert len(server.requests) == 1


@pytest.mark.parametrize("operation", CALLS)
async def test_every_operation_is_retried_after_too_many_requests(operation: str) -> None:
    script = answering(http(429, headers="Retry-After: 2\r\n"), SUCCESS[operation])
    async with client_of(script, retry=THREE) as (client, server):
        started = now()
        await call(client, operation)
        assert now() >= started + 2
    assert len(server.requests) == 2


@pytest.mark.parametrize("operation", NOT_REPLAY_SAFE)
@pytest.mark.parametrize("script", BROKEN)
async def test_replay_unsafe_allows_a_replay_of_create_and_connect(script: Script, operation: str) -> None:
    retry = RetryPolicy(max_attempts=3, replay_unsafe=True)
    async with client_of(script, retry=retry) as (client, server):
        with pytest.raises(APIConnectionError) as caught:
            await call(client, operation)
    assert len(server.requests) == 3
    assert caught.value.may_have_acted is True


async def test_a_call_that_cannot_connect_any_more_says_that_an_earlier_attempt_may_have_acted() -> None:
    async def script(peer: Conversation) -> None:
        await peer.request()
        peer.server.stop_listening()

    async with client_of(script, retry=RetryPolicy(replay_unsafe=True)) as (client, _):
        with pytest.raises(APIConnectionError, match="cannot connect") as caught:
            await client.create_integration_token()
    assert caught.value.may_have_acted is True


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 409, 422, 501, 505, 519])
async def test_other_statuses_are_final(status: int) -> None:
    async with client_of(answering(http(status)), retry=THREE) as (client, server):
        with pytest.raises(Exception, match=str(status)) as caught:
            await client.list_services()
    assert len(server.requests) == 1
    assert not hasattr(caught.value, "__notes__")


async def test_a_response_of_the_wrong_form_is_final() -> None:
    async with client_of(answering(http(200, b"[]")), retry=THREE) as (client, server):
        with pytest.raises(APIResponseValidationError):
            await client.list_services()
    assert len(server.requests) == 1


# Waiting.


@pytest.mark.parametrize(("jitter", "waited"), [(0.0, 0.75), (0.5, 1.125), (1.0, 1.5)])
async def test_back_off_is_at_least_half_of_the_doubled_delay(
    monkeypatch: pytest.MonkeyPatch, jitter: float, waited: float
) -> None:
    set_jitter(monkeypatch, jitter)
    async with client_of(answering(http(500)), retry=THREE) as (client, _):
        started = now()
        with pytest.raises(InternalServerError):
            await client.list_services()
        assert waited <= now() - started < waited + 0.5


async def test_back_off_does_not_exceed_its_maximum(monkeypatch: pytest.MonkeyPatch) -> None:
    set_jitter(monkeypatch, 1.0)
    delays: list[float] = []
    retry = RetryPolicy(max_attempts=8, max_delay=4, on_retry=lambda event: delays.append(event.delay))
    async with client_of(answering(http(500)), retry=retry) as (client, _):
        with pytest.raises(InternalServerError):
            await client.list_services()
    assert delays == [0.5, 1, 2, 4, 4, 4, 4]


def in_seconds(seconds: int) -> str:
    return str(seconds)


def as_date(seconds: int) -> str:
    return email.utils.formatdate(time.time() + seconds, usegmt=True)


@pytest.mark.parametrize("format_delay", [in_seconds, as_date])
async def test_a_retry_waits_as_long_as_retry_after_says(format_delay: Callable[[int], str]) -> None:
    script = answering(http(503, headers=f"Retry-After: {format_delay(12)}\r\n"), http(200, LISTED))
    async with client_of(script, retry=THREE) as (client, _):
        response = await client.with_response.list_services()
    assert response.attempts == 2
    assert 10.5 <= response.elapsed < 16


@pytest.mark.parametrize("format_delay", [in_seconds, as_date])
async def test_a_call_fails_at_once_if_retry_after_exceeds_the_time_left(format_delay: Callable[[int], str]) -> None:
    script = answering(http(429, headers=f"Retry-After: {format_delay(300)}\r\n"))
    async with client_of(script, retry=THREE) as (client, server):
        started = now()
        with pytest.raises(RateLimitError, match="Wait (300|299) s") as caught:
            await client.list_services(timeout=30)
        assert now() - started < 5
    assert 298 <= (caught.value.retry_after or 0) <= 300
    assert caught.value.attempts == len(server.requests) == 1


@pytest.mark.parametrize(
    ("headers", "retry_after"),
    [
        ("Retry-After: 99999999999999999999999999\r\n", 31_536_000),
        (f"Retry-After: {'9' * 8000}\r\n", 31_536_000),
        ("Retry-After: Fri, 31 Dec 9999 23:59:59 GMT\r\n", 31_536_000),
        ("Retry-After: 60\r\nRetry-After: 120\r\n", 120),
        ("Retry-After: 60, 120\r\n", 120),
        ("Retry-After: Wed, 21 Oct 2015 07:28:00 GMT\r\n", 0),
        ("Retry-After: -5\r\n", None),
        ("Retry-After: soon\r\n", None),
        ("Retry-After: \r\n", None),
        ("Retry-After: NaN\r\n", None),
        ("Retry-After: inf\r\n", None),
        ("Retry-After: 1e3\r\n", None),
        ("Retry-After: \xb2\r\n", None),
        ("", None),
    ],
)
async def test_retry_after_is_limited_and_ignored_when_invalid(headers: str, retry_after: float | None) -> None:
    async with client_of(answering(http(429, headers=headers))) as (client, _):
        with pytest.raises(RateLimitError) as caught:
            await client.list_services()
    assert caught.value.retry_after == retry_after


# Observing retries.


async def test_a_response_reports_the_number_of_attempts() -> None:
    script = answering(http(500), http(502), http(200, LISTED))
    async with client_of(script, retry=THREE) as (client, _):
        assert (await client.with_response.list_services()).attempts == 3


async def test_on_retry_is_called_before_each_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    set_jitter(monkeypatch, 1.0)
    events: list[tuple[float, RetryEvent]] = []
    retry = RetryPolicy(max_attempts=3, on_retry=lambda event: events.append((now() - started, event)))
    async with client_of(answering(http(500), http(502), http(200, LISTED)), retry=retry) as (client, _):
        started = now()
        await client.list_services()
    assert [(event.operation, event.attempt, event.delay) for _, event in events] == [
        ("List PagerDuty services", 1, 0.5),
        ("List PagerDuty services", 2, 1.0),
    ]
    assert [(event.error.status, event.error.attempts) for _, event in events] == [(500, 1), (502, 2)]
    assert events[0][0] < 0.4
    assert 0.5 <= events[1][0] < 0.9


async def test_an_exception_of_on_retry_does_not_end_the_call(caplog: pytest.LogCaptureFixture) -> None:
    def hook(_: RetryEvent) -> None:
        raise ZeroDivisionError

    retry = RetryPolicy(max_attempts=2, on_retry=hook)
    async with client_of(answering(http(500), http(200, LISTED)), retry=retry) as (client, _):
        assert len(await client.list_services()) == 1
    (record,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert record.exc_info is not None
    assert record.exc_info[0] is ZeroDivisionError


async def test_the_traceback_of_the_last_error_shows_the_earlier_attempts() -> None:
    script = answering(http(500), http(502), http(504))
    async with client_of(script, retry=THREE) as (client, _):
        with pytest.raises(InternalServerError) as caught:
            await client.list_services()
    text = "".join(traceback.format_exception(caught.value))
    assert caught.value.status == 504
    assert "attempt 1 failed too" in text
    assert "failed with 500" in text
    assert "attempt 2 failed too" in text
    assert "failed with 502" in text


async def test_a_single_attempt_has_no_notes() -> None:
    async with client_of(answering(http(500))) as (client, _):
        with pytest.raises(InternalServerError) as caught:
            await client.list_services()
    assert not hasattr(caught.value, "__notes__")


async def test_each_retry_is_logged_with_its_reason(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "pagerduty_alerting")
    script = answering(http(500, headers="CF-Ray: ray-one\r\n"), http(200, LISTED))
    async with client_of(script, retry=THREE) as (client, _):
        await client.list_services()
    (record,) = [record for record in caplog.records if record.name == "pagerduty_alerting"]
    assert record.levelno == logging.INFO
    assert "attempt 1 failed, the next follows in" in record.getMessage()
    assert "failed with 500" in record.getMessage()


async def test_each_attempt_is_logged_for_debugging(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "pagerduty_alerting")
    script = answering(http(500, headers="CF-Ray: ray-one\r\n"), http(200, LISTED, "CF-Ray: ray-two\r\n"))
    async with client_of(script, retry=THREE) as (client, _):
        await client.list_services()
    lines = [record.getMessage() for record in caplog.records if record.levelno == logging.DEBUG]
    lines = [line for line in lines if "destinations" in line]
    path = "/accounts/023e105f4ecef8ad9ca31a8372d0c353/alerting/v3/destinations/pagerduty"
    assert len(lines) == 2
    assert lines[0].startswith(f"GET {path}: 500 in ")
    assert lines[0].endswith("ms, ray ray-one")
    assert lines[1].startswith(f"GET {path}: 200 in ")
    assert lines[1].endswith("ms, ray ray-two")


async def test_the_log_reports_milliseconds(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "pagerduty_alerting")

    async def slow(peer: Conversation) -> None:
        await peer.request()
        await asyncio.sleep(40)
        peer.send(http(200, LISTED))

    async with client_of(slow, timeout=600) as (client, _):
        await client.list_services()
    (line,) = [record.getMessage() for record in caplog.records if record.name == "pagerduty_alerting"]
    (milliseconds,) = re.findall(r"in ([0-9.]+) ms", line)
    assert 40_000 <= float(milliseconds) < 60_000


@pytest.mark.parametrize(
    ("script", "phase"),
    [(reset_after_the_request, "waiting for the response"), (reset_in_the_body, "reading the response")],
)
async def test_an_attempt_without_a_response_is_logged_too(
    caplog: pytest.LogCaptureFixture, script: Script, phase: str
) -> None:
    caplog.set_level(logging.DEBUG, "pagerduty_alerting")
    async with client_of(script) as (client, _):
        with pytest.raises(APIConnectionError):
            await client.list_services()
    (line,) = [record.getMessage() for record in caplog.records if record.name == "pagerduty_alerting"]
    assert "no response in" in line
    assert line.endswith(f"while {phase}")


def test_the_library_installs_no_log_handler() -> None:
    assert logging.getLogger("pagerduty_alerting").handlers == []
    assert logging.getLogger("pagerduty_alerting").level == logging.NOTSET


async def test_nothing_is_formatted_for_a_disabled_log(monkeypatch: pytest.MonkeyPatch) -> None:
    logger = logging.getLogger("pagerduty_alerting")
    monkeypatch.setattr(logger, "level", logging.WARNING)
    logger.manager._clear_cache()
    monkeypatch.setattr(logging.LogRecord, "getMessage", lambda _: pytest.fail("a record was formatted"))
    monkeypatch.setattr("pagerduty_alerting._protocol.endpoints.Request.__str__", lambda _: pytest.fail("formatted"))
    try:
        async with client_of(answering(http(200, LISTED))) as (client, _):
            await client.list_services()
    finally:
        logger.manager._clear_cache()


async def test_an_error_that_is_not_retried_reports_one_attempt() -> None:
    async with client_of(answering(http(404)), retry=THREE) as (client, _):
        with pytest.raises(NotFoundError) as caught:
            await client.list_services()
    assert caught.value.attempts == 1
