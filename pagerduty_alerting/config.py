"""Settings of a client, read from arguments and the environment and validated once; no I/O."""

import functools
import platform
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Self

from attrs import Attribute, evolve, field, frozen, validators

import pagerduty_alerting
from pagerduty_alerting import _arguments as arguments
from pagerduty_alerting._values import Value, hidden
from pagerduty_alerting.errors import ConfigurationError, PagerDutyAlertingError

__all__ = ["ApiKey", "ApiToken", "Credentials", "RetryEvent", "RetryPolicy", "Settings"]

DEFAULT_BASE_URL = "https://api.cloudflare.com/client/v4"
DEFAULT_MAX_RESPONSE_BYTES = 8 * 1024 * 1024
# Cloudflare's own 520 to 527 and 530 are temporary as well.
DEFAULT_RETRIED_STATUSES = frozenset({408, 429, 500, 502, 503, 504, *range(520, 528), 530})
DEFAULT_USER_AGENT = f"pagerduty-alerting/{pagerduty_alerting.__version__} Python/{platform.python_version()}"

# Names of the headers that the client sets; a caller's headers with these names are not sent.
OWN_HEADERS = frozenset({"accept", "accept-encoding", "authorization", "user-agent", "x-auth-email", "x-auth-key"})
# Shorter parts of a caller's headers are not secrets, and masking them would make messages unreadable.
_SHORTEST_SECRET = 8


def _with(check: Callable[[str, object], object]) -> Callable[[Any, "Attribute[Any]", object], None]:
    """Returns an attrs validator that runs a check of `_arguments`."""

    def validate(_: object, attribute: "Attribute[Any]", value: object) -> None:
        check(attribute.name, value)

    return validate


@frozen(eq=False, repr=False)
class ApiToken(Value):
    """An API token, sent as `Authorization: Bearer …`."""

    value: str = field(repr=hidden)

    def headers(self) -> dict[str, str]:
        """Returns the headers that authenticate a request."""
        return {"Authorization": f"Bearer {self.value}"}

    def secrets(self) -> tuple[str, ...]:
        """Returns the values that must never be shown."""
        return (self.value,)


@frozen(eq=False, repr=False)
class ApiKey(Value):
    """A Global API Key with its user's e-mail address, sent as `X-Auth-Key` and `X-Auth-Email`."""

    value: str = field(repr=hidden)
    email: str

    def headers(self) -> dict[str, str]:
        """Returns the headers that authenticate a request."""
        return {"X-Auth-Email": self.email, "X-Auth-Key": self.value}

    def secrets(self) -> tuple[str, ...]:
        """Returns the values that must never be shown."""
        return (self.value,)


Credentials = ApiToken | ApiKey


@frozen(eq=False, repr=False)
class RetryEvent(Value):
    """A retry that is about to follow a failed attempt.

    Attributes:
        operation: The API operation, such as "List PagerDuty services".
        attempt: Number of the attempt that failed, from 1.
        error: The error of that attempt.
        delay: Seconds until the next attempt.
    """

    operation: str
    attempt: int
    error: PagerDutyAlertingError
    delay: float


def _to_statuses(value: Iterable[int]) -> frozenset[int]:
    return arguments.check_statuses("statuses", value)


@frozen(kw_only=True, eq=False, repr=False)
class RetryPolicy(Value):
    """When a call is retried: after connection failures, timeouts of an attempt, and the error `statuses`.

    The wait before attempt n + 1 is random between half and all of `initial_delay` * 2 ** (n - 1), at most `max_delay`,
    or what `Retry-After` asks for if that is longer. If the wait would exceed the call's deadline, the call fails at
    once. *Create* and *connect* are retried only where the API cannot have acted on the first request: it was not
    reached, or responded with 429. `statuses` does not change that. A 429 without `Retry-After` is not retried.

    Attributes:
        max_attempts: Attempts in total; 1 disables retries. None, the default, is three, and five while the API cannot
            be reached: enough for a restart of a second or two.
        initial_delay: Longest wait before the second attempt, in seconds.
        max_delay: Longest wait before any attempt, in seconds, unless `Retry-After` asks for a longer one.
        statuses: HTTP statuses (400 to 599) after which a call is retried; by default 408, 429, 500, 502, 503, 504, and
            Cloudflare's 520 to 527 and 530. Any collection is accepted and stored as a frozenset.
        attempt_timeout: Longest time for a single attempt, in seconds; None limits it by the call's deadline only.
        replay_unsafe: Retry *create* and *connect* after any transient failure. A create may then leave a second token
            behind, and a connect may be carried out twice.
        on_retry: Called before each wait, on the client's event loop, which it must not block; Django refuses its
            database there. An exception that it raises is logged and ignored.
    """

    max_attempts: int | None = field(default=None, validator=validators.optional(_with(arguments.check_count)))
    initial_delay: float = field(default=0.5, validator=_with(arguments.check_delay))
    max_delay: float = field(default=8.0, validator=_with(arguments.check_delay))
    statuses: frozenset[int] = field(default=DEFAULT_RETRIED_STATUSES, converter=_to_statuses)
    attempt_timeout: float | None = field(default=None, validator=validators.optional(_with(arguments.check_seconds)))
    replay_unsafe: bool = field(default=False, validator=_with(arguments.check_flag))
    on_retry: Callable[[RetryEvent], object] | None = field(
        default=None, validator=validators.optional(validators.is_callable())
    )


def _to_headers(value: Mapping[str, str]) -> Mapping[str, str]:
    return arguments.check_headers("headers", value)


def _check_retry(name: str, value: object) -> RetryPolicy:
    if not isinstance(value, RetryPolicy):
        raise TypeError(f"{name} must be a RetryPolicy, not {type(value).__name__}")
    return value


@frozen(kw_only=True, eq=False, repr=False)
class Settings:
    """The settings of a client. Meanings and units are those of `AsyncClient`'s arguments."""

    credentials: Credentials
    account_id: str | None = field(default=None, validator=validators.optional(_with(arguments.check_identifier)))
    base_url: str = DEFAULT_BASE_URL
    timeout: float = field(default=30.0, validator=_with(arguments.check_seconds))
    connect_timeout: float = field(default=5.0, validator=_with(arguments.check_seconds))
    retry: RetryPolicy = field(factory=RetryPolicy, validator=_with(_check_retry))
    respect_rate_limits: bool = field(default=True, validator=_with(arguments.check_flag))
    max_response_bytes: int = field(default=DEFAULT_MAX_RESPONSE_BYTES, validator=_with(arguments.check_count))
    user_agent: str = field(default=DEFAULT_USER_AGENT, validator=_with(arguments.check_header_text))
    extra_headers: Mapping[str, str] = field(factory=dict[str, str], converter=_to_headers, repr=hidden, hash=False)

    def headers(self) -> dict[str, str]:
        """Returns the headers of every request."""
        return {
            **{name: value for name, value in self.extra_headers.items() if name.lower() not in OWN_HEADERS},
            **self.credentials.headers(),
            "Accept": "application/json",
            "Accept-Encoding": "gzip, deflate",
            "User-Agent": self.user_agent,
        }

    def secrets(self) -> tuple[str, ...]:
        """Returns the values that must never be shown: the credentials, and the parts of the caller's header values."""
        parts = " ".join(self.extra_headers.values()).split()
        return (*self.credentials.secrets(), *(part for part in parts if len(part) >= _SHORTEST_SECRET))

    def changed(self, changes: Mapping[str, Any]) -> Self:
        """Returns a copy with the given settings; None keeps a setting."""
        return evolve(self, **{name: value for name, value in changes.items() if value is not None})


def resolve_credentials(
    environ: Mapping[str, str], *, api_token: str | None, api_key: str | None, api_email: str | None
) -> Credentials:
    """Returns the credentials from the arguments, or else from the environment, where a token takes precedence.

    Raises TypeError or ValueError for an invalid argument, ConfigurationError for all else.
    """
    if api_token is not None and (api_key is not None or api_email is not None):
        raise ConfigurationError("pass either api_token, or api_key with api_email, not both")
    if api_key is None and api_email is None:
        token = _secret(environ, "api_token", api_token, "CLOUDFLARE_API_TOKEN")
        if token is not None:
            return ApiToken(token)
    key = _secret(environ, "api_key", api_key, "CLOUDFLARE_API_KEY")
    email = _secret(environ, "api_email", api_email, "CLOUDFLARE_EMAIL")
    if key is None and email is None:
        raise ConfigurationError(
            "no credentials: pass api_token=…, or set CLOUDFLARE_API_TOKEN"
            " (or CLOUDFLARE_API_KEY with CLOUDFLARE_EMAIL)"
        )
    if key is None:
        raise ConfigurationError("api_email without an api_key: pass api_key=…, or set CLOUDFLARE_API_KEY")
    if email is None:
        raise ConfigurationError("api_key without an api_email: pass api_email=…, or set CLOUDFLARE_EMAIL")
    return ApiKey(key, email)


def resolve_account_id(environ: Mapping[str, str], account_id: str | None) -> str | None:
    """Returns the argument, which `Settings` checks, or else `CLOUDFLARE_ACCOUNT_ID`, or None."""
    if account_id is not None:
        return account_id
    variable = "CLOUDFLARE_ACCOUNT_ID"
    _from_environment(environ, variable, arguments.check_identifier)
    return environ.get(variable) or None


def resolve_base_url(environ: Mapping[str, str], base_url: str | None, *, allow_insecure_http: bool) -> str:
    """Returns the argument, or else `CLOUDFLARE_BASE_URL`, or else Cloudflare's, without a trailing slash.

    Raises TypeError or ValueError for an invalid argument, ConfigurationError for an invalid variable.
    """
    insecure = arguments.check_flag("allow_insecure_http", allow_insecure_http)
    check = functools.partial(arguments.check_base_url, allow_insecure_http=insecure)
    if base_url is not None:
        return check("base_url", base_url)
    return _from_environment(environ, "CLOUDFLARE_BASE_URL", check) or DEFAULT_BASE_URL


def _secret(environ: Mapping[str, str], name: str, value: str | None, variable: str) -> str | None:
    if value is not None:
        return arguments.check_secret(name, value)
    return _from_environment(environ, variable, arguments.check_secret)


def _from_environment(environ: Mapping[str, str], variable: str, check: Callable[[str, object], str]) -> str | None:
    """Returns a checked variable; an empty one counts as not set, as with Cloudflare's own tools."""
    value = environ.get(variable)
    if not value:
        return None
    try:
        return check(variable, value)
    except ValueError as error:
        raise ConfigurationError(f"the environment variable {error}") from None
