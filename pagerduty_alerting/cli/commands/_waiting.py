"""Decides what an answer of *connect* means to someone who waits for a token to be authorized; pure.

*Connect* changes the account and is not known to be safe to repeat. So it is repeated only after an answer that leaves
no doubt that nothing was done, and that is how the API says "not yet". Which answer that is, Cloudflare does not
document. But nobody can authorize a token in the moment that it is made: so the first refusal of a new token is "not
yet", and any other refusal after it is a real one.
"""

import enum
from typing import TypeAlias

from pagerduty_alerting import (
    APIConnectionError,
    APIResponseValidationError,
    APIStatusError,
    PagerDutyAlertingError,
    RateLimitError,
)

_AUTHENTICATION_ERROR = 10000

Refusal: TypeAlias = tuple[int, tuple[int, ...]]
"""The status and the codes by which the API says no."""


class Meaning(enum.Enum):
    """What to do after *connect* failed."""

    NOT_YET = "nothing was done: ask again later"
    REFUSED = "nothing was done, and asking again will not help"
    UNKNOWN = "it may have been done: look before anything else"


def refusal_in(error: PagerDutyAlertingError) -> Refusal | None:
    """Returns the refusal in which the API itself declined what was asked, or None for any other failure."""
    match error:
        case RateLimitError():
            return None
        case APIStatusError() if error.errors and (error.status < 300 or 400 <= error.status <= 499):
            return error.status, error.codes
        case _:
            return None


def meaning_of(error: PagerDutyAlertingError, not_yet: Refusal | None, *, is_new: bool) -> Meaning:
    """Says what a failure of *connect* means.

    Args:
        error: The failure.
        not_yet: The refusal by which the API said "not yet" before; None if it has not so far.
        is_new: Whether the token was created just now, so that the first refusal can only mean "not yet".
    """
    match error:
        case APIConnectionError(may_have_acted=False):
            return Meaning.NOT_YET if error.transient else Meaning.REFUSED
        case APIConnectionError() | APIResponseValidationError():
            return Meaning.UNKNOWN
        case RateLimitError():
            return Meaning.NOT_YET
        case APIStatusError() if error.status == 408 or error.status >= 500:
            return Meaning.UNKNOWN
        case APIStatusError() if error.status in {401, 403} or _AUTHENTICATION_ERROR in error.codes:
            return Meaning.REFUSED
        case _:
            refusal = refusal_in(error)
    if refusal is None:
        return Meaning.REFUSED
    if not_yet is not None:
        return Meaning.NOT_YET if refusal == not_yet else Meaning.REFUSED
    # A token of before may be unknown or used up. What is wrong with the request itself may be "not yet".
    return Meaning.NOT_YET if is_new or refusal[0] not in {404, 409, 410} else Meaning.REFUSED


def next_wait(error: PagerDutyAlertingError, poll_interval: float) -> float:
    """Returns the seconds until *connect* is asked again."""
    asked_for = error.retry_after if isinstance(error, APIStatusError) else None
    return max(poll_interval, asked_for or 0.0)
