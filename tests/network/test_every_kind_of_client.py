"""Behaviour of every kind of client, over real sockets: with its own session, with the caller's, synchronous."""

import asyncio
import contextlib
import itertools
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import aiohttp
import pytest
from attrs import define, field

from pagerduty_alerting import (
    APIConnectionError,
    APIResponseValidationError,
    APITimeoutError,
    AsyncClient,
    Client,
    ClientClosedError,
    RateLimitError,
    RetryEvent,
    RetryPolicy,
)
from pagerduty_alerting.emulator import Emulator, RateLimits
from tests.support.callers import Caller
from tests.support.raw_calls import CALLS, NOT_REPLAY_SAFE, settings
from tests.support.raw_server import CREATED, LISTED, Conversation, RawServer, Script, http, raw_server_in_thread
from tests.support.threads import PATIENCE, InThread
from tests.support.virtual_time import SteppedLoop, VirtualTimeLoop

KINDS = ["own session", "caller's session", "sync"]
FLEETS = ["list_services_in", "delete_services_in"]
ACCOUNTS = [f"{number:032x}" for number in range(6)]

every_kind = pytest.mark.parametrize("kind", KINDS)
kinds_with_own_sockets = pytest.mark.parametrize("kind", ["own session", "sync"])


@define
class Subject(Caller):
    """A client of one kind, and the loop on which its calls run."""

    loop: asyncio.SelectorEventLoop = field(kw_only=True)

    def begin(self, operation: str, **options: Any) -> Callable[[], Any]:
        """Starts a call, and returns a function that returns its result."""
        method = getattr(self.client, operation)
        if self.flavour == "sync":
            return InThread(lambda: method(*CALLS[operation], **options)).result
        task = self.loop.create_task(method(*CALLS[operation], **options))
        return lambda: self.loop.run_until_complete(task)

    def wait_for(self, event: threading.Event) -> None:
        """Waits for an event in another thread, while calls continue."""
        if self.flavour == "sync":
            assert event.wait(PATIENCE)
        else:
            assert self.loop.run_until_complete(asyncio.to_thread(event.wait, PATIENCE))


@contextlib.contextmanager
def subject(
    kind: str, url: str, *, limit: int = 100, loop: asyncio.SelectorEventLoop | None = None, **changes: Any
) -> Iterator[Subject]:
    """Makes a client.

    Args:
        kind: One of `KINDS`.
        url: URL of the API.
        limit: The number of its connections.
        loop: The loop on which its calls run.
        changes: Other settings.
    """
    loop = SteppedLoop() if loop is None else loop
    options = settings(url, **changes)
    if kind == "sync":
        with Client(**options, max_connections=limit) as client:
            client._runner._make_loop = lambda: loop
            yield Subject("sync", client, lambda result: result, loop=loop)
        return

    async def open_session() -> aiohttp.ClientSession:
        return aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=limit))

    session = loop.run_until_complete(open_session()) if kind == "caller's session" else None
    limits = {"max_connections": limit} if session is None else {"session": session}
    made = Subject("async", AsyncClient(**options, **limits), loop.run_until_complete, loop=loop)
    yield made
    made.close()
    if session is not None:
        loop.run_until_complete(session.close())
    loop.run_until_complete(loop.shutdown_asyncgens())
    loop.run_until_complete(loop.shutdown_default_executor())
    loop.close()


@contextlib.contextmanager
def subject_and_server(kind: str, script: Script, **changes: Any) -> Iterator[tuple[Subject, RawServer]]:
    with raw_server_in_thread(script) as server, subject(kind, server.url, **changes) as made:
        yield made, server


SUCCESS = {
    "list_services": http(200, LISTED),
    "delete_services": http(200, b'{"success":true}'),
    "create_integration_token": http(201, CREATED),
    "connect": http(200, CREATED),
}


async def answer_all(peer: Conversation) -> None:
    while True:
        method, path, _ = (await peer.request()).split(" ", 2)
        posts_or_connects = "/connect" in path
        peer.send(
            http(201, CREATED)
            if posts_or_connects
            else SUCCESS[{"GET": "list_services"}.get(method, "delete_services")]
        )


# A limiter's own TimeoutError.


class LimiterThatTimesOut:
    """A limiter that raises its own TimeoutError."""

    def __init__(self, *, on_entering: bool) -> None:
        self.on_entering = on_entering

    async def __aenter__(self) -> None:
        if self.on_entering:
            raise TimeoutError("the limiter's own")

    async def __aexit__(self, *_: object) -> None:
        raise TimeoutError("the limiter's own")


@every_kind
@pytest.mark.parametrize("attempt_timeout", [None, 10.0])
@pytest.mark.parametrize("on_entering", [True, False])
def test_a_timeout_error_of_the_limiter_is_raised_unchanged(
    on_entering: bool, attempt_timeout: float | None, kind: str
) -> None:
    limiter, retry = LimiterThatTimesOut(on_entering=on_entering), RetryPolicy(attempt_timeout=attempt_timeout)
    with subject_and_server(kind, answer_all, limiter=limiter, retry=retry) as (caller, server):
        for operation, arguments in CALLS.items():
            with pytest.raises(TimeoutError, match="the limiter's own") as caught:
                caller.call(operation, *arguments)
            assert not isinstance(caught.value, APITimeoutError)
        for operation in FLEETS:
            with pytest.raises(TimeoutError, match="the limiter's own"):
                caller.collect(operation, ACCOUNTS[:1])
        assert len(server.requests) == (0 if on_entering else 6)


# Waiting for a connection.


@every_kind
@pytest.mark.parametrize("operation", CALLS)
def test_a_call_without_a_connection_in_time_was_not_sent(operation: str, kind: str) -> None:
    is_held, release = threading.Event(), threading.Event()

    async def script(peer: Conversation) -> None:
        await peer.request()
        is_held.set()
        await asyncio.to_thread(release.wait, PATIENCE)
        peer.send(SUCCESS[operation])

    with subject_and_server(kind, script, limit=1, timeout=PATIENCE) as (caller, server):
        first = caller.begin(operation)
        caller.wait_for(is_held)
        with pytest.raises(APITimeoutError, match="while waiting for a free connection") as caught:
            caller.call(operation, *CALLS[operation], timeout=0.05)
        release.set()
        first()
    assert (caught.value.phase, caught.value.may_have_acted) == ("waiting for a free connection", False)
    assert len(server.requests) == 1


@every_kind
@pytest.mark.parametrize("operation", FLEETS)
def test_a_fleet_does_not_count_waiting_for_a_connection(operation: str, kind: str) -> None:
    """Each response takes 1.2 s, the timeout is 2 s, and six accounts share one connection."""
    loop = SteppedLoop()

    async def script(peer: Conversation) -> None:
        while True:
            head = await peer.request()
            loop.advance(1.2)
            peer.send(http(200, LISTED if head.startswith("GET") else b'{"success":true}'))

    with subject_and_server(kind, script, limit=1, loop=loop, respect_rate_limits=False) as (caller, server):
        results = caller.collect(operation, ACCOUNTS, concurrency=6, timeout=2)
    assert [result.error for result in results] == [None] * 6
    assert len(server.requests) == 6


# Half-open paths. A caller's session has its own sockets and its own time for idle connections.


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@kinds_with_own_sockets
@pytest.mark.parametrize(("idle", "connections"), [(3.9, 1), (4.1, 2)])
def test_a_connection_idle_for_four_seconds_is_not_reused(
    monkeypatch: pytest.MonkeyPatch, idle: float, connections: int, kind: str
) -> None:
    clock = Clock()
    monkeypatch.setattr("aiohttp.connector.monotonic", clock)
    made = 0

    async def script(peer: Conversation) -> None:
        nonlocal made
        made += 1
        await answer_all(peer)

    with subject_and_server(kind, script) as (caller, _):
        caller.call("list_services")
        clock.now += idle
        caller.call("create_integration_token")
    assert made == connections


@pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="names and values of the options are Linux's")
@kinds_with_own_sockets
def test_sockets_detect_a_dead_path_within_20_seconds(kind: str) -> None:
    with subject_and_server(kind, answer_all) as (caller, _):
        caller.call("list_services")
        client = caller.client._async if kind == "sync" else caller.client
        (connection,) = client._core.transport._sockets
        tcp = [
            connection.getsockopt(socket.IPPROTO_TCP, option)
            for option in (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT, socket.TCP_USER_TIMEOUT)
        ]
        assert tcp == [5, 5, 3, 20_000]
        assert connection.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) != 0


# Short outages.


@contextlib.contextmanager
def refusing_socket() -> Iterator[socket.socket]:
    """Yields a bound socket that refuses connections until it listens."""
    with socket.socket() as stopped:
        stopped.bind(("127.0.0.1", 0))
        yield stopped


def address(server: socket.socket) -> str:
    return f"http://127.0.0.1:{server.getsockname()[1]}/v4"


def with_jumps(loop: SteppedLoop, at: Callable[[float], object] = lambda _: None) -> RetryPolicy:
    """Returns the default policy with delays that take no time; `at` is called with the time after each."""
    started = loop.time()

    def jump(delay: float) -> None:
        loop.advance(delay)
        at(loop.time() - started)

    def on_retry(event: RetryEvent) -> None:
        loop.call_soon(jump, event.delay)  # in the iteration in which the delay begins

    return RetryPolicy(on_retry=on_retry)


@every_kind
@pytest.mark.parametrize("operation", CALLS)
def test_a_refused_connection_is_tried_five_times(operation: str, kind: str) -> None:
    loop = SteppedLoop()
    with (
        refusing_socket() as stopped,
        subject(kind, address(stopped), loop=loop, retry=with_jumps(loop)) as caller,
        pytest.raises(APIConnectionError, match="cannot connect") as caught,
    ):
        caller.call(operation, *CALLS[operation])
    assert (caught.value.attempts, caught.value.may_have_acted) == (5, False)


@every_kind
@pytest.mark.parametrize("jitter", [0.0, 1.0])
@pytest.mark.parametrize("operation", CALLS)
def test_calls_survive_an_outage_of_1500_ms(
    monkeypatch: pytest.MonkeyPatch, operation: str, jitter: float, kind: str
) -> None:
    monkeypatch.setattr("random.random", lambda: jitter)
    loop = SteppedLoop()
    requests: list[bytes] = []

    def serve() -> None:
        connection, _ = stopped.accept()
        with connection:
            requests.append(connection.recv(65536))
            connection.sendall(SUCCESS[operation])

    threads: list[InThread[None]] = []

    def listen(elapsed: float) -> None:
        if elapsed >= 1.5 and not threads:
            stopped.listen()
            threads.append(InThread(serve))

    with (
        refusing_socket() as stopped,
        subject(kind, address(stopped), loop=loop, retry=with_jumps(loop, listen)) as caller,
    ):
        caller.call(operation, *CALLS[operation])
        threads[0].result()
    assert len(requests) == 1


@every_kind
@pytest.mark.parametrize("operation", FLEETS)
def test_a_run_survives_a_short_outage(operation: str, kind: str) -> None:
    loop = SteppedLoop()
    body = LISTED if operation == "list_services_in" else b'{"success":true}'

    def serve() -> None:
        for _ in ACCOUNTS:
            connection, _ = stopped.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(http(200, body, "Connection: close\r\n"))

    threads: list[InThread[None]] = []

    def listen(elapsed: float) -> None:
        if elapsed >= 1.5 and not threads:
            stopped.listen()
            threads.append(InThread(serve))

    retry = with_jumps(loop, listen)
    with refusing_socket() as stopped, subject(kind, address(stopped), loop=loop, retry=retry) as caller:
        # One call at a time, because the delays of several would add up.
        results = caller.collect(operation, ACCOUNTS, concurrency=1)
        threads[0].result()
    assert [result.error for result in results] == [None] * len(ACCOUNTS)


@every_kind
@pytest.mark.parametrize(("jitter", "delays"), [(0.0, [0.25, 0.5, 1.0, 2.0]), (1.0, [0.5, 1.0, 2.0, 4.0])])
def test_delays_have_a_floor_of_half(
    monkeypatch: pytest.MonkeyPatch, jitter: float, delays: list[float], kind: str
) -> None:
    monkeypatch.setattr("random.random", lambda: jitter)
    loop, ends = SteppedLoop(), [0.0]
    retry = with_jumps(loop, lambda _: ends.append(loop.ahead))
    with (
        refusing_socket() as stopped,
        subject(kind, address(stopped), loop=loop, retry=retry) as caller,
        pytest.raises(APIConnectionError),
    ):
        caller.call("list_services")
    assert [later - earlier for earlier, later in itertools.pairwise(ends)] == delays


# Standstill: a signal handler blocks the process for longer than the deadline, like SIGSTOP.


@pytest.mark.skipif(not hasattr(signal, "SIGUSR1"), reason="the system has no signals")
@every_kind
@pytest.mark.parametrize("limits", [{"timeout": 5}, {"timeout": 600, "retry": RetryPolicy(attempt_timeout=5)}])
@pytest.mark.parametrize("operation", CALLS)
def test_a_response_during_a_standstill_is_returned(operation: str, limits: dict[str, Any], kind: str) -> None:
    loop, is_answered = SteppedLoop(), threading.Event()

    def stand_still(*_: object) -> None:
        assert is_answered.wait(PATIENCE)
        loop.ahead += 60

    async def script(peer: Conversation) -> None:
        await peer.request()
        os.kill(os.getpid(), signal.SIGUSR1)
        peer.send(SUCCESS[operation])
        is_answered.set()
        await peer.wait_closed()

    former = signal.signal(signal.SIGUSR1, stand_still)
    try:
        with subject_and_server(kind, script, loop=loop, **limits) as (caller, server):
            caller.call(operation, *CALLS[operation])
    finally:
        signal.signal(signal.SIGUSR1, former)
    assert loop.ahead == 60
    assert len(server.requests) == 1


@every_kind
@pytest.mark.parametrize("operation", CALLS)
def test_a_call_without_a_response_ends_after_a_standstill(operation: str, kind: str) -> None:
    loop = SteppedLoop()

    async def script(peer: Conversation) -> None:
        await peer.request()
        loop.advance(60)
        await peer.wait_closed()

    with (
        subject_and_server(kind, script, loop=loop, timeout=50) as (caller, _),
        pytest.raises(APITimeoutError) as caught,
    ):
        caller.call(operation, *CALLS[operation])
    assert caught.value.may_have_acted is True
    assert caught.value.phase == "waiting for the response"


@every_kind
@pytest.mark.parametrize("operation", FLEETS)
def test_a_run_does_not_count_time_that_its_consumer_blocks(operation: str, kind: str) -> None:
    """The consumer takes 60 s for the first result; the other responses arrive after the loop has run again."""
    loop, body = SteppedLoop(), LISTED if operation == "list_services_in" else b'{"success":true}'
    is_running, errors = threading.Event(), []

    async def script(peer: Conversation) -> None:
        while True:
            await peer.request()
            if len(peer.server.requests) > 1:
                await asyncio.to_thread(is_running.wait, PATIENCE)
            peer.send(http(200, body))

    def consume(result: Any) -> None:
        errors.append(result.error)
        if len(errors) == 1:
            loop.ahead += 60
            loop.call_soon_threadsafe(loop.call_later, 0.02, is_running.set)

    async def consume_asynchronously(results: Any) -> None:
        async for result in results:
            consume(result)

    with subject_and_server(kind, script, loop=loop, timeout=5) as (caller, _):
        results = getattr(caller.client, operation)(ACCOUNTS, concurrency=2)
        if kind == "sync":
            for result in results:
                consume(result)
        else:
            loop.run_until_complete(consume_asynchronously(results))
    assert errors == [None] * len(ACCOUNTS)


# Results of runs that end early, of closed clients, and of responses that cannot be read.


class LimiterThatFailsForTheThird:
    """A limiter that admits two, and raises at the third after both were sent."""

    def __init__(self) -> None:
        self.entered = 0
        self.are_sent, self.has_failed = threading.Event(), threading.Event()

    async def __aenter__(self) -> None:
        self.entered += 1
        if self.entered == 3:
            await asyncio.to_thread(self.are_sent.wait, PATIENCE)
            self.has_failed.set()
            raise LookupError("the limiter's")

    async def __aexit__(self, *_: object) -> None: ...


@every_kind
@pytest.mark.parametrize("ordered", [True, False])
@pytest.mark.parametrize("operation", FLEETS)
def test_a_failing_run_first_yields_what_was_sent(operation: str, ordered: bool, kind: str) -> None:
    limiter, results = LimiterThatFailsForTheThird(), []

    async def script(peer: Conversation) -> None:
        head = await peer.request()
        if len(peer.server.requests) == 2:
            limiter.are_sent.set()
        await asyncio.to_thread(limiter.has_failed.wait, PATIENCE)
        peer.send(http(200, LISTED if head.startswith("GET") else b'{"success":true}'))

    async def consume(run: Any) -> None:
        async for result in run:
            results.append(result)  # noqa: PERF401  # keeps the results before the error

    # Without respect for the quota, because a run without a known quota sends its first request alone.
    options = {"limiter": limiter, "respect_rate_limits": False}
    with subject_and_server(kind, script, **options) as (caller, server):
        run = getattr(caller.client, operation)(ACCOUNTS, concurrency=3, ordered=ordered)
        with pytest.raises(LookupError):
            results.extend(run) if kind == "sync" else caller.loop.run_until_complete(consume(run))
    assert [result.error for result in results] == [None] * 2
    assert {result.account_id for result in results} == set(ACCOUNTS[:2])
    assert len(server.requests) == 2


@every_kind
@pytest.mark.parametrize("operation", CALLS)
def test_closing_reports_whether_a_request_may_have_acted(operation: str, kind: str) -> None:
    is_sent = threading.Event()

    async def script(peer: Conversation) -> None:
        await peer.request()
        is_sent.set()
        await peer.wait_closed()

    with subject_and_server(kind, script) as (caller, _):
        result = caller.begin(operation)
        caller.wait_for(is_sent)
        caller.close()
        with pytest.raises(ClientClosedError) as caught:
            result()
        with pytest.raises(ClientClosedError) as refused:
            caller.call(operation, *CALLS[operation])
    assert caught.value.may_have_acted is True
    assert ("carried out nevertheless" in str(caught.value)) is (operation in NOT_REPLAY_SAFE)
    assert refused.value.may_have_acted is False


@every_kind
@pytest.mark.parametrize("operation", NOT_REPLAY_SAFE)
def test_a_bug_in_reading_a_response_reports_the_doubt(
    operation: str, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise TypeError("not what this version of a dependency takes")

    monkeypatch.setattr("pagerduty_alerting._pacer.observe", fail)
    with (
        subject_and_server(kind, answer_all) as (caller, _),
        pytest.raises(APIResponseValidationError, match="carried out nevertheless") as caught,
    ):
        caller.call(operation, *CALLS[operation])
    assert caught.value.may_have_acted is True


# The quota.


@every_kind
@pytest.mark.parametrize("operation", CALLS)
def test_a_bare_429_fails_at_once_and_blocks_nothing(operation: str, kind: str) -> None:
    async def script(peer: Conversation) -> None:
        await peer.request()
        peer.send(http(429))
        await peer.request()
        peer.send(SUCCESS[operation])

    with subject_and_server(kind, script, retry=RetryPolicy()) as (caller, server):
        with pytest.raises(RateLimitError, match="429") as caught:
            caller.call(operation, *CALLS[operation])
        assert (caught.value.attempts, len(server.requests)) == (1, 1)
        caller.call(operation, *CALLS[operation])


@every_kind
@pytest.mark.parametrize("operation", FLEETS)
def test_runs_that_are_left_early_never_exceed_the_quota(operation: str, kind: str) -> None:
    """Of eight requests, five are cancelled; three of these are sent, and counted, after the last response."""
    loop = VirtualTimeLoop(0.01, longest=1000)
    limits = RateLimits(requests=16, window=60, per_second=None)
    with (
        Emulator(clock=loop.time, rate_limits=limits) as api,
        subject(kind, api.url, loop=loop, api_token=api.api_token, timeout=100_000) as caller,
    ):
        accounts = [api.add_account() for _ in range(8)]
        api.on().when(lambda request: request.account_id in accounts[2:4] + accounts[5:]).hang()
        api.on().when(lambda request: request.account_id == accounts[4]).latency(0.1)
        for _ in range(5):
            run = getattr(caller.client, operation)(accounts, concurrency=8)
            if kind == "sync":
                assert [next(run).error for _ in range(3)] == [None] * 3
                run.close()
            else:
                assert [loop.run_until_complete(anext(run)).error for _ in range(3)] == [None] * 3
                loop.run_until_complete(run.aclose())
        assert {request.status for request in api.requests} <= {200, None}
        assert api.requests.total > 5 * 5
