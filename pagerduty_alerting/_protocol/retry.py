"""Decides whether and when a call is tried again; pure."""

from pagerduty_alerting.config import RetryPolicy
from pagerduty_alerting.errors import APIConnectionError, APIStatusError, PagerDutyAlertingError

_RETRIED_STATUSES = frozenset({408, 429, 500, 502, 503, 504})
_TOO_MANY_REQUESTS = 429


def next_delay(
    policy: RetryPolicy,
    error: PagerDutyAlertingError,
    *,
    replay_safe: bool,
    attempt: int,
    time_left: float,
    jitter: float,
) -> float | None:
    """Returns the seconds to wait before the next attempt, or None to give up.

    Args:
        policy: The caller's policy.
        error: Why the attempt failed.
        replay_safe: Whether sending the request twice does no more than sending it once.
        attempt: Number of the attempt that failed, from 1.
        time_left: Seconds to the call's deadline.
        jitter: A random number from 0 to 1.
    """
    if attempt >= policy.max_attempts or not is_transient(error):
        return None
    if may_have_acted(error) and not (replay_safe or policy.replay_unsafe):
        return None
    # A float power of a large attempt number overflows; 2**60 half-seconds are beyond any deadline.
    longest = min(policy.max_delay, policy.initial_delay * 2.0 ** min(attempt - 1, 60))
    delay = max(jitter * longest, _asked_for(error))
    return delay if delay < time_left else None


def is_transient(error: PagerDutyAlertingError) -> bool:
    """Returns whether the same request may succeed later."""
    if isinstance(error, APIConnectionError):
        return error.transient
    return isinstance(error, APIStatusError) and error.status in _RETRIED_STATUSES


def may_have_acted(error: PagerDutyAlertingError) -> bool:
    """Returns whether the API may have carried the request out although it failed."""
    if isinstance(error, APIConnectionError):
        return error.may_have_acted
    return not (isinstance(error, APIStatusError) and error.status == _TOO_MANY_REQUESTS)


def _asked_for(error: PagerDutyAlertingError) -> float:
    return (error.retry_after or 0.0) if isinstance(error, APIStatusError) else 0.0
