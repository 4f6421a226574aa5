"""The rate limits, on a clock that the tests control."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pagerduty_alerting.emulator import Emulator, Operation, RateLimits
from pagerduty_alerting.emulator.rules.rate_limits import count_burst, count_request

REAL = RateLimits()


@pytest.fixture
def small():
    """Three requests in ten seconds, then a block of twenty, on a clock that does not advance."""
    return {"rate_limits": RateLimits(requests=3, window=10, block=20, per_second=None), "clock": lambda: 1000.0}


def verdicts(limits, times):
    window, found = None, []
    for now in times:
        window, verdict = count_request(limits, window, now)
        found.append(verdict)
    return found


def test_the_real_limit_is_1200_requests_in_five_minutes():
    found = verdicts(REAL, [0.0] * 1201)
    assert [verdict.allowed for verdict in found] == [True] * 1200 + [False]


def test_exceeding_the_real_limit_blocks_everything_for_five_minutes():
    found = verdicts(REAL, [0.0] * 1201 + [299.9, 300.0])
    assert [verdict.allowed for verdict in found[1200:]] == [False, False, True]
    assert [(verdict.remaining, verdict.reset) for verdict in found[1199:]] == [
        (0, 300.0),
        (0, 300.0),
        (0, pytest.approx(0.1)),
        (1199, 300.0),
    ]


def test_the_block_starts_when_the_limit_is_exceeded():
    found = verdicts(REAL, [0.0] * 1200 + [250.0, 301.0, 549.0, 551.0])
    assert [verdict.allowed for verdict in found[1200:]] == [False, False, False, True]


def test_the_quota_is_full_again_when_the_window_ends():
    found = verdicts(REAL, [0.0] * 1200 + [300.0])
    assert (found[-1].allowed, found[-1].remaining) == (True, 1199)


def test_the_real_burst_limit_is_200_requests_in_a_second():
    window, found = None, []
    for now in [0.5] * 201 + [1.25, 1.5]:
        window, verdict = count_burst(200, window, now)
        found.append(verdict)
    assert [verdict.allowed for verdict in found] == [True] * 200 + [False, False, True]
    assert [(verdict.remaining, verdict.reset) for verdict in found[199:]] == [
        (0, 1.0),
        (0, 1.0),
        (0, 0.25),
        (199, 1.0),
    ]


@given(st.lists(st.floats(0, 100), max_size=60))
def test_no_window_allows_more_than_its_quota(gaps):
    limits = RateLimits(requests=3, window=10, block=20, per_second=None)
    now, times = 0.0, []
    for gap in gaps:
        now += gap
        times.append(now)
    passed = [time for time, verdict in zip(times, verdicts(limits, times), strict=True) if verdict.allowed]
    for first, last in zip(passed, passed[6:], strict=False):
        assert last - first >= 10  # at most two consecutive windows


async def test_responses_count_the_quota_down(caller_of, small):
    async with Emulator(**small) as api:
        call = caller_of(api)
        seen = [(await call(Operation.LIST)).headers["Ratelimit"] for _ in range(3)]
    assert seen == ['"default";r=2;t=10', '"default";r=1;t=10', '"default";r=0;t=10']


async def test_above_the_limit_everything_is_429_with_the_seconds_to_wait(caller_of, small):
    async with Emulator(**small) as api:
        call = caller_of(api)
        for _ in range(3):
            assert (await call(Operation.LIST)).status == 200
        reply = await call(Operation.LIST)
        assert (reply.status, reply.headers["Retry-After"], reply.json["success"]) == (429, "20", False)
        assert reply.json["errors"][0]["message"] == "Please wait and consider throttling your request speed"
        assert reply.headers["Ratelimit"] == '"default";r=0;t=20'
        assert (await call(Operation.CREATE)).status == 429
        api.advance(19.5)
        reply = await call(Operation.LIST)
        assert (reply.status, reply.headers["Retry-After"]) == (429, "1")
        api.advance(0.5)
        assert (await call(Operation.LIST)).status == 200


async def test_a_blocked_request_is_not_carried_out(caller_of, small):
    async with Emulator(**small) as api:
        call = caller_of(api)
        for _ in range(4):
            await call(Operation.CREATE)
        assert len(api.tokens()) == 3


async def test_each_token_has_a_quota_of_its_own(caller_of, small):
    async with Emulator(**small) as api:
        call = caller_of(api)
        for _ in range(4):
            await call(Operation.LIST)
        other = {"Authorization": f"Bearer {api.add_api_token()}"}
        assert (await call(Operation.LIST, headers=other)).status == 200


async def test_bursts_are_limited_for_each_address(caller_of):
    limits = RateLimits(per_second=2)
    async with Emulator(rate_limits=limits, clock=lambda: 5.0) as api:
        call = caller_of(api)
        replies = [await call(Operation.LIST) for _ in range(3)]
        assert [reply.status for reply in replies] == [200, 200, 429]
        assert replies[2].headers["Retry-After"] == "1"
        assert replies[2].headers["Ratelimit-Policy"] == '"burst";q=2;w=1'
        api.advance(1)
        assert (await call(Operation.LIST)).status == 200


@pytest.mark.parametrize("path", ["list", "/nowhere"])
async def test_the_headers_are_always_there_and_retry_after_only_with_429(call, path):
    reply = await call.raw("GET", call.path(Operation.LIST) if path == "list" else path)
    assert re.fullmatch(r'"default";r=\d+;t=\d+', reply.headers["Ratelimit"])
    assert reply.headers["Ratelimit-Policy"] == '"default";q=1200;w=300'
    assert "Retry-After" not in reply.headers


async def test_unlimited_responses_have_the_headers_too(caller_of):
    async with Emulator(rate_limits=RateLimits.unlimited()) as api:
        replies = [await caller_of(api)(Operation.LIST) for _ in range(250)]
    assert {reply.status for reply in replies} == {200}
    assert "Ratelimit" in replies[0].headers


async def test_a_window_below_a_second_is_reported_as_one_second_but_exact(caller_of):
    limits = RateLimits(requests=2, window=0.25, block=0.5, per_second=None)
    async with Emulator(rate_limits=limits, clock=lambda: 1000.0) as api:
        call = caller_of(api)
        reply = await call(Operation.LIST)
        assert reply.headers["Ratelimit"] == '"default";r=1;t=1'
        assert reply.headers["Ratelimit-Policy"] == '"default";q=2;w=1'
        api.advance(0.2)
        assert (await call(Operation.LIST)).headers["Ratelimit"] == '"default";r=0;t=1'
        api.advance(0.0625)
        assert (await call(Operation.LIST)).headers["Ratelimit"] == '"default";r=1;t=1'
        await call(Operation.LIST)
        refused = await call(Operation.LIST)
        assert (refused.status, refused.headers["Retry-After"]) == (429, "1")
        api.advance(0.4375)
        assert (await call(Operation.LIST)).status == 429
        api.advance(0.0625)
        assert (await call(Operation.LIST)).status == 200


async def test_reset_lifts_a_block(caller_of, small):
    async with Emulator(**small) as api:
        call = caller_of(api)
        for _ in range(4):
            await call(Operation.LIST)
        api.reset()
        assert (await call(Operation.LIST)).status == 200


@pytest.mark.parametrize("wrong", [{"requests": 0}, {"window": 0}, {"block": -1}, {"per_second": 0}], ids=str)
def test_invalid_limits_are_refused(wrong):
    with pytest.raises(ValueError, match="must be"):
        RateLimits(**wrong)
