"""A client that alone uses a quota never exceeds it, even if a third of its calls is cancelled; in virtual time."""

import asyncio
import contextlib
import random
import time
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from attrs import define, field

from pagerduty_alerting import APIConnectionError, APITimeoutError, AsyncClient, Client, RateLimitError
from pagerduty_alerting._pacer import Pacer
from pagerduty_alerting.emulator import Emulator, RateLimits, RecordedRequest
from tests.support.operations import ACCOUNT_ID
from tests.support.raw_calls import client_of
from tests.support.raw_server import LISTED, Conversation, RawServer, http, raw_server
from tests.support.requests_and_answers import answer
from tests.support.virtual_time import SteppedLoop, virtual_time_loop

QUOTA = 60
CALLS = 200
LONG_TIMEOUT = 100_000.0  # seconds, longer than any wait

in_virtual_time = pytest.mark.virtual_time(patience=0)


def now() -> float:
    return asyncio.get_running_loop().time()


def limited(requests: int = QUOTA) -> Emulator:
    """Returns an emulator with a quota for each minute, on the clock of the loop."""
    return Emulator(clock=now, rate_limits=RateLimits(requests=requests, window=60, per_second=None))


def statuses(api: Emulator) -> dict[int | None, int]:
    """Returns how many requests got each status; None stands for those whose client had disconnected."""
    return Counter(request.status for request in api.requests)


@contextlib.asynccontextmanager
async def client_for(api: Emulator | RawServer, session_of: str, **changes: Any) -> AsyncIterator[AsyncClient]:
    """Yields a client with its own session or the caller's."""
    options = {"base_url": api.url, "api_token": "test", "account_id": ACCOUNT_ID, **changes}
    if isinstance(api, Emulator):
        options |= {"api_token": api.api_token, "account_id": api.account_id}
    async with contextlib.AsyncExitStack() as stack:
        if session_of == "the caller":
            connections = aiohttp.TCPConnector(limit=0)
            options["session"] = await stack.enter_async_context(aiohttp.ClientSession(connector=connections))
        yield await stack.enter_async_context(AsyncClient(**options))


@define(eq=False)
class Admissions:
    """A limiter that limits nothing. It is entered after the quota has admitted a request, just before it is sent."""

    watched: dict[asyncio.Task[Any] | None, asyncio.Event] = field(factory=dict)

    async def __aenter__(self) -> None:
        if asyncio.current_task() in self.watched:
            self.watched[asyncio.current_task()].set()

    async def __aexit__(self, *exc_info: object) -> None: ...

    async def call_and_cancel(self, client: AsyncClient, turns: int) -> None:
        """Cancels a call some turns of the loop after its admission."""
        task = asyncio.create_task(client.list_services())
        self.watched[task] = admitted = asyncio.Event()
        await admitted.wait()
        del self.watched[task]
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])


@in_virtual_time
@pytest.mark.parametrize("session_of", ["the client", "the caller"])
@pytest.mark.parametrize("latency", [0.0, 0.05])
@pytest.mark.parametrize("callers", [4, 100])
async def test_calls_never_exceed_the_quota_when_a_third_is_cancelled(
    callers: int, latency: float, session_of: str
) -> None:
    admissions = Admissions()
    rng = random.Random(callers)
    numbers = iter(range(CALLS))
    async with limited() as api, client_for(api, session_of, limiter=admissions, timeout=LONG_TIMEOUT) as client:
        if latency:
            api.on().latency(latency)

        async def caller() -> None:
            for number in numbers:
                if number % 3 == 2:
                    await admissions.call_and_cancel(client, rng.randrange(5, 25))
                else:
                    # As a task, so that it is not admitted before the others.
                    assert await asyncio.create_task(client.list_services()) == []

        await asyncio.gather(*(caller() for _ in range(callers)))
        assert set(statuses(api)) <= {200, None}
        assert api.requests.total > CALLS * 0.9  # most requests of cancelled calls were sent
        assert client._core.pacer._under_way == 0


@in_virtual_time
@pytest.mark.parametrize("session_of", ["the client", "the caller"])
async def test_fleets_never_exceed_the_quota_when_they_are_left_early(session_of: str) -> None:
    async with limited() as api, client_for(api, session_of) as client:
        api.on().latency(0.05)
        accounts = [api.add_account() for _ in range(50)]
        for _ in range(20):
            async with contextlib.aclosing(client.list_services_in(accounts, concurrency=20)) as results:
                assert [(await anext(results)).error for _ in range(5)] == [None] * 5
        assert set(statuses(api)) <= {200, None}
        assert api.requests.total > 20 * 5
        assert client._core.pacer._under_way == 0


@in_virtual_time
@pytest.mark.parametrize("session_of", ["the client", "the caller"])
@pytest.mark.parametrize("late", [0.0, 0.05, 0.9])
async def test_a_cancelled_request_counts_until_the_api_has_read_it(late: float, session_of: str) -> None:
    """The API answers requests on connections that it knows before it reads one on a new connection."""
    counted = 0

    async def script(peer: Conversation) -> None:
        nonlocal counted
        if counted:
            await asyncio.sleep(late)
        while True:
            await peer.request()
            counted += 1
            await asyncio.sleep(0.01)
            headers = f'Ratelimit: "default";r={max(0, 8 - counted)};t=60\r\n'
            peer.send(http(200 if counted <= 8 else 429, LISTED, headers))

    admissions = Admissions()
    async with raw_server(script) as server, client_for(server, session_of, limiter=admissions) as client:
        await client.list_services()
        on_the_known_connection = asyncio.create_task(client.list_services())
        await admissions.call_and_cancel(client, 10)
        await on_the_known_connection
        await client.list_services()
        outcomes = await asyncio.gather(*(client.list_services() for _ in range(8)), return_exceptions=True)
        await asyncio.sleep(1)
    sent = [outcome for outcome in outcomes if not isinstance(outcome, RateLimitError)]
    assert len(sent) in {3, 4}  # the cancelled request may count twice
    assert counted == 4 + len(sent)


def test_synchronous_calls_never_exceed_the_quota_when_a_third_times_out() -> None:
    loop = SteppedLoop()
    began = time.monotonic()
    ends: Counter[str] = Counter()

    def hangs(request: RecordedRequest) -> bool:
        """Advances the client's clock past the deadline of a call, once its request has been counted."""
        if request.account_id != hanging:
            return False
        loop.advance(1.5)
        return True

    limits = RateLimits(requests=QUOTA, window=60, per_second=None)
    with (
        Emulator(clock=loop.time, rate_limits=limits) as api,
        Client(base_url=api.url, api_token=api.api_token, account_id=api.account_id) as client,
    ):
        client._runner._make_loop = lambda: loop
        hanging = api.add_account()
        api.on().when(hangs).hang()
        for number in range(CALLS):
            while True:
                try:
                    if number % 3 == 2:
                        with pytest.raises(APITimeoutError):
                            client.list_services(account_id=hanging, timeout=1)
                        ends["too late"] += 1
                    else:
                        ends["answered"] += len(client.list_services(timeout=30)) + 1
                except RateLimitError as error:
                    if error.attempts:  # refused by the server
                        raise
                    ends["held back"] += 1
                    loop.advance((error.retry_after or 0) + 0.1)
                else:
                    break
        assert set(statuses(api)) <= {200, None}
        assert api.requests.total == CALLS
        assert client._async._core.pacer._under_way == 0
    assert ends["too late"] == CALLS // 3
    # On a machine that takes minutes, windows end by themselves.
    assert ends["held back"] >= 3 or time.monotonic() - began > 60


# An outage: requests without a response count, but not for ever.


async def fail_until_held_back(client: AsyncClient) -> None:
    try:
        while True:
            with pytest.raises(APIConnectionError):
                await client.list_services()
    except RateLimitError as error:
        if error.attempts:
            raise


@in_virtual_time
async def test_calls_continue_after_an_outage_longer_than_a_window() -> None:
    is_down = False

    async def script(peer: Conversation) -> None:
        while True:
            await peer.request()
            if is_down:
                peer.reset()
                return
            peer.send(http(200, LISTED, 'Ratelimit: "default";r=9;t=60\r\nRatelimit-Policy: "default";q=10;w=60\r\n'))

    async with client_of(script) as (client, server):
        await client.list_services()
        is_down = True
        for _ in range(3):
            await fail_until_held_back(client)
            await asyncio.sleep(62)
        assert len(server.requests) == 1 + 9 + 10 + 10
        is_down = False
        assert len(await client.list_services()) == 1


@in_virtual_time
async def test_calls_are_sent_although_no_request_ever_got_a_response() -> None:
    is_down = True

    async def script(peer: Conversation) -> None:
        await peer.request()
        if is_down:
            peer.reset()
        else:
            peer.send(http(200, LISTED))

    async with client_of(script) as (client, server):
        outcomes = await asyncio.gather(*(client.list_services() for _ in range(80)), return_exceptions=True)
        assert {type(outcome) for outcome in outcomes} == {APIConnectionError}
        assert len(server.requests) == 80
        is_down = False
        assert len(await client.list_services()) == 1


# The pacer by itself.


def admit(pacer: Pacer) -> int:
    """Asks the pacer to admit a request."""
    return pacer.admit(asyncio.get_running_loop(), now())


def end_without_response(pacer: Pacer, ticket: int) -> int:
    """Ends a request that was sent, without a response."""
    pacer.settle(ticket, is_unanswered=True)
    return ticket


@in_virtual_time
async def test_requests_that_ended_without_a_response_count_among_the_first_fifty() -> None:
    pacer = Pacer()
    tickets = [admit(pacer) for _ in range(50)]
    for ticket in tickets[1:]:
        end_without_response(pacer, ticket)
    assert not admit(pacer)
    end_without_response(pacer, tickets[0])
    assert admit(pacer)  # nothing else is under way
    assert not admit(pacer)


@in_virtual_time
@pytest.mark.parametrize(("before_the_reset", "left"), [(30, 3), (1, 2)])
async def test_a_request_without_a_response_counts_in_the_next_window_only_near_the_reset(
    before_the_reset: float, left: int
) -> None:
    pacer = Pacer()
    first = admit(pacer)
    pacer.learn(first, answer(200, headers={"Ratelimit": '"q";r=2;t=59', "Ratelimit-Policy": '"q";q=3;w=60'}), now())
    pacer.settle(first, is_unanswered=False)
    await asyncio.sleep(60 - before_the_reset)
    end_without_response(pacer, admit(pacer))
    await asyncio.sleep(before_the_reset + 0.1)
    assert [bool(admit(pacer)) for _ in range(3)] == [True] * left + [False] * (3 - left)


def test_requests_of_a_closed_loop_count_on_the_next_loop() -> None:
    pacer = Pacer()

    async def leave() -> None:
        first = admit(pacer)
        pacer.learn(first, answer(200, headers={"Ratelimit": '"default";r=2;t=60'}), now())
        pacer.settle(first, is_unanswered=False)
        assert admit(pacer)

    async def go_on() -> None:
        assert admit(pacer)
        assert not admit(pacer)

    for main in (leave, go_on):
        with asyncio.Runner(loop_factory=virtual_time_loop()) as runner:
            runner.run(main())


def test_a_request_may_end_after_its_loop_has_stopped() -> None:
    """The garbage collector may close the coroutine of a request at that time."""
    pacer = Pacer()

    async def leave() -> int:
        return admit(pacer)

    async def go_on() -> int:
        return len([None for _ in range(60) if admit(pacer)])

    loop = virtual_time_loop()()
    ticket = loop.run_until_complete(leave())
    end_without_response(pacer, ticket)
    assert loop.run_until_complete(go_on()) == 49
    loop.close()
