"""One deadline covers the whole call, and a call that is cancelled or closed in any phase leaves nothing open."""

import asyncio
import ssl
from collections.abc import Callable
from typing import Any

import aiohttp
import pytest

from pagerduty_alerting import (
    APIConnectionError,
    APITimeoutError,
    AsyncClient,
    ClientClosedError,
    RetryEvent,
    RetryPolicy,
)
from tests.support.raw_calls import CALLS, NOT_REPLAY_SAFE, REPLAY_SAFE, call, client_of, open_files, settings, settled
from tests.support.raw_server import CREATED, LISTED, Conversation, Script, http, raw_server

pytestmark = pytest.mark.virtual_time

RETRIES = RetryPolicy(max_attempts=4, initial_delay=0.5, max_delay=8.0)


async def silent(peer: Conversation) -> None:
    await peer.request()
    await peer.wait_closed()


async def half_a_head(peer: Conversation) -> None:
    await peer.request()
    peer.send(b"HTTP/1.1 200 OK\r\nContent-Le")
    await peer.wait_closed()


async def half_a_body(peer: Conversation) -> None:
    await peer.request()
    peer.send(http(200, LISTED)[:-20])
    await peer.wait_closed()


async def compressed_and_unfinished(peer: Conversation) -> None:
    await peer.request()
    peer.send(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n\x1f\x8b\x08\r\n")
    await peer.wait_closed()


async def one_hundred_continues_for_ever(peer: Conversation) -> None:
    await peer.request()
    while True:
        peer.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        await peer.drain()
        await asyncio.sleep(1)


def dripping(data: bytes) -> Script:
    async def script(peer: Conversation) -> None:
        await peer.request()
        for byte in data:
            peer.send(bytes([byte]))
            await peer.drain()
            await asyncio.sleep(1)

    return script


async def unavailable(peer: Conversation) -> None:
    while True:
        await peer.request()
        peer.send(http(503, headers="Retry-After: 5\r\n"))


async def used_up(peer: Conversation) -> None:
    while True:
        await peer.request()
        peer.send(http(200, LISTED, 'Ratelimit: "default";r=0;t=8\r\n'))


async def no_handshake(peer: Conversation) -> None:
    await peer.wait_closed()


WAITING = "waiting for the response"
READING = "reading the response"


@pytest.mark.parametrize(
    ("script", "phase"),
    [
        (silent, WAITING),
        (half_a_head, WAITING),
        (one_hundred_continues_for_ever, WAITING),
        (dripping(http(200, LISTED)), WAITING),
        (half_a_body, READING),
        (compressed_and_unfinished, READING),
    ],
)
async def test_a_deadline_ends_the_call_and_names_the_phase(script: Script, phase: str) -> None:
    async with client_of(script) as (client, _):
        started = asyncio.get_running_loop().time()
        with pytest.raises(APITimeoutError, match=phase) as caught:
            await client.list_services(timeout=20)
        assert started + 20 <= asyncio.get_running_loop().time() < started + 25
    assert (caught.value.phase, caught.value.attempts, caught.value.timeout) == (phase, 1, 20)


async def test_a_slow_body_does_not_extend_the_deadline() -> None:
    head, _, body = http(200, LISTED).partition(b"\r\n\r\n")

    async def script(peer: Conversation) -> None:
        await peer.request()
        peer.send(head + b"\r\n\r\n")
        for byte in body:
            peer.send(bytes([byte]))
            await asyncio.sleep(1)

    async with client_of(script) as (client, _):
        with pytest.raises(APITimeoutError, match=READING):
            await client.list_services(timeout=10)


@pytest.mark.parametrize("timeout", [0.001, 1, 29.5, 3600])
async def test_the_timeout_of_a_call_overrides_that_of_the_client(timeout: float) -> None:
    async with client_of(silent, timeout=30) as (client, _):
        started = asyncio.get_running_loop().time()
        with pytest.raises(APITimeoutError) as caught:
            await client.list_services(timeout=timeout)
        assert caught.value.timeout == timeout
        assert started + timeout <= asyncio.get_running_loop().time() < started + timeout + 5


async def test_one_deadline_covers_all_attempts_and_their_back_off() -> None:
    script_calls = 0

    async def script(peer: Conversation) -> None:
        nonlocal script_calls
        while True:
            await peer.request()
            script_calls += 1
            await asyncio.sleep(4)
            peer.send(http(503, headers="Retry-After: 3\r\n"))

    async with client_of(script, retry=RetryPolicy(max_attempts=100)) as (client, _):
        started = asyncio.get_running_loop().time()
        with pytest.raises(APITimeoutError) as caught:
            await client.list_services(timeout=10)
        assert started + 10 <= asyncio.get_running_loop().time() < started + 13
    assert caught.value.attempts == script_calls == 2
    assert "in attempt 2, while waiting for the response" in str(caught.value)
    assert len(caught.value.__notes__) == 1
    assert "attempt 1 failed too" in caught.value.__notes__[0]


async def test_an_attempt_that_takes_too_long_is_followed_by_another() -> None:
    answers = iter([None, http(200, LISTED)])

    async def script(peer: Conversation) -> None:
        while True:
            await peer.request()
            answer = next(answers)
            if answer is None:
                await peer.wait_closed()
                return
            peer.send(answer)

    retry = RetryPolicy(max_attempts=2, attempt_timeout=3)
    async with client_of(script, retry=retry) as (client, _):
        response = await client.with_response.list_services(timeout=30)
    assert response.attempts == 2
    assert 3 <= response.elapsed < 6


async def test_the_error_of_an_attempt_timeout_names_its_limit() -> None:
    async with client_of(silent, retry=RetryPolicy(max_attempts=1, attempt_timeout=3)) as (client, _):
        with pytest.raises(APITimeoutError, match="no result within 3 s") as caught:
            await client.list_services(timeout=30)
    assert caught.value.timeout == 3


async def test_an_attempt_timeout_equal_to_the_deadline_raises_one_timeout_error() -> None:
    async with client_of(silent, retry=RetryPolicy(attempt_timeout=3)) as (client, _):
        with pytest.raises(APITimeoutError) as caught:
            await client.list_services(timeout=3)
    assert caught.value.timeout == 3


async def test_the_connect_timeout_covers_the_tls_handshake() -> None:
    ours = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    async with raw_server(no_handshake) as server:
        changes = settings(server.url.replace("http:", "https:"), ssl_context=ours, connect_timeout=2)
        async with AsyncClient(**changes) as client:
            started = asyncio.get_running_loop().time()
            with pytest.raises(APITimeoutError, match="no connection within the connect_timeout of 2 s") as caught:
                await client.create_integration_token()
            assert started + 2 <= asyncio.get_running_loop().time() < started + 6
    assert caught.value.phase == "connecting"
    assert caught.value.may_have_acted is False


class SlowResolver(aiohttp.abc.AbstractResolver):
    async def resolve(self, host: str, port: int = 0, family: Any = 0) -> Any:
        await asyncio.sleep(1000)

    async def close(self) -> None:
        pass


async def test_the_connect_timeout_covers_the_name_lookup(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aiohttp.connector.DefaultResolver", lambda *_, **__: SlowResolver())
    async with AsyncClient(**settings("https://api.example/v4", connect_timeout=2)) as client:
        with pytest.raises(APITimeoutError, match="was not resolved within the connect_timeout of 2 s"):
            await client.list_services()


async def test_a_deadline_while_connecting_names_that_phase(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aiohttp.connector.DefaultResolver", lambda *_, **__: SlowResolver())
    async with AsyncClient(**settings("https://api.example/v4", connect_timeout=20)) as client:
        with pytest.raises(APITimeoutError, match="while connecting") as caught:
            await client.create_integration_token(timeout=1)
    assert caught.value.may_have_acted is False


@pytest.mark.parametrize("operation", NOT_REPLAY_SAFE)
async def test_a_timeout_of_create_or_connect_says_that_it_may_have_been_carried_out(operation: str) -> None:
    async with client_of(silent, retry=RETRIES) as (client, server):
        with pytest.raises(APITimeoutError, match="may have been carried out") as caught:
            await call(client, operation, timeout=5)
    assert caught.value.may_have_acted is True
    assert len(server.requests) == 1


@pytest.mark.parametrize("operation", REPLAY_SAFE)
async def test_a_timeout_of_list_or_delete_does_not_say_that_it_may_have_been_carried_out(operation: str) -> None:
    async with client_of(silent) as (client, _):
        with pytest.raises(APITimeoutError) as caught:
            await call(client, operation, timeout=5)
    assert "carried out" not in str(caught.value)


# Cancellation.


async def check_cancellation(
    script: Script, prepare: Callable[[AsyncClient], Any] | None = None, *, pooled: int = 0, **changes: Any
) -> None:
    """Cancels a call that is waiting, and checks that it leaves nothing open but idle connections."""
    async with raw_server(script) as server:
        url = changes.pop("url", lambda url: url)(server.url)
        async with AsyncClient(**settings(url, timeout=60, **changes)) as client:
            if prepare is not None:
                await prepare(client)
            await settled()
            tasks, files, connections = asyncio.all_tasks(), open_files(), server.connections
            task = asyncio.ensure_future(client.list_services())
            await asyncio.sleep(1)
            assert not task.done()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            del task
            # A connection in the middle of a response is closed, which ends the server's side of it.
            await asyncio.sleep(5)
            await settled()
            assert {task for task in asyncio.all_tasks() - tasks if task not in server.tasks} == set()
            assert server.connections <= connections + pooled
            assert open_files() <= files + 2 * pooled


async def list_once(client: AsyncClient) -> None:
    await client.list_services()


def https(url: str) -> str:
    return url.replace("http:", "https:")


@pytest.mark.parametrize("script", [silent, half_a_head, half_a_body, compressed_and_unfinished, dripping(http(200))])
async def test_a_call_cancelled_in_an_attempt_leaves_nothing_open(script: Script) -> None:
    await check_cancellation(script)


async def test_a_call_cancelled_in_back_off_leaves_nothing_open() -> None:
    await check_cancellation(unavailable, pooled=1, retry=RETRIES)


async def test_a_call_cancelled_while_waiting_for_the_quota_leaves_nothing_open() -> None:
    await check_cancellation(used_up, list_once)


async def test_a_call_cancelled_in_the_tls_handshake_leaves_nothing_open() -> None:
    await check_cancellation(no_handshake, url=https, connect_timeout=50)


async def test_a_call_cancelled_while_waiting_for_a_free_connection_leaves_nothing_open() -> None:
    async with raw_server(silent) as server:
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=1)) as session:
            client = AsyncClient(**settings(server.url, session=session))
            first = asyncio.ensure_future(client.list_services())
            await server.arrived.wait()
            second = asyncio.ensure_future(client.list_services())
            await asyncio.sleep(1)
            second.cancel()
            with pytest.raises(asyncio.CancelledError):
                await second
            first.cancel()
            with pytest.raises(asyncio.CancelledError):
                await first
            await asyncio.sleep(1)
        assert server.connections == 0


async def test_a_client_is_usable_after_a_cancelled_call() -> None:
    first = True

    async def script(peer: Conversation) -> None:
        nonlocal first
        while True:
            await peer.request()
            if first:
                first = False
                await peer.wait_closed()
                return
            peer.send(http(200, LISTED))

    async with client_of(script) as (client, server):
        task = asyncio.ensure_future(client.list_services())
        await server.arrived.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert len(await client.list_services()) == 1


async def test_a_cancellation_at_the_moment_of_the_deadline_does_not_become_a_timeout() -> None:
    async with client_of(silent) as (client, server):
        loop = asyncio.get_running_loop()
        deadline = loop.time() + 5
        task = asyncio.ensure_future(client.list_services(timeout=5))
        loop.call_at(deadline, task.cancel)
        await server.arrived.wait()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert loop.time() >= deadline


async def test_asyncio_timeout_around_a_call_raises_the_builtin_timeout_error() -> None:
    async with client_of(silent) as (client, _):
        with pytest.raises(TimeoutError) as caught:
            async with asyncio.timeout(3):
                await client.list_services(timeout=30)
    assert type(caught.value) is TimeoutError


# Closing.


@pytest.mark.parametrize(
    ("script", "changes"),
    [
        (silent, {}),
        (half_a_head, {}),
        (half_a_body, {}),
        (unavailable, {"retry": RETRIES}),
        (no_handshake, {"url": https, "connect_timeout": 50}),
    ],
)
async def test_closing_ends_calls_at_once_in_every_phase(script: Script, changes: dict[str, Any]) -> None:
    async with raw_server(script) as server:
        url = changes.get("url", lambda url: url)(server.url)
        rest = {name: value for name, value in changes.items() if name != "url"}
        client = AsyncClient(**settings(url, timeout=60, **rest))
        tasks = [asyncio.ensure_future(client.list_services()) for _ in range(3)]
        await asyncio.sleep(1)
        started = asyncio.get_running_loop().time()
        await client.aclose()
        for task in tasks:
            with pytest.raises(ClientClosedError):
                await task
        assert asyncio.get_running_loop().time() - started < 3


async def test_closing_ends_calls_that_wait_for_the_quota() -> None:
    async with client_of(used_up, timeout=60) as (client, server):
        await client.list_services()
        task = asyncio.ensure_future(client.list_services())
        await asyncio.sleep(1)
        await client.aclose()
        with pytest.raises(ClientClosedError):
            await task
        assert len(server.requests) == 1


async def test_closing_ends_calls_that_wait_for_a_free_connection() -> None:
    async with client_of(silent, timeout=60) as (client, _server):
        tasks = [asyncio.ensure_future(client.list_services()) for _ in range(105)]  # aiohttp opens 100 connections
        await asyncio.sleep(1)
        await client.aclose()
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        assert {type(outcome) for outcome in outcomes} == {ClientClosedError}


async def test_closing_ends_calls_on_the_callers_session_and_leaves_it_open() -> None:
    async with raw_server(silent) as server, aiohttp.ClientSession() as session:
        client = AsyncClient(**settings(server.url, session=session, timeout=60))
        task = asyncio.ensure_future(client.list_services())
        await server.arrived.wait()
        await client.aclose()
        with pytest.raises(ClientClosedError):
            await task
        assert not session.closed


async def test_closing_one_of_two_clients_on_one_session_does_not_end_calls_of_the_other() -> None:
    answer = asyncio.Event()

    async def script(peer: Conversation) -> None:
        await peer.request()
        await answer.wait()
        peer.send(http(200, LISTED))

    async with raw_server(script) as server, aiohttp.ClientSession() as session:
        one = AsyncClient(**settings(server.url, session=session))
        async with AsyncClient(**settings(server.url, session=session)) as other:
            task = asyncio.ensure_future(other.list_services())
            await server.arrived.wait()
            await one.aclose()
            answer.set()
            assert len(await task) == 1


async def test_a_closed_client_raises_at_once_even_while_the_quota_is_used_up() -> None:
    async with client_of(used_up) as (client, _):
        await client.list_services()
        await client.aclose()
        started = asyncio.get_running_loop().time()
        with pytest.raises(ClientClosedError):
            await client.list_services()
        assert asyncio.get_running_loop().time() - started < 1


async def test_closing_from_a_trace_hook_of_a_call_ends_that_call() -> None:
    async def close(*_: Any) -> None:
        await client.aclose()

    trace = aiohttp.TraceConfig()
    trace.on_request_start.append(close)
    async with client_of(silent, trace_configs=[trace]) as (client, _):
        with pytest.raises(ClientClosedError):
            await client.list_services()


async def test_a_refused_connection_is_not_a_timeout() -> None:
    async with raw_server(silent) as server:
        url = server.url
    async with AsyncClient(**settings(url)) as client:
        with pytest.raises(APIConnectionError) as caught:
            await client.list_services()
    assert not isinstance(caught.value, APITimeoutError)
    assert caught.value.may_have_acted is False


# Standstill: the process or the loop does nothing for longer than the deadline.


@pytest.mark.parametrize("limits", [{"timeout": 5}, {"timeout": 600, "retry": RetryPolicy(attempt_timeout=5)}])
@pytest.mark.parametrize("body_length", [0, 1_000_000])
@pytest.mark.parametrize("operation", CALLS)
async def test_a_response_that_arrived_during_a_standstill_is_returned(
    operation: str, body_length: int, limits: dict[str, Any]
) -> None:
    """The loop is blocked past the deadline of the call or the attempt; meanwhile the response arrives."""
    answered = asyncio.Event()

    async def script(peer: Conversation) -> None:
        await peer.request()
        body = LISTED if operation == "list_services" else CREATED
        peer.send(http(200, body + b" " * body_length))
        answered.set()
        await peer.wait_closed()

    async with client_of(script, **limits) as (client, server):
        calling = asyncio.ensure_future(call(client, operation))
        await answered.wait()
        stand_still(60)
        await calling
    assert len(server.requests) == 1


@pytest.mark.parametrize(("failures", "attempts"), [(1, "after 1 attempt,"), (2, "after 2 attempts,")])
async def test_a_standstill_between_attempts_ends_the_call_and_says_how_many_there_were(
    failures: int, attempts: str
) -> None:
    def retried(event: RetryEvent) -> None:
        if event.attempt == failures:
            asyncio.get_running_loop().call_later(1, stand_still, 600)

    retry = RetryPolicy(on_retry=retried)
    async with client_of(unavailable, timeout=60, retry=retry) as (client, _):
        with pytest.raises(APITimeoutError, match=f"{attempts} while waiting to try again") as caught:
            await client.list_services()
    assert caught.value.attempts == failures


@pytest.mark.parametrize("silence", ["no response", "connecting"])
async def test_a_call_without_a_response_ends_after_a_standstill(silence: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if silence == "connecting":
        monkeypatch.setattr("aiohttp.connector.DefaultResolver", lambda *_, **__: SlowResolver())

    async def script(peer: Conversation) -> None:
        await peer.wait_closed()

    async with raw_server(script) as server:
        url = server.url if silence == "no response" else "https://api.example/v4"
        async with AsyncClient(**settings(url, timeout=5, connect_timeout=60)) as client:
            calling = asyncio.ensure_future(client.create_integration_token())
            await asyncio.sleep(1)
            stand_still(60)
            with pytest.raises(APITimeoutError) as caught:
                await calling
    assert caught.value.may_have_acted is (silence == "no response")


def stand_still(seconds: float) -> None:
    """Advances the clock of the running loop without a turn of the loop."""
    loop: Any = asyncio.get_running_loop()
    loop._jumping.jumped += seconds
