"""The exceptions that a call can raise.

Nothing else leaves a call but cancellation, what a signal handler raises, and what the caller's limiter raises.
"""

from collections.abc import Mapping
from typing import Any

from pagerduty_alerting.models import RateLimits, ResponseInfo

__all__ = [
    "APIConnectionError",
    "APIResponseValidationError",
    "APIStatusError",
    "APITimeoutError",
    "AuthenticationError",
    "BadRequestError",
    "ClientClosedError",
    "ClientUsageError",
    "ConfigurationError",
    "ConflictError",
    "InternalServerError",
    "NotFoundError",
    "PagerDutyAlertingError",
    "PermissionDeniedError",
    "RateLimitError",
    "UnprocessableEntityError",
]


def _restore(error_type: type[BaseException], args: tuple[object, ...], state: dict[str, Any]) -> BaseException:
    error = error_type.__new__(error_type, *args)
    error.__dict__.update(state)
    return error


class PagerDutyAlertingError(Exception):
    """Base of everything that this package raises. All of it can be pickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        # The default calls the class with `args`, which fails for classes with keyword-only arguments.
        return _restore, (type(self), self.args, self.__dict__)


class ConfigurationError(PagerDutyAlertingError):
    """Settings are missing or contradict each other. Raised before any I/O."""


class ClientUsageError(PagerDutyAlertingError, RuntimeError):
    """The client was used where it cannot work, such as from two running event loops at once."""


class ClientClosedError(PagerDutyAlertingError):
    """The client was closed before the call, or while it was under way.

    Attributes:
        may_have_acted: False when no request of the call can have reached the API; True when nobody can know.
    """

    def __init__(self, message: str, *, may_have_acted: bool = False) -> None:
        super().__init__(message)
        self.may_have_acted = may_have_acted


class APIConnectionError(PagerDutyAlertingError):
    """No complete response came: no connection, or it broke.

    Attributes:
        method: HTTP method.
        path: Path of the request below the base URL; an integration token in it is masked.
        attempts: How often the request was tried.
        may_have_acted: False when the request cannot have reached the API; True when nobody can know.
        transient: False where trying again cannot help, such as an untrusted certificate.
    """

    def __init__(
        self,
        message: str,
        *,
        method: str,
        path: str,
        attempts: int = 1,
        may_have_acted: bool = True,
        transient: bool = True,
    ) -> None:
        super().__init__(message)
        self.method = method
        self.path = path
        self.attempts = attempts
        self.may_have_acted = may_have_acted
        self.transient = transient


class APITimeoutError(APIConnectionError):
    """The time for the call, or for connecting, ran out.

    Attributes:
        phase: What was under way, such as "connecting" or "reading the answer".
        timeout: The limit that ran out, in seconds.
    """

    def __init__(
        self,
        message: str,
        *,
        method: str,
        path: str,
        phase: str,
        timeout: float,
        attempts: int = 1,
        may_have_acted: bool = True,
    ) -> None:
        super().__init__(message, method=method, path=path, attempts=attempts, may_have_acted=may_have_acted)
        self.phase = phase
        self.timeout = timeout


class APIResponseValidationError(PagerDutyAlertingError):
    """The API said success, but not in the form that it documents; a result is never guessed.

    Attributes:
        method: HTTP method.
        path: Path of the request below the base URL; an integration token in it is masked.
        status: HTTP status.
        headers: HTTP headers, looked up without regard to case; secrets in their values are masked.
        body: The body's first 4,096 characters, secrets and UUIDs masked. None for *create* and *connect*, whose
            responses may hold an integration token.
        ray_id: Cloudflare's id of the request: name it to their support. None where it was missing.
        rate_limits: What the response said of quotas.
        problems: What is wrong and where, as "… @ $.json.path".
        may_have_acted: Always True: the API answered.
        attempts: How often the request was sent.
    """

    may_have_acted = True

    def __init__(
        self,
        message: str,
        *,
        method: str,
        path: str,
        status: int,
        headers: Mapping[str, str] | None = None,
        body: str | None = None,
        ray_id: str | None = None,
        rate_limits: RateLimits | None = None,
        problems: tuple[str, ...] = (),
        attempts: int = 1,
    ) -> None:
        super().__init__(message)
        self.method = method
        self.path = path
        self.status = status
        self.headers: Mapping[str, str] = {} if headers is None else headers
        self.body = body
        self.ray_id = ray_id
        self.rate_limits = RateLimits() if rate_limits is None else rate_limits
        self.problems = problems
        self.attempts = attempts


class APIStatusError(PagerDutyAlertingError):
    """The API said no: an error status, or `success: false` with any status.

    Attributes:
        method: HTTP method.
        path: Path of the request below the base URL; an integration token in it is masked.
        status: HTTP status.
        errors: The errors of the response's envelope; empty where there was none.
        messages: The messages of the envelope.
        headers: HTTP headers, looked up without regard to case; secrets in their values are masked.
        body: The body's first 4,096 characters, secrets and UUIDs masked. None for *create* and *connect*, whose
            responses may hold an integration token.
        ray_id: Cloudflare's id of the request: name it to their support. None where it was missing.
        rate_limits: What the response said of quotas.
        retry_after: Seconds that the API asks to wait; None where it does not.
        attempts: How often the request was sent.
    """

    def __init__(
        self,
        message: str,
        *,
        method: str,
        path: str,
        status: int,
        errors: tuple[ResponseInfo, ...] = (),
        messages: tuple[ResponseInfo, ...] = (),
        headers: Mapping[str, str] | None = None,
        body: str | None = None,
        ray_id: str | None = None,
        rate_limits: RateLimits | None = None,
        retry_after: float | None = None,
        attempts: int = 1,
    ) -> None:
        super().__init__(message)
        self.method = method
        self.path = path
        self.status = status
        self.errors = errors
        self.messages = messages
        self.headers: Mapping[str, str] = {} if headers is None else headers
        self.body = body
        self.ray_id = ray_id
        self.rate_limits = RateLimits() if rate_limits is None else rate_limits
        self.retry_after = retry_after
        self.attempts = attempts

    @property
    def codes(self) -> tuple[int, ...]:
        """Cloudflare's error codes, such as 10000, in the order of the answer."""
        return tuple(error.code for error in self.errors if error.code is not None)


class BadRequestError(APIStatusError):
    """Status 400."""


class AuthenticationError(APIStatusError):
    """Status 401: the credentials are not valid."""


class PermissionDeniedError(APIStatusError):
    """Status 403: the credentials may not do this, or the account's plan does not include it."""


class NotFoundError(APIStatusError):
    """Status 404: no such account or integration token."""


class ConflictError(APIStatusError):
    """Status 409."""


class UnprocessableEntityError(APIStatusError):
    """Status 422."""


class RateLimitError(APIStatusError):
    """Status 429: too many requests; also raised without sending while a known block lasts longer than the call may."""


class InternalServerError(APIStatusError):
    """Status 500 to 599."""
