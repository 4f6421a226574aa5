"""A run over many accounts stays within the quota, and takes hardly longer than that requires; in virtual time."""

import asyncio
import itertools
import math
from collections.abc import Iterator

import pytest
from attrs import define, field

from pagerduty_alerting import AsyncClient, RateLimitError, RetryPolicy
from pagerduty_alerting.emulator import Emulator, RateLimits
from tests.support.raw_calls import client_of
from tests.support.raw_server import LISTED, Conversation, answering, http
from tests.support.size import size

pytestmark = pytest.mark.virtual_time(patience=0)

ACCOUNT_IDS = [f"{number:032x}" for number in range(size(1_300, full=10_000))]
RETRIES = RetryPolicy()


def now() -> float:
    return asyncio.get_running_loop().time()


def emulator(per_second: int | None = 200) -> Emulator:
    """Returns an emulator with Cloudflare's limits, on the clock of the loop."""
    return Emulator(clock=now, rate_limits=RateLimits(per_second=per_second))


def client_for(api: Emulator) -> AsyncClient:
    return AsyncClient(base_url=api.url, api_token=api.api_token)


def statuses(api: Emulator) -> set[int | None]:
    return {request.status for request in api.requests}


async def test_a_run_takes_at_most_five_percent_longer_than_the_quota_requires() -> None:
    """The ideal is 1,200 requests in each window of 300 s, and the last ones at 200 per second."""
    windows, rest = divmod(len(ACCOUNT_IDS), 1200)
    ideal = windows * 300 + rest / 200
    async with emulator() as api, client_for(api) as client:
        for account_id in ACCOUNT_IDS:
            api.add_account(account_id)
        started = now()
        found = [result.account_id async for result in client.list_services_in(ACCOUNT_IDS)]
        seconds = now() - started
        assert statuses(api) == {200}
        assert api.requests.total == len(ACCOUNT_IDS)
    print(f"{len(found)} accounts: {seconds:.1f} s, ideal {ideal:.1f} s, {seconds / ideal - 1:+.2%}")
    assert sorted(found) == ACCOUNT_IDS
    assert seconds <= 1.05 * ideal


async def test_half_of_the_quota_is_used_without_spacing() -> None:
    async with emulator() as api, client_for(api) as client:
        accounts = [api.add_account() for _ in range(500)]
        started = now()
        assert len([result async for result in client.list_services_in(accounts)]) == 500
        assert now() - started < 10
        assert statuses(api) == {200}


async def test_the_other_half_of_the_quota_is_spread_over_the_window() -> None:
    async with emulator() as api, client_for(api) as client:
        accounts = [api.add_account() for _ in range(1190)]
        async for _ in client.list_services_in(accounts):
            pass
        arrivals = [request.at for request in api.requests]
    pauses = [later - earlier for earlier, later in itertools.pairwise(arrivals[610:])]
    assert min(pauses) > 0.3
    assert max(pauses) < 2
    assert 280 < arrivals[-1] - arrivals[0] <= 300


async def use_up(api: Emulator, leave: int) -> None:
    """Sends requests of another program until `leave` are left or, if that is negative, until it is blocked."""
    async with client_for(api).with_options(respect_rate_limits=False) as other:
        while True:
            try:
                response = await other.with_response.list_services(account_id=api.account_id)
            except RateLimitError:
                assert leave < 0
                return
            if response.rate_limits.limits[0].remaining == leave:
                return


async def test_a_run_does_not_start_with_more_requests_than_are_left() -> None:
    async with (
        emulator(per_second=None) as api,
        client_for(api) as client,
    ):
        accounts = [api.add_account() for _ in range(40)]
        await use_up(api, 3)
        api.on().latency(0.5)
        assert len([result async for result in client.list_services_in(accounts)]) == 40
        assert statuses(api) == {200}


async def test_a_run_continues_after_another_program_used_up_the_quota() -> None:
    async with (
        emulator(per_second=None) as api,
        client_for(api) as client,
    ):
        accounts = [api.add_account(services=["Database"]) for _ in range(100)]
        results = client.list_services_in(accounts, timeout=5)
        found = [await anext(results) for _ in range(20)]
        await use_up(api, -1)
        refused = len(api.requests.where(lambda request: request.status == 429))
        started = now()
        found += [result async for result in results]
        assert 295 < now() - started < 320
        assert {result.error for result in found} == {None}
        assert {result.account_id for result in found} == set(accounts)
        # Only requests that were under way.
        assert len(api.requests.where(lambda request: request.status == 429)) - refused <= 16


async def test_waiting_for_the_quota_does_not_count_against_the_timeout_in_a_run() -> None:
    left = iter([0, 100, 100])

    async def script(peer: Conversation) -> None:
        while True:
            await peer.request()
            peer.send(http(200, LISTED, f'Ratelimit: "default";r={next(left)};t=300\r\n'))

    async with client_of(script) as (client, server):
        started = now()
        results = [result async for result in client.list_services_in(["a", "b", "c"], timeout=5)]
        assert 300 <= now() - started <= 310
        assert [result.error for result in results] == [None] * 3
        assert len(server.requests) == 3


@pytest.mark.parametrize("respect_rate_limits", [True, False])
async def test_a_run_waits_for_the_end_of_a_block_that_is_longer_than_the_timeout(respect_rate_limits: bool) -> None:
    script = answering(http(429, headers="Retry-After: 300\r\n"), http(200, LISTED))
    async with client_of(script, retry=RETRIES, timeout=5, respect_rate_limits=respect_rate_limits) as (client, server):
        started = now()
        results = [result async for result in client.list_services_in(["a", "b"], concurrency=1)]
        assert 300 <= now() - started <= 310
        assert [result.error for result in results] == [None] * 2
        assert len(server.requests) == 3


async def test_a_block_is_the_error_of_an_account_if_the_policy_allows_no_retry() -> None:
    script = answering(http(429, headers="Retry-After: 300\r\n"))
    async with client_of(script) as (client, _):
        (result,) = [result async for result in client.list_services_in(["a"])]
    assert isinstance(result.error, RateLimitError)
    assert result.error.retry_after == 300


async def test_a_header_holds_a_run_back_for_an_hour_at_most() -> None:
    script = answering(http(429, headers="Retry-After: 99999999999\r\n"), http(200, LISTED))
    async with client_of(script, retry=RETRIES) as (client, _):
        started = now()
        (result,) = [result async for result in client.list_services_in(["a"])]
        assert now() - started < 3700
    assert result.error is None


async def test_waiting_after_a_server_error_counts_against_the_timeout() -> None:
    script = answering(http(503, headers="Retry-After: 60\r\n"))
    async with client_of(script, retry=RETRIES) as (client, server):
        started = now()
        (result,) = [result async for result in client.list_services_in(["a"], timeout=5)]
        assert now() - started < 5
        assert len(server.requests) == 1
    assert type(result.error).__name__ == "InternalServerError"


async def test_time_used_before_a_block_counts_against_the_timeout() -> None:
    """Three of five seconds have passed when the block begins, so two are left after it."""
    answers: Iterator[tuple[float, bytes]] = iter(
        [(3, http(429, headers="Retry-After: 300\r\n")), (math.inf, b"")],
    )

    async def script(peer: Conversation) -> None:
        while True:
            await peer.request()
            seconds, answer = next(answers)
            if not answer:
                await peer.wait_closed()
                return
            await asyncio.sleep(seconds)
            peer.send(answer)

    async with client_of(script, retry=RETRIES) as (client, _):
        started = now()
        (result,) = [result async for result in client.list_services_in(["a"], timeout=5)]
        assert 304.5 < now() - started < 306.5
    assert "no result within 5 s" in str(result.error)


async def test_closing_the_client_ends_a_run_that_waits_for_the_quota() -> None:
    script = answering(http(200, LISTED, 'Ratelimit: "default";r=0;t=300\r\n'))
    async with client_of(script) as (client, _):
        results = client.list_services_in(["a", "b", "c"])
        await anext(results)
        waiting = asyncio.ensure_future(anext(results))
        await asyncio.sleep(10)
        started = now()
        await client.aclose()
        with pytest.raises(Exception, match="the client was closed during"):
            await waiting
        assert now() - started < 1


async def test_without_respect_for_the_quota_requests_are_not_spaced() -> None:
    async with client_of(answering(http(200, LISTED)), respect_rate_limits=False) as (client, _):
        started = now()
        assert len([result async for result in client.list_services_in(ACCOUNT_IDS[:1000])]) == 1000
        assert now() - started < 5


# The caller's limiter.


@define
class Limiter:
    """Admits one at a time, each after some seconds, and records how it was used."""

    seconds: float = 0.0
    entered: int = 0
    inside: int = 0
    most_inside: int = 0
    _lock: asyncio.Lock = field(factory=asyncio.Lock)

    async def __aenter__(self) -> None:
        async with self._lock:
            await asyncio.sleep(self.seconds)
        self.entered += 1
        self.inside += 1
        self.most_inside = max(self.most_inside, self.inside)

    async def __aexit__(self, *exc_info: object) -> None:
        self.inside -= 1


async def test_a_limiter_is_entered_once_for_each_attempt() -> None:
    limiter = Limiter()
    script = answering(http(503), http(200, LISTED))
    async with client_of(script, retry=RetryPolicy(initial_delay=0.01), limiter=limiter) as (client, server):
        await client.list_services()
        assert len(server.requests) == 2
    assert (limiter.entered, limiter.inside) == (2, 0)


async def test_the_attempt_is_made_inside_the_limiter() -> None:
    limiter = Limiter()

    async def script(peer: Conversation) -> None:
        while True:
            await peer.request()
            assert limiter.inside > 0
            peer.send(http(200, LISTED))

    async with client_of(script, limiter=limiter) as (client, _):
        results = [result async for result in client.list_services_in(ACCOUNT_IDS[:20])]
    assert {result.error for result in results} == {None}
    assert (limiter.entered, limiter.inside) == (20, 0)


async def test_waiting_for_the_limiter_counts_against_the_timeout_of_a_single_call() -> None:
    async with client_of(answering(http(200, LISTED)), limiter=Limiter(60)) as (client, server):
        with pytest.raises(Exception, match="while waiting for the limiter") as caught:
            await client.list_services(timeout=5)
        assert server.requests == []
    assert caught.value.may_have_acted is False  # type: ignore[attr-defined]


@pytest.mark.parametrize("attempt_timeout", [None, 2.0])
async def test_waiting_for_the_limiter_does_not_count_against_the_timeout_in_a_run(
    attempt_timeout: float | None,
) -> None:
    retry = RetryPolicy(max_attempts=1, attempt_timeout=attempt_timeout)
    async with client_of(answering(http(200, LISTED)), limiter=Limiter(60), retry=retry) as (client, _):
        results = [result async for result in client.list_services_in(ACCOUNT_IDS[:5], timeout=5)]
    assert [result.error for result in results] == [None] * 5


async def test_an_exception_of_the_limiter_ends_the_run() -> None:
    """It is not the result of an account: most likely, the limiter's storage cannot be reached."""

    class Broken(Limiter):
        async def __aenter__(self) -> None:
            raise ValueError("the storage is gone")

    async with client_of(answering(http(200, LISTED)), limiter=Broken()) as (client, server):
        with pytest.raises(ValueError, match="the storage is gone"):
            async for _ in client.list_services_in(ACCOUNT_IDS[:5]):
                pass
        assert server.requests == []


async def test_a_cancelled_call_leaves_the_limiter() -> None:
    limiter = Limiter()

    async def script(peer: Conversation) -> None:
        await peer.request()
        await peer.wait_closed()

    async with client_of(script, limiter=limiter) as (client, server):
        call = asyncio.ensure_future(client.list_services())
        await server.arrived.wait()
        call.cancel()
        await asyncio.wait([call])
    assert (limiter.entered, limiter.inside) == (1, 0)
