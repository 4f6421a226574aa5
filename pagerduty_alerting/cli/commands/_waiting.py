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

StatusAndCodes: TypeAlias = tuple[int, tuple[int, ...]]
"""The status and the error codes of a response that is a client error."""


class NextStep(enum.Enum):
    """What to do after *connect* failed."""

    RETRY = "nothing was done: retry later"
    FAIL = "nothing was done, and a retry will not help"
    CHECK = "it may have been done: check first"


def client_error(error: PagerDutyAlertingError) -> StatusAndCodes | None:
    """Returns the status and the error codes of a client error, or None for any other failure."""
    match error:
        case RateLimitError():
            return None
        case APIStatusError() if error.errors and (error.status < 300 or 400 <= error.status <= 499):
            return error.status, error.codes
        case _:
            return None


def next_step(error: PagerDutyAlertingError, not_yet: StatusAndCodes | None, *, is_new: bool) -> NextStep:
    """Returns what to do after *connect* failed.

    `not_yet` is the earlier refusal that meant "not yet", if there was one. A token that is new, because this run
    created it, cannot be authorized at once, so that its first refusal means "not yet".
    """
    match error:
        case APIConnectionError(may_have_acted=False):
            return NextStep.RETRY if error.transient else NextStep.FAIL
        case APIConnectionError() | APIResponseValidationError():
            return NextStep.CHECK
        case RateLimitError():
            return NextStep.RETRY
        case APIStatusError() if error.status == 408 or error.status >= 500:
            return NextStep.CHECK
        case APIStatusError() if error.status in {401, 403} or _AUTHENTICATION_ERROR in error.codes:
            return NextStep.FAIL
        case _:
            refusal = client_error(error)
    if refusal is None:
        return NextStep.FAIL
    if not_yet is not None:
        return NextStep.RETRY if refusal == not_yet else NextStep.FAIL
    # An earlier token may be unknown or used. Other client errors may mean "not yet".
    return NextStep.RETRY if is_new or refusal[0] not in {404, 409, 410} else NextStep.FAIL


def next_wait(error: PagerDutyAlertingError, poll_interval: float) -> float:
    """Returns the seconds until *connect* is retried."""
    asked_for = error.retry_after if isinstance(error, APIStatusError) else None
    return max(poll_interval, asked_for or 0.0)
