"""Decides whether and when a call is retried, and whether a failed request may have been carried out; pure."""

from pagerduty_alerting._protocol.endpoints import Endpoint
from pagerduty_alerting.config import RetryPolicy
from pagerduty_alerting.errors import (
    APIConnectionError,
    APIStatusError,
    ClientClosedError,
    PagerDutyAlertingError,
    RateLimitError,
)

# Attempts where the policy names no number. More of them while the server is not reached, so that a restart of a second
# or two is survived.
_ATTEMPTS = 3
_ATTEMPTS_TO_REACH = 5


def next_delay(
    policy: RetryPolicy,
    error: PagerDutyAlertingError,
    *,
    replay_safe: bool,
    attempt: int,
    time_left: float,
    jitter: float,
) -> float | None:
    """Returns the seconds to wait after a failed attempt, numbered from 1, or None if the call fails.

    `time_left` is until the call's deadline, and `jitter` a random number from 0 to 1.
    """
    if attempt >= _most_attempts(policy, error) or not is_transient(error, policy):
        return None
    if may_have_acted(error) and not (replay_safe or policy.replay_unsafe):
        return None
    # A float power of a large attempt number overflows; 2**60 half-seconds are beyond any deadline.
    longest = min(policy.max_delay, policy.initial_delay * 2.0 ** min(attempt - 1, 60))
    asked_for = error.retry_after if isinstance(error, APIStatusError) else None
    delay = max(longest * (0.5 + jitter / 2), asked_for or 0.0)
    return delay if delay < time_left else None


def _most_attempts(policy: RetryPolicy, error: PagerDutyAlertingError) -> int:
    if policy.max_attempts is not None:
        return policy.max_attempts
    was_reached = not isinstance(error, APIConnectionError) or error.may_have_acted
    return _ATTEMPTS if was_reached else _ATTEMPTS_TO_REACH


def is_transient(error: PagerDutyAlertingError, policy: RetryPolicy) -> bool:
    """Returns whether the same request may succeed later."""
    if isinstance(error, APIConnectionError):
        return error.transient
    if not isinstance(error, APIStatusError) or error.status not in policy.statuses:
        return False
    # A 429 without `Retry-After` is the block of five minutes, or comes from an intermediary.
    return not isinstance(error, RateLimitError) or error.retry_after is not None


def may_have_acted(error: PagerDutyAlertingError) -> bool:
    """Returns whether the API may have carried out the request although it failed."""
    if isinstance(error, APIConnectionError | ClientClosedError):
        return error.may_have_acted
    return not (isinstance(error, APIStatusError) and error.status == 429)


def doubt(endpoint: Endpoint[object], *, was_sent: bool) -> str:
    """Returns a sentence to add to a message if the operation may have been carried out, else an empty string."""
    return ". The operation may have been carried out nevertheless" if was_sent and not endpoint.replay_safe else ""
