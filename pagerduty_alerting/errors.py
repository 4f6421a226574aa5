"""The exceptions that a call can raise.

A call raises nothing else except cancellation and what a signal handler or the caller's limiter raises.
"""

from collections.abc import Mapping
from typing import Any

from pagerduty_alerting.models import RateLimits, ResponseInfo

__all__ = [
    "APIConnectionError", "APIResponseValidationError", "APIStatusError", "APITimeoutError", "AuthenticationError",
    "BadRequestError", "ClientClosedError", "ClientUsageError", "ConfigurationError", "ConflictError",
    "InternalServerError", "NotFoundError", "PagerDutyAlertingError", "PermissionDeniedError", "RateLimitError",
    "UnprocessableEntityError",
]  # fmt: skip


def _restore(error_type: type[BaseException], args: tuple[object, ...], state: dict[str, Any]) -> BaseException:
    error = error_type.__new__(error_type, *args)
    error.__dict__.update(state)
    return error


class PagerDutyAlertingError(Exception):
    """Base class of the exceptions of this package, which can all be pickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        # The default calls the class with `args`, which fails for classes with keyword-only arguments.
        return _restore, (type(self), self.args, self.__dict__)


class ConfigurationError(PagerDutyAlertingError):
    """Settings are missing or contradict each other. Raised before any I/O."""


class ClientUsageError(PagerDutyAlertingError, RuntimeError):
    """The client was used where it cannot work, such as from two running event loops at once."""


class ClientClosedError(PagerDutyAlertingError):
    """The client was closed before the call or during it.

    Attributes:
        may_have_acted: False if no request of the call can have reached the API; True if that is uncertain.
    """

    def __init__(self, message: str, *, may_have_acted: bool = False) -> None:
        super().__init__(message)
        self.may_have_acted = may_have_acted


class APIConnectionError(PagerDutyAlertingError):
    """No complete response arrived: there was no connection, or it broke.

    Attributes:
        method: HTTP method.
        path: Path of the request below the base URL, an integration token in it masked.
        attempts: How many attempts the call made.
        may_have_acted: False if the request cannot have reached the API; True if that is uncertain.
        transient: False if a retry cannot help, such as with an untrusted certificate.
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
    """The deadline of the call, of one attempt or of connecting passed.

    Attributes:
        phase: What the call was doing, such as "connecting" or "waiting for the rate limit".
        timeout: The limit that was exceeded, in seconds.
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
    """The API reported success, but not in the documented form.

    `method`, `path`, `status`, `headers`, `body`, `ray_id`, `rate_limits` and `attempts` are those of `APIStatusError`.

    Attributes:
        problems: What is wrong and where, as "… @ $.json.path".
        may_have_acted: Always True, because the API responded.
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
        self.rate_limits: RateLimits = RateLimits() if rate_limits is None else rate_limits
        self.problems = problems
        self.attempts = attempts


class APIStatusError(PagerDutyAlertingError):
    """The API refused the request: an error status, or `success: false` with any status.

    Attributes:
        method: HTTP method.
        path: Path of the request below the base URL, an integration token in it masked.
        status: HTTP status.
        errors: The errors of the envelope; empty if the response has no envelope.
        messages: The messages of the envelope.
        headers: HTTP headers; lookup ignores case, and secrets in the values are masked.
        body: The body's first 4,096 characters, secrets and UUIDs masked. None for *create* and *connect*, whose
            responses may hold an integration token.
        ray_id: Cloudflare's id of the request (`CF-Ray`), to quote to their support; None if it was missing.
        rate_limits: The quotas that the response reports.
        retry_after: Seconds to wait before another request, from `Retry-After`; None if it was missing.
        attempts: How many attempts the call made.
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
        self.rate_limits: RateLimits = RateLimits() if rate_limits is None else rate_limits
        self.retry_after = retry_after
        self.attempts = attempts

    @property
    def codes(self) -> tuple[int, ...]:
        """Cloudflare's error codes, such as 10000, in the order of the response."""
        return tuple(error.code for error in self.errors if error.code is not None)


class BadRequestError(APIStatusError):
    """Status 400."""


class AuthenticationError(APIStatusError):
    """Status 401: the credentials are not valid."""


class PermissionDeniedError(APIStatusError):
    """Status 403: the credentials lack a permission, or the account's plan does not include PagerDuty."""


class NotFoundError(APIStatusError):
    """Status 404: no such account or integration token."""


class ConflictError(APIStatusError):
    """Status 409."""


class UnprocessableEntityError(APIStatusError):
    """Status 422."""


class RateLimitError(APIStatusError):
    """Status 429: too many requests. Also raised without a request if the quota is used up beyond the deadline."""


class InternalServerError(APIStatusError):
    """Status 500 to 599."""
