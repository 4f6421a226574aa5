"""A client's settings: where they come from (arguments, then the environment), checked once; no I/O."""

import functools
import platform
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Self

import attrs
from attrs import field, frozen

import pagerduty_alerting
from pagerduty_alerting import _arguments as arguments
from pagerduty_alerting.errors import ConfigurationError, PagerDutyAlertingError

__all__ = ["ApiKey", "ApiToken", "Credentials", "RetryEvent", "RetryPolicy", "Settings"]

DEFAULT_BASE_URL = "https://api.cloudflare.com/client/v4"
DEFAULT_MAX_RESPONSE_BYTES = 8 * 1024 * 1024
# Cloudflare's own 520 to 527 and 530 are temporary, too.
DEFAULT_RETRIED_STATUSES = frozenset({408, 429, 500, 502, 503, 504, *range(520, 528), 530})
DEFAULT_USER_AGENT = f"pagerduty-alerting/{pagerduty_alerting.__version__} Python/{platform.python_version()}"

# The names of the headers that the client sends itself; a caller's headers of these names are not sent.
OWN_HEADERS = frozenset({"accept", "accept-encoding", "authorization", "user-agent", "x-auth-email", "x-auth-key"})
# A shorter part of a caller's header is no secret, and to mask it would make messages unreadable.
_SHORTEST_SECRET = 8


def _hidden(_: object) -> str:
    return "<hidden>"


def _with(check: Callable[[str, object], object]) -> Callable[[Any, "attrs.Attribute[Any]", object], None]:
    """Makes one of our checks of arguments an attrs validator."""

    def validate(_: object, attribute: "attrs.Attribute[Any]", value: object) -> None:
        check(attribute.name, value)

    return validate


def _with_optional(check: Callable[[str, object], object]) -> Callable[[Any, "attrs.Attribute[Any]", object], None]:
    return attrs.validators.optional(_with(check))


@frozen
class ApiToken:
    """An API token, sent as `Authorization: Bearer …`.

    Attributes:
        value: The token; a secret that the repr hides.
    """

    value: str = field(repr=_hidden)

    def headers(self) -> dict[str, str]:
        """Returns the headers that authenticate a request."""
        return {"Authorization": f"Bearer {self.value}"}

    def secrets(self) -> tuple[str, ...]:
        """Returns what must never be shown."""
        return (self.value,)


@frozen
class ApiKey:
    """A Global API Key with its account's e-mail address, sent as `X-Auth-Key` and `X-Auth-Email`.

    Attributes:
        value: The key; a secret that the repr hides.
        email: The address of the user that it belongs to.
    """

    value: str = field(repr=_hidden)
    email: str

    def headers(self) -> dict[str, str]:
        """Returns the headers that authenticate a request."""
        return {"X-Auth-Email": self.email, "X-Auth-Key": self.value}

    def secrets(self) -> tuple[str, ...]:
        """Returns what must never be shown."""
        return (self.value,)


Credentials = ApiToken | ApiKey


@frozen
class RetryEvent:
    """One retry that is about to be waited for.

    Attributes:
        operation: The API operation, such as "List PagerDuty services".
        attempt: Number of the attempt that failed, from 1.
        error: Why it failed.
        delay: Seconds until the next attempt.
    """

    operation: str
    attempt: int
    error: PagerDutyAlertingError
    delay: float


def _to_statuses(value: Iterable[int]) -> frozenset[int]:
    return arguments.check_statuses("statuses", value)


@frozen(kw_only=True)
class RetryPolicy:
    """When a call is tried again: after connection failures, timeouts of an attempt, and the error `statuses`.

    The wait before attempt n + 1 is random between zero and `initial_delay` * 2 ** (n - 1), at most `max_delay` ("full
    jitter"), or what `Retry-After` asks for where that is longer. A wait that would pass the call's deadline is not
    begun: the call fails at once. *Create* and *connect* are sent again only where the API cannot have acted on the
    first request: it was never reached, or answered 429. `statuses` does not change that.

    Attributes:
        max_attempts: Attempts in all, 1 for no retries.
        initial_delay: Longest wait before the second attempt, in seconds.
        max_delay: Longest wait before any attempt, in seconds, unless the API asks for a longer one.
        statuses: HTTP statuses (400 to 599) after which a call is tried again; by default 408, 429, 500, 502, 503, 504,
            and Cloudflare's 520 to 527 and 530. Any collection of them is kept as a frozenset.
        attempt_timeout: Longest time for a single attempt, in seconds; None leaves each all of the call's time.
        replay_unsafe: Send *create* and *connect* again after any transient failure, too. A create may then leave a
            second token behind, a connect may be carried out twice.
        on_retry: Called before each wait. What it raises is logged and goes no further.
    """

    max_attempts: int = field(default=3, validator=_with(arguments.check_count))
    initial_delay: float = field(default=0.5, validator=_with(arguments.check_delay))
    max_delay: float = field(default=8.0, validator=_with(arguments.check_delay))
    statuses: frozenset[int] = field(default=DEFAULT_RETRIED_STATUSES, converter=_to_statuses)
    attempt_timeout: float | None = field(default=None, validator=_with_optional(arguments.check_seconds))
    replay_unsafe: bool = field(default=False, validator=_with(arguments.check_flag))
    on_retry: Callable[[RetryEvent], object] | None = field(
        default=None, validator=attrs.validators.optional(attrs.validators.is_callable())
    )


def _to_headers(value: Mapping[str, str]) -> Mapping[str, str]:
    return arguments.check_headers("headers", value)


def _check_retry(name: str, value: object) -> RetryPolicy:
    if not isinstance(value, RetryPolicy):
        raise TypeError(f"{name} must be a RetryPolicy, not {type(value).__name__}")
    return value


@frozen(kw_only=True)
class Settings:
    """All that a call needs to know besides its arguments. Meanings and units are those of `AsyncClient`."""

    credentials: Credentials
    account_id: str | None = field(default=None, validator=_with_optional(arguments.check_identifier))
    base_url: str = DEFAULT_BASE_URL
    timeout: float = field(default=30.0, validator=_with(arguments.check_seconds))
    connect_timeout: float = field(default=5.0, validator=_with(arguments.check_seconds))
    retry: RetryPolicy = field(factory=RetryPolicy, validator=_with(_check_retry))
    respect_rate_limits: bool = field(default=True, validator=_with(arguments.check_flag))
    max_response_bytes: int = field(default=DEFAULT_MAX_RESPONSE_BYTES, validator=_with(arguments.check_count))
    user_agent: str = field(default=DEFAULT_USER_AGENT, validator=_with(arguments.check_header_text))
    extra_headers: Mapping[str, str] = field(factory=dict[str, str], converter=_to_headers, repr=_hidden, hash=False)

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
        """Returns what must never be shown: the credentials, and what the caller's headers consist of."""
        parts = " ".join(self.extra_headers.values()).split()
        return (*self.credentials.secrets(), *(part for part in parts if len(part) >= _SHORTEST_SECRET))

    def changed(self, changes: Mapping[str, Any]) -> Self:
        """Returns a copy with the given settings; None leaves one as it is."""
        return attrs.evolve(self, **{name: value for name, value in changes.items() if value is not None})


def resolve_credentials(
    environ: Mapping[str, str], *, api_token: str | None, api_key: str | None, api_email: str | None
) -> Credentials:
    """Returns the credentials that the arguments name, or else those of the environment, where a token wins.

    Raises:
        ConfigurationError: Credentials are missing or contradict each other, or a variable has an impossible value.
        TypeError: An argument is not a str.
        ValueError: An argument cannot be sent in a header.
    """
    if api_token is not None and (api_key is not None or api_email is not None):
        raise ConfigurationError("give either api_token, or api_key with api_email, not both")
    if api_token is not None:
        return ApiToken(arguments.check_secret("api_token", api_token))
    if api_key is None and api_email is None:
        token = _from_environment(environ, "CLOUDFLARE_API_TOKEN", arguments.check_secret)
        if token is not None:
            return ApiToken(token)
    key = (
        arguments.check_secret("api_key", api_key)
        if api_key is not None
        else _from_environment(environ, "CLOUDFLARE_API_KEY", arguments.check_secret)
    )
    email = (
        arguments.check_secret("api_email", api_email)
        if api_email is not None
        else _from_environment(environ, "CLOUDFLARE_EMAIL", arguments.check_secret)
    )
    if key is None and email is None:
        raise ConfigurationError(
            "no credentials: pass api_token=…, or set CLOUDFLARE_API_TOKEN"
            " (or CLOUDFLARE_API_KEY with CLOUDFLARE_EMAIL)"
        )
    if key is None:
        raise ConfigurationError("api_email without its api_key: pass api_key=…, or set CLOUDFLARE_API_KEY")
    if email is None:
        raise ConfigurationError("api_key without its api_email: pass api_email=…, or set CLOUDFLARE_EMAIL")
    return ApiKey(key, email)


def resolve_account_id(environ: Mapping[str, str], account_id: str | None) -> str | None:
    """Returns the argument, or else `CLOUDFLARE_ACCOUNT_ID`, or None; `Settings` checks it.

    Raises:
        ConfigurationError: The variable is no possible id.
    """
    if account_id is not None:
        return account_id
    variable = "CLOUDFLARE_ACCOUNT_ID"
    _from_environment(environ, variable, arguments.check_identifier)
    return environ.get(variable) or None


def resolve_base_url(environ: Mapping[str, str], base_url: str | None, *, allow_insecure_http: bool) -> str:
    """Returns the argument, or else `CLOUDFLARE_BASE_URL`, or else Cloudflare's, without a slash at its end.

    Raises:
        ConfigurationError: The variable is no base URL that credentials may be sent to.
        TypeError: The argument is not a str.
        ValueError: The argument is no base URL that credentials may be sent to.
    """
    insecure = arguments.check_flag("allow_insecure_http", allow_insecure_http)
    check = functools.partial(arguments.check_base_url, allow_insecure_http=insecure)
    if base_url is not None:
        return check("base_url", base_url)
    return _from_environment(environ, "CLOUDFLARE_BASE_URL", check) or DEFAULT_BASE_URL


def _from_environment(environ: Mapping[str, str], variable: str, check: Callable[[str, object], str]) -> str | None:
    """Returns a checked variable; an empty one counts as not set, as with Cloudflare's own tools."""
    value = environ.get(variable)
    if not value:
        return None
    try:
        return check(variable, value)
    except ValueError as error:
        raise ConfigurationError(f"the environment variable {error}") from None
