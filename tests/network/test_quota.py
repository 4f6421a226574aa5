"""Calls are held back while the quota that the API reports is used up; in virtual time."""

import asyncio
import email.utils
import math
import time
from typing import Any

import aiohttp
import pytest
from attrs import define, field

from pagerduty_alerting import (
    APITimeoutError,
    AsyncClient,
    RateLimit,
    RateLimitError,
    RateLimitPolicy,
    RateLimits,
    RetryPolicy,
)
from pagerduty_alerting._pacer import Pacer
from pagerduty_alerting._protocol.answer import RawResponse
from tests.support.raw_calls import client_of, settings
from tests.support.raw_server import LISTED, Conversation, answering, http, raw_server
from tests.support.requests_and_answers import answer
from tests.support.virtual_time import virtual_time_loop

pytestmark = pytest.mark.virtual_time


def now() -> float:
    return asyncio.get_running_loop().time()


@define
class QuotaServer:
    """A server that limits requests like Cloudflare: a number in each window, reported in every response."""

    per_window: int
    window: float = 60.0
    sends_policy: bool = True
    latency: float = 0.0
    used: int = 0
    ends_at: float = 0.0
    refused: int = 0
    arrivals: list[float] = field(factory=list)

    async def script(self, peer: Conversation) -> None:
        while True:
            await peer.request()
            if now() >= self.ends_at:
                self.used, self.ends_at = 0, now() + self.window
            self.arrivals.append(now())
            self.used += 1
            left = int(self.ends_at - now())  # rounded down, which is the worse case for a client
            headers = f'Ratelimit: "default";r={max(0, self.per_window - self.used)};t={left}\r\n'
            if self.sends_policy:
                headers += f'Ratelimit-Policy: "default";q={self.per_window};w={self.window:.0f}\r\n'
            if self.latency:
                await asyncio.sleep(self.latency)
            if self.used > self.per_window:
                self.refused += 1
                peer.send(http(429, headers=f"{headers}Retry-After: 300\r\n"))
            else:
                peer.send(http(200, LISTED, headers))


@pytest.mark.parametrize("sends_policy", [True, False])
@pytest.mark.parametrize("latency", [0.0, 0.5])
async def test_calls_beyond_the_quota_wait_for_the_next_window(sends_policy: bool, latency: float) -> None:
    quota = QuotaServer(11, sends_policy=sends_policy, latency=latency)
    async with client_of(quota.script, timeout=200) as (client, _):
        await client.list_services()  # its response reports that ten are left
        started = now()
        results = await asyncio.gather(*(client.list_services() for _ in range(16)))
    assert [len(result) for result in results] == [1] * 16
    assert quota.refused == 0
    waited = [arrival - started for arrival in quota.arrivals[1:]]
    assert len([seconds for seconds in waited if seconds < 5]) == 10
    assert len([seconds for seconds in waited if seconds >= 58]) == 6


async def test_a_long_queue_is_spread_over_several_windows() -> None:
    quota = QuotaServer(10, window=10)
    async with client_of(quota.script, timeout=500) as (client, _):
        await client.list_services()
        await asyncio.gather(*(client.list_services() for _ in range(55)))
    assert quota.refused == 0
    assert len(quota.arrivals) == 56


async def test_waiting_calls_are_sent_in_order() -> None:
    quota = QuotaServer(2, window=10)
    order: list[int] = []

    async def numbered(number: int) -> None:
        await client.list_services()
        order.append(number)

    async with client_of(quota.script, timeout=500) as (client, _):
        await client.list_services()
        await asyncio.gather(*(numbered(number) for number in range(9)))
    assert order == sorted(order)


async def test_respect_for_the_quota_can_be_turned_off() -> None:
    quota = QuotaServer(3)
    async with client_of(quota.script, respect_rate_limits=False) as (client, _):
        outcomes = await asyncio.gather(*(client.list_services() for _ in range(5)), return_exceptions=True)
    assert quota.refused == 2
    assert len([outcome for outcome in outcomes if isinstance(outcome, RateLimitError)]) == 2


async def test_a_call_that_would_wait_past_its_deadline_fails_at_once_and_is_not_sent() -> None:
    async with client_of(answering(http(200, LISTED, 'Ratelimit: "default";r=0;t=60\r\n'))) as (client, server):
        await client.list_services()
        started = now()
        with pytest.raises(RateLimitError, match="not sent") as caught:
            await client.list_services(timeout=30)
        assert now() - started < 1
        assert len(server.requests) == 1
    assert 59 <= (caught.value.retry_after or 0) <= 61
    assert caught.value.attempts == 0
    assert caught.value.status == 429


async def test_waiting_for_the_quota_counts_against_the_deadline() -> None:
    """One request is left and one is under way, whose response may report more quota, but never arrives."""

    async def script(peer: Conversation) -> None:
        await peer.request()
        peer.send(http(200, LISTED, 'Ratelimit: "default";r=1;t=60\r\n'))
        await peer.request()
        await peer.wait_closed()

    async with client_of(script) as (client, server):
        await client.list_services()
        first = asyncio.ensure_future(client.list_services(timeout=100))
        await asyncio.sleep(1)
        with pytest.raises(APITimeoutError, match="while waiting for the rate limit") as caught:
            await client.list_services(timeout=10)
        first.cancel()
        await asyncio.wait([first])
    assert caught.value.phase == "waiting for the rate limit"
    assert caught.value.may_have_acted is False
    assert caught.value.attempts == 0
    assert len(server.requests) == 2


async def test_waiting_calls_fail_as_soon_as_a_response_reports_a_longer_wait() -> None:
    answer = asyncio.Event()

    async def script(peer: Conversation) -> None:
        await peer.request()
        peer.send(http(200, LISTED, 'Ratelimit: "default";r=1;t=60\r\n'))
        await peer.request()
        await answer.wait()
        peer.send(http(429, headers="Retry-After: 300\r\n"))

    async with client_of(script) as (client, _):
        await client.list_services()
        first = asyncio.ensure_future(client.list_services(timeout=100))
        await asyncio.sleep(1)
        second = asyncio.ensure_future(client.list_services(timeout=80))
        await asyncio.sleep(1)
        started = now()
        answer.set()
        for task in (first, second):
            with pytest.raises(RateLimitError):
                await task
        assert now() - started < 2


async def test_a_waiting_call_is_sent_as_soon_as_a_response_reports_more_quota() -> None:
    answer = asyncio.Event()
    quota = iter([1, 5, 5])

    async def script(peer: Conversation) -> None:
        while True:
            await peer.request()
            left = next(quota)
            if left == 5:
                await answer.wait()
            # The remaining quota rises before the reported reset: a new window began.
            peer.send(http(200, LISTED, f'Ratelimit: "default";r={left};t={60 if left == 1 else 120}\r\n'))

    async with client_of(script, timeout=200) as (client, _):
        await client.list_services()
        first = asyncio.ensure_future(client.list_services())
        await asyncio.sleep(1)
        second = asyncio.ensure_future(client.list_services())
        await asyncio.sleep(1)
        assert not second.done()
        started = now()
        answer.set()
        await asyncio.gather(first, second)
        assert now() - started < 5


async def test_each_reported_quota_applies() -> None:
    first = 'Ratelimit: "burst";r=0;t=5, "default";r=1000;t=200\r\n'
    then = 'Ratelimit: "burst";r=99;t=5\r\nRatelimit: "default";r=0;t=190\r\n'
    async with client_of(answering(http(200, LISTED, first), http(200, LISTED, then))) as (client, _):
        await client.list_services()
        started = now()
        await client.list_services(timeout=30)
        assert 5 <= now() - started <= 8
        with pytest.raises(RateLimitError):
            await client.list_services(timeout=30)


async def test_a_block_holds_back_all_clients_that_share_connections() -> None:
    script = answering(http(429, headers="Retry-After: 120\r\n"))
    async with client_of(script) as (client, server):
        with pytest.raises(RateLimitError):
            await client.list_services()
        for sharing in (client, client.with_options(account_id="other")):
            with pytest.raises(RateLimitError, match="not sent") as caught:
                await sharing.delete_services()
            assert 119 <= (caught.value.retry_after or 0) <= 121
    assert len(server.requests) == 1


async def test_a_block_holds_back_all_clients_with_the_same_session_and_credentials() -> None:
    script = answering(http(429, headers="Retry-After: 120\r\n"))
    async with raw_server(script) as server, aiohttp.ClientSession() as session:
        one = AsyncClient(**settings(server.url, session=session))
        same = AsyncClient(**settings(server.url, session=session))
        other = AsyncClient(**settings(server.url, session=session, api_token="another-token"))
        with pytest.raises(RateLimitError):
            await one.list_services()
        with pytest.raises(RateLimitError, match="not sent"):
            await same.list_services()
        assert len(server.requests) == 1
        with pytest.raises(RateLimitError, match="429"):
            await other.list_services()
        assert len(server.requests) == 2


async def test_calls_continue_after_a_block() -> None:
    script = answering(http(429, headers="Retry-After: 20\r\n"), http(200, LISTED))
    async with client_of(script, timeout=60) as (client, _):
        with pytest.raises(RateLimitError):
            await client.list_services()
        started = now()
        assert len(await client.list_services()) == 1
        assert 19 <= now() - started <= 23


async def test_a_call_is_retried_after_a_block_that_ends_in_time() -> None:
    script = answering(http(429, headers="Retry-After: 20\r\n"), http(200, LISTED))
    async with client_of(script, timeout=60, retry=RetryPolicy()) as (client, _):
        response = await client.with_response.list_services()
    assert response.attempts == 2
    assert 19 <= response.elapsed <= 24


async def test_the_error_of_a_retry_that_the_quota_prevents_reports_earlier_attempts() -> None:
    script = answering(http(503, headers='Retry-After: 1\r\nRatelimit: "default";r=0;t=300\r\n'))
    async with client_of(script, timeout=60, retry=RetryPolicy()) as (client, _):
        with pytest.raises(RateLimitError, match="not sent") as caught:
            await client.list_services()
    assert caught.value.attempts == 1
    assert "failed with 503" in caught.value.__notes__[0]


async def test_requests_without_a_response_count_as_used() -> None:
    """Three are left. Two of them may have been counted although their connection broke, so one may be sent."""
    answers = iter([http(200, LISTED, 'Ratelimit: "default";r=3;t=60\r\n'), b"", b"", http(200, LISTED)])

    async def script(peer: Conversation) -> None:
        while True:
            await peer.request()
            answer = next(answers)
            if not answer:
                peer.reset()
                return
            peer.send(answer)

    async with client_of(script) as (client, server):
        await client.list_services()
        await asyncio.gather(*(client.list_services() for _ in range(2)), return_exceptions=True)
        await client.list_services()
        with pytest.raises(RateLimitError, match="not sent"):
            await client.list_services()
    assert len(server.requests) == 4


async def test_requests_that_were_never_sent_do_not_count_as_used() -> None:
    async with client_of(answering(http(200, LISTED, 'Ratelimit: "default";r=1;t=60\r\n'), keep_open=False)) as (
        client,
        server,
    ):
        await client.list_services()
        await asyncio.sleep(1)
        server.stop_listening()
        for _ in range(5):
            with pytest.raises(Exception, match="cannot connect"):
                await client.list_services()


@pytest.mark.parametrize("seconds", ["99999999999", "31536000"])
async def test_a_header_holds_a_client_back_for_an_hour_at_most(seconds: str) -> None:
    script = answering(http(200, LISTED, f'Ratelimit: "default";r=0;t={seconds}\r\n'))
    async with client_of(script) as (client, _):
        await client.list_services()
        with pytest.raises(RateLimitError) as caught:
            await client.list_services()
    assert 3600 < (caught.value.retry_after or 0) < 3602


async def test_the_number_of_remembered_quotas_is_limited() -> None:
    number = 0

    async def script(peer: Conversation) -> None:
        nonlocal number
        while True:
            await peer.request()
            number += 1
            peer.send(http(200, LISTED, f'Ratelimit: "q{number}";r=100;t=3000\r\n'))

    async with client_of(script) as (client, _):
        for _ in range(100):
            await client.list_services()
        assert len(client._core.pacer._quotas) <= 10


async def test_a_response_reports_the_quotas() -> None:
    headers = 'Ratelimit: "default";r=7;t=9\r\nRatelimit-Policy: "burst";q=100;w=60\r\n'
    async with client_of(answering(http(200, LISTED, headers))) as (client, _):
        response = await client.with_response.list_services()
    assert response.rate_limits == RateLimits((RateLimit("default", 7, 9.0),), (RateLimitPolicy("burst", 100, 60.0),))


# The pacer by itself, where the order of single turns of the loop matters.

ONE_LEFT = answer(200, headers={"Ratelimit": '"default";r=1;t=60'})
NONE_LEFT = answer(200, headers={"Ratelimit": '"default";r=0;t=60'})


def admit(pacer: Pacer, when: float | None = None) -> int:
    """Asks the pacer to admit a request, now or at a later time."""
    return pacer.admit(asyncio.get_running_loop(), now() if when is None else when)


def pacer_after(first: RawResponse) -> Pacer:
    pacer = Pacer()
    settle(pacer, admit(pacer), first)
    return pacer


def settle(pacer: Pacer, ticket: int, received: RawResponse | None) -> None:
    """Ends a request that was sent, with or without a response."""
    assert ticket
    if received is not None:
        pacer.learn(ticket, received, now())
    pacer.settle(ticket, is_unanswered=received is None)


async def test_a_call_cancelled_at_its_admission_gives_its_place_back() -> None:
    pacer = pacer_after(ONE_LEFT)
    ticket = admit(pacer)
    waiting = asyncio.ensure_future(pacer.wait_for_admission(now() + 300))
    await asyncio.sleep(0)
    settle(pacer, ticket, ONE_LEFT)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert admit(pacer)


async def test_a_new_call_does_not_overtake_waiting_calls() -> None:
    pacer = pacer_after(NONE_LEFT)
    waiting = asyncio.ensure_future(pacer.wait_for_admission(now() + 300))
    await asyncio.sleep(0)
    after_the_reset = now() + 70
    assert not admit(pacer, after_the_reset)
    ticket, too_long = await waiting
    assert ticket
    assert too_long == 0
    assert admit(pacer)


async def test_a_call_cancelled_at_its_admission_lets_the_next_one_proceed() -> None:
    pacer = pacer_after(ONE_LEFT)
    ticket = admit(pacer)
    first, second = (asyncio.ensure_future(pacer.wait_for_admission(now() + 300)) for _ in range(2))
    await asyncio.sleep(0)
    settle(pacer, ticket, ONE_LEFT)
    first.cancel()
    started = now()

    assert (await second)[0]
    assert now() - started < 1  # not only at the reset


async def test_a_request_without_a_response_counts_until_a_response_to_one_of_a_second_later() -> None:
    two_left = answer(200, headers={"Ratelimit": '"default";r=2;t=60'})
    pacer = pacer_after(two_left)
    settle(pacer, admit(pacer), None)
    for seconds in (0.0, 0.5, 0.4, 0.2):  # the API may not have counted it when these are answered
        await asyncio.sleep(seconds)
        later = admit(pacer)
        assert not admit(pacer)
        settle(pacer, later, two_left)
    settle(pacer, admit(pacer), two_left)
    assert admit(pacer)
    assert admit(pacer)


async def test_the_response_to_an_earlier_request_says_nothing_of_one_without() -> None:
    three_left = answer(200, headers={"Ratelimit": '"default";r=3;t=60'})
    pacer = pacer_after(three_left)
    cancelled, *earlier = (admit(pacer) for _ in range(3))
    settle(pacer, cancelled, None)
    for ticket in earlier:
        await asyncio.sleep(10)
        settle(pacer, ticket, three_left)
    assert [bool(admit(pacer)) for _ in range(3)] == [True, True, False]


async def test_before_the_first_response_at_most_fifty_requests_are_under_way() -> None:
    pacer = Pacer()
    tickets = [admit(pacer) for _ in range(50)]
    assert all(tickets)
    assert not admit(pacer)
    waiting = [asyncio.ensure_future(pacer.wait_for_admission(now() + 300)) for _ in range(3)]
    await asyncio.sleep(0)

    settle(pacer, tickets[0], answer(200))

    assert [bool(ticket) for ticket, _ in await asyncio.gather(*waiting)] == [True] * 3


async def test_a_call_cancelled_while_waiting_does_not_block_others() -> None:
    pacer = pacer_after(NONE_LEFT)
    waiting = asyncio.ensure_future(pacer.wait_for_admission(now() + 300))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert admit(pacer, now() + 70)


async def test_a_block_until_a_date_holds_back_until_then() -> None:
    in_two_minutes = email.utils.formatdate(time.time() + 120, usegmt=True)
    pacer = pacer_after(answer(429, headers={"Retry-After": in_two_minutes}))
    assert not admit(pacer)
    ticket, too_long = await pacer.wait_for_admission(now() + 30)
    assert ticket == 0
    assert 100 < too_long < 125


async def test_a_call_waits_while_a_response_under_way_may_report_more_quota() -> None:
    pacer = Pacer()
    first, second, third = (admit(pacer) for _ in range(3))
    settle(pacer, second, None)
    settle(pacer, first, ONE_LEFT)  # which the request without a response may have used
    waiting = asyncio.ensure_future(pacer.wait_for_admission(now() + 30))
    await asyncio.sleep(0)
    assert not waiting.done()
    settle(pacer, third, answer(200, headers={"Ratelimit": '"default";r=5;t=120'}))
    assert (await waiting)[0]


def test_waiters_can_be_finalized_after_their_loop_was_closed() -> None:
    pacer = Pacer()
    waiting = [pacer.wait_for_admission(math.inf) for _ in range(2)]

    async def leave_behind() -> None:
        settle(pacer, admit(pacer), NONE_LEFT)
        for coroutine in waiting:
            coroutine.send(None)

    with asyncio.Runner(loop_factory=virtual_time_loop()) as runner:
        runner.run(leave_behind())
    for coroutine in waiting:
        coroutine.close()


def test_waiters_of_a_closed_loop_do_not_hold_up_the_next_loop() -> None:
    """The coroutines of the closed loop are finalized while the next loop runs, and must not disturb it."""
    pacer = Pacer()
    abandoned: list[Any] = []

    async def leave_behind() -> None:
        settle(pacer, admit(pacer), answer(200, headers={"Ratelimit": '"default";r=2;t=1'}))
        abandoned.extend([admit(pacer), admit(pacer)])
        coroutine = pacer.wait_for_admission(now() + 300)
        coroutine.send(None)
        abandoned.append(coroutine)

    async def go_on() -> None:
        started = now()
        await asyncio.sleep(3)
        ticket = admit(pacer)
        assert ticket
        abandoned.pop().close()
        for old in abandoned:
            pacer.settle(old, is_unanswered=True)
        # Two of these may be used by the abandoned requests.
        settle(pacer, ticket, answer(200, headers={"Ratelimit": '"default";r=3;t=60'}))
        assert admit(pacer)
        assert not admit(pacer)
        assert now() - started < 4

    for main in (leave_behind, go_on):
        with asyncio.Runner(loop_factory=virtual_time_loop()) as runner:
            runner.run(main())
