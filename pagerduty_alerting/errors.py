"""The exceptions that a call can raise; nothing else leaves a call but cancellation and Ctrl-C."""

from typing import Any

from pagerduty_alerting.models import ResponseInfo

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
    """The client was closed before the call, or while it was under way."""


class APIConnectionError(PagerDutyAlertingError):
    """No complete answer came: no connection, or it broke.

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
    """The API said success, but not in the form that it documents; never guessed at.

    Attributes:
        method: HTTP method.
        path: Path of the request below the base URL; an integration token in it is masked.
        status: HTTP status.
        ray_id: Cloudflare's id of the request, if it came.
        problems: What is wrong and where, as "… @ $.json.path".
        attempts: How often the request was sent.
    """

    def __init__(
        self,
        message: str,
        *,
        method: str,
        path: str,
        status: int,
        ray_id: str | None = None,
        problems: tuple[str, ...] = (),
        attempts: int = 1,
    ) -> None:
        super().__init__(message)
        self.method = method
        self.path = path
        self.status = status
        self.ray_id = ray_id
        self.problems = problems
        self.attempts = attempts


class APIStatusError(PagerDutyAlertingError):
    """The API said no: an error status, or `success: false` with any status.

    Attributes:
        method: HTTP method.
        path: Path of the request below the base URL; an integration token in it is masked.
        status: HTTP status.
        errors: The errors of the answer's envelope; empty where there was none.
        messages: The messages of the envelope.
        ray_id: Cloudflare's id of the request, if it came: name it to their support.
        retry_after: Seconds that the API asks to wait, if it does.
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
        ray_id: str | None = None,
        retry_after: float | None = None,
        attempts: int = 1,
    ) -> None:
        super().__init__(message)
        self.method = method
        self.path = path
        self.status = status
        self.errors = errors
        self.messages = messages
        self.ray_id = ray_id
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
