"""Decides what a failed *connect* means while a token waits for authorization; pure.

*Connect* changes the account and is not known to be idempotent. It is therefore repeated only after a response which
shows that nothing was done and that the token is not authorized yet. Cloudflare does not document that response. But
a new token cannot be authorized at once: so its first refusal means "not yet", and any different refusal is final.
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
"""The status and the error codes of a refusal."""


class Meaning(enum.Enum):
    """What to do after *connect* failed."""

    NOT_YET = "nothing was done: retry later"
    REFUSED = "nothing was done, and a retry will not help"
    UNKNOWN = "it may have been done: check first"


def refusal_in(error: PagerDutyAlertingError) -> Refusal | None:
    """Returns the refusal of the API in an error, or None for any other failure."""
    match error:
        case RateLimitError():
            return None
        case APIStatusError() if error.errors and (error.status < 300 or 400 <= error.status <= 499):
            return error.status, error.codes
        case _:
            return None


def meaning_of(error: PagerDutyAlertingError, not_yet: Refusal | None, *, is_new: bool) -> Meaning:
    """Returns the meaning of a failure of *connect*.

    Args:
        error: The failure.
        not_yet: The earlier refusal that meant "not yet"; None if there was none.
        is_new: Whether this run created the token, so that the first refusal can only mean "not yet".
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
    # An earlier token may be unknown or used. Other client errors may mean "not yet".
    return Meaning.NOT_YET if is_new or refusal[0] not in {404, 409, 410} else Meaning.REFUSED


def next_wait(error: PagerDutyAlertingError, poll_interval: float) -> float:
    """Returns the seconds until *connect* is retried."""
    asked_for = error.retry_after if isinstance(error, APIStatusError) else None
    return max(poll_interval, asked_for or 0.0)
