"""The decision on a retry: after which errors and operations, after which wait, and never past the deadline."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pagerduty_alerting import (
    APIConnectionError,
    APIResponseValidationError,
    APIStatusError,
    ConfigurationError,
    PagerDutyAlertingError,
    RateLimitError,
    RetryPolicy,
)
from pagerduty_alerting._protocol.retry import next_delay

REQUEST = {"method": "GET", "path": "/accounts/1"}
NEVER_REACHED = APIConnectionError("text", **REQUEST, may_have_acted=False)
BROKE = APIConnectionError("text", **REQUEST)
UNTRUSTED = APIConnectionError("text", **REQUEST, may_have_acted=False, transient=False)
UNREADABLE = APIResponseValidationError("text", **REQUEST, status=200)


def status(number: int, retry_after: float | None = None) -> APIStatusError:
    return APIStatusError("text", **REQUEST, status=number, retry_after=retry_after)


def rate_limit(retry_after: float | None) -> RateLimitError:
    return RateLimitError("text", **REQUEST, status=429, retry_after=retry_after)


def delay_after(error: PagerDutyAlertingError, policy: RetryPolicy | None = None, **changes: Any) -> float | None:
    facts = {"replay_safe": True, "attempt": 1, "time_left": 1000.0, "jitter": 1.0, **changes}
    return next_delay(policy or RetryPolicy(), error, **facts)


@pytest.mark.parametrize("number", [408, 500, 502, 503, 504, *range(520, 528), 530])
def test_a_temporary_status_is_retried(number: int) -> None:
    assert delay_after(status(number)) == 0.5


def test_the_policy_decides_which_statuses_are_retried() -> None:
    policy = RetryPolicy(statuses=frozenset({404}))
    assert delay_after(status(404), policy) == 0.5
    assert delay_after(status(503), policy) is None


@pytest.mark.parametrize("retry_after", [0.0, 0.1, 3.0])
def test_a_429_is_retried_after_its_retry_after(retry_after: float) -> None:
    assert delay_after(rate_limit(retry_after)) == max(0.5, retry_after)


def test_a_429_without_retry_after_fails_at_once() -> None:
    assert delay_after(rate_limit(None)) is None


@pytest.mark.parametrize(
    ("error", "max_attempts", "most"),
    [
        (NEVER_REACHED, None, 5),
        (BROKE, None, 3),
        *((error, number, number) for error in (NEVER_REACHED, BROKE) for number in (1, 2, 3, 7)),
    ],
)
def test_a_server_that_cannot_be_reached_gets_five_attempts_unless_the_policy_sets_a_number(
    error: PagerDutyAlertingError, max_attempts: int | None, most: int
) -> None:
    policy = RetryPolicy(max_attempts=max_attempts)
    assert next(attempt for attempt in range(1, 10) if delay_after(error, policy, attempt=attempt) is None) == most


@pytest.mark.parametrize("number", [200, 301, 400, 401, 403, 404, 409, 418, 422, 501, 505, 519, 528, 529, 531, 599])
def test_a_permanent_status_is_not_retried(number: int) -> None:
    assert delay_after(status(number)) is None


@pytest.mark.parametrize("error", [UNTRUSTED, UNREADABLE, ConfigurationError("text")], ids=repr)
def test_a_permanent_error_is_not_retried(error: PagerDutyAlertingError) -> None:
    assert delay_after(error) is None


@pytest.mark.parametrize(
    ("error", "is_retried"),
    [(NEVER_REACHED, True), (rate_limit(0.0), True), (BROKE, False), (status(408), False), (status(503), False)],
    ids=["never reached", "429", "broke", "408", "503"],
)
def test_an_unsafe_operation_is_sent_again_only_if_the_api_cannot_have_acted(
    error: PagerDutyAlertingError, is_retried: bool
) -> None:
    assert (delay_after(error, replay_safe=False) is not None) is is_retried


@pytest.mark.parametrize("error", [BROKE, status(503)], ids=repr)
def test_replay_unsafe_allows_a_replay_of_an_unsafe_operation(error: PagerDutyAlertingError) -> None:
    assert delay_after(error, RetryPolicy(replay_unsafe=True), replay_safe=False) is not None


@pytest.mark.parametrize(("max_attempts", "attempt", "is_retried"), [(1, 1, False), (3, 2, True), (3, 3, False)])
def test_max_attempts_limits_the_attempts(max_attempts: int, attempt: int, is_retried: bool) -> None:
    assert (delay_after(BROKE, RetryPolicy(max_attempts=max_attempts), attempt=attempt) is not None) is is_retried


def test_the_longest_wait_doubles_up_to_max_delay() -> None:
    policy = RetryPolicy(max_attempts=10**6, initial_delay=0.5, max_delay=8.0)
    delays = [delay_after(BROKE, policy, attempt=attempt) for attempt in (1, 2, 3, 4, 5, 6, 100_000)]
    assert delays == [0.5, 1.0, 2.0, 4.0, 8.0, 8.0, 8.0]


@pytest.mark.parametrize("jitter", [0.0, 0.25, 1.0])
def test_the_wait_is_between_half_the_longest_and_the_longest(jitter: float) -> None:
    assert delay_after(BROKE, jitter=jitter, attempt=2) == 0.5 + jitter / 2


def test_retry_after_may_exceed_max_delay() -> None:
    assert delay_after(rate_limit(30.0), RetryPolicy(max_delay=1.0)) == 30.0


def test_retry_after_does_not_shorten_the_wait() -> None:
    assert delay_after(status(503, 0.1)) == 0.5


@pytest.mark.parametrize(("time_left", "expected"), [(31.0, 30.0), (30.0, None), (-1.0, None)])
def test_there_is_no_retry_if_the_wait_would_exceed_the_deadline(time_left: float, expected: float | None) -> None:
    assert delay_after(rate_limit(30.0), time_left=time_left) == expected


@given(
    st.integers(1, 10**9),
    st.floats(0, 1e308),
    st.floats(0, 1e308),
    st.floats(0, 1),
    st.none() | st.floats(0, 1e308),
    st.floats(allow_nan=False, allow_infinity=False),
)
def test_a_delay_is_always_finite_not_negative_and_before_the_deadline(
    attempt: int, initial: float, longest: float, jitter: float, retry_after: float | None, time_left: float
) -> None:
    policy = RetryPolicy(max_attempts=10**9 + 1, initial_delay=initial, max_delay=longest)
    delay = delay_after(status(503, retry_after), policy, attempt=attempt, jitter=jitter, time_left=time_left)
    if delay is not None:
        assert math.isfinite(delay)
        assert 0 <= delay < time_left
        assert delay <= max(longest, retry_after or 0.0)


@pytest.mark.parametrize("attempt", [61, 62, 100_000])
def test_the_wait_stops_doubling_before_it_overflows(attempt: int) -> None:
    policy = RetryPolicy(max_attempts=200_000, initial_delay=2.0**-60, max_delay=1000)
    error = status(503)

    delay = next_delay(policy, error, replay_safe=True, attempt=attempt, time_left=1000, jitter=1.0)

    assert delay == 1.0
