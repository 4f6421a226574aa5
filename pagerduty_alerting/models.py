"""What calls return, as frozen attrs classes without behaviour."""

from collections.abc import Mapping
from typing import Generic, TypeVar

from attrs import field, frozen

from pagerduty_alerting._values import Value, hidden

__all__ = [
    "AccountDeletion", "AccountServices", "ConnectedDestination", "Envelope", "IntegrationToken", "RateLimit",
    "RateLimitPolicy", "RateLimits", "Response", "ResponseInfo", "ResultInfo", "Service", "ServicesDeleted",
    "ServicesListed", "ServicesNotDeleted", "ServicesNotListed",
]  # fmt: skip

T = TypeVar("T")


@frozen(eq=False, repr=False)
class Service(Value):
    """A PagerDuty service that Cloudflare can notify.

    Attributes:
        id: Cloudflare's id of the service: a UUID, dashed or as 32 hexadecimal digits; empty if the API left it out.
        name: The service's name in PagerDuty; empty if the API left it out.
    """

    id: str
    name: str


@frozen(eq=False, repr=False)
class IntegrationToken(Value):
    """A token that links PagerDuty with an account once a person has authorized it in PagerDuty.

    Attributes:
        id: The token itself. It is a secret, so the repr hides it.
    """

    id: str = field(repr=hidden)


@frozen(eq=False, repr=False)
class ConnectedDestination(Value):
    """The result of *Connect PagerDuty*.

    Attributes:
        id: Cloudflare's id of the link; empty if the API left it out. It is not documented whether it repeats the
            integration token, so the repr hides it as well.
    """

    id: str = field(repr=hidden)


@frozen(eq=False, repr=False)
class ResponseInfo(Value):
    """One error or message of a response.

    Attributes:
        message: Text for a person; empty if the API sent only a code.
        code: Cloudflare's code, 1000 or more; None if the API left it out.
        chain: Its causes, the nearest first; usually empty.
        documentation_url: URL of its documentation; None if the API left it out.
        source_pointer: JSON pointer to the part of the request that it refers to; None if the API left it out.
    """

    message: str
    code: int | None = None
    chain: tuple["ResponseInfo", ...] = ()
    documentation_url: str | None = None
    source_pointer: str | None = None


@frozen(eq=False, repr=False)
class ResultInfo(Value):
    """Pagination of a list; each number is None if the API left it out.

    Attributes:
        count: Results on this page.
        page: Number of this page, from 1.
        per_page: Results per page.
        total_count: Results in total.
    """

    count: int | None = None
    page: int | None = None
    per_page: int | None = None
    total_count: int | None = None


@frozen(eq=False, repr=False)
class Envelope(Value, Generic[T]):
    """The envelope of every response of the API.

    Attributes:
        success: Always True on an envelope that a call returned; False is raised as an `APIStatusError`.
        result: The result of the operation.
        errors: Empty on success.
        messages: Informational messages, usually none.
        result_info: Pagination of a list; None if the API left it out.
    """

    success: bool
    result: T
    errors: tuple[ResponseInfo, ...] = ()
    messages: tuple[ResponseInfo, ...] = ()
    result_info: ResultInfo | None = None


@frozen(eq=False, repr=False)
class RateLimit(Value):
    """What is left of one quota, from the `Ratelimit` header.

    Attributes:
        name: The quota's name.
        remaining: Requests left until the reset.
        reset_after: Seconds from the response to the reset; None if the API left it out.
    """

    name: str
    remaining: int
    reset_after: float | None = None


@frozen(eq=False, repr=False)
class RateLimitPolicy(Value):
    """One quota, from the `Ratelimit-Policy` header.

    Attributes:
        name: The quota's name.
        quota: Requests allowed in each window.
        window: Length of the window in seconds; None if the API left it out.
    """

    name: str
    quota: int
    window: float | None = None


@frozen(eq=False, repr=False)
class RateLimits(Value):
    """The quotas that a response reports; empty if its headers are missing or malformed.

    Attributes:
        limits: What is left of each quota.
        policies: The quotas.
    """

    limits: tuple[RateLimit, ...] = ()
    policies: tuple[RateLimitPolicy, ...] = ()


@frozen(kw_only=True, eq=False, repr=False)
class Response(Value, Generic[T]):
    """A result together with the response that carried it.

    Attributes:
        envelope: The envelope of the response, which contains the result.
        status: HTTP status.
        headers: HTTP headers; lookup ignores case.
        ray_id: Cloudflare's id of the request (`CF-Ray`), to quote to their support; None if it was missing.
        rate_limits: The quotas that the response reports.
        attempts: How many attempts the call made, 1 or more.
        elapsed: Seconds from the start of the call to its result, including waiting and retries.
    """

    envelope: Envelope[T]
    status: int
    headers: Mapping[str, str] = field(repr=False)
    ray_id: str | None
    rate_limits: RateLimits
    attempts: int
    elapsed: float

    @property
    def result(self) -> T:
        """The result of the operation, from the envelope."""
        return self.envelope.result


@frozen(eq=False, repr=False)
class AccountServices(Value):
    """One result of `list_services_in`: `ServicesListed`, or `ServicesNotListed` if `error` is not None.

    Attributes:
        account_id: The account.
        services: Its services, empty if PagerDuty is not connected; None if the call failed.
        error: The exception of the call for the account; None if it succeeded.
    """

    account_id: str
    services: list[Service] | None = None
    error: Exception | None = None


class ServicesListed(AccountServices):
    """The services of an account; `error` is None."""

    __slots__ = ()
    services: list[Service]
    error: None


class ServicesNotListed(AccountServices):
    """The error of an account; `services` is None."""

    __slots__ = ()
    services: None
    error: Exception


@frozen(eq=False, repr=False)
class AccountDeletion(Value):
    """One result of `delete_services_in`: `ServicesDeleted`, or `ServicesNotDeleted` if `error` is not None.

    Attributes:
        account_id: The account.
        envelope: The envelope of the response; None if the call failed.
        error: The exception of the call for the account; None if it succeeded.
    """

    account_id: str
    envelope: Envelope[None] | None = None
    error: Exception | None = None


class ServicesDeleted(AccountDeletion):
    """The envelope of the response for an account; `error` is None."""

    __slots__ = ()
    envelope: Envelope[None]
    error: None


class ServicesNotDeleted(AccountDeletion):
    """The error of an account; `envelope` is None."""

    __slots__ = ()
    envelope: None
    error: Exception
