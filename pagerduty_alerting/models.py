"""What the API sends and what a call returns, as frozen attrs classes; no behaviour, no I/O."""

from collections.abc import Mapping
from typing import Generic, TypeVar

from attrs import field, frozen

__all__ = [
    "AccountDeletion",
    "AccountServices",
    "ConnectedDestination",
    "Envelope",
    "IntegrationToken",
    "RateLimit",
    "RateLimitPolicy",
    "RateLimits",
    "Response",
    "ResponseInfo",
    "ResultInfo",
    "Service",
    "ServicesDeleted",
    "ServicesListed",
    "ServicesNotDeleted",
    "ServicesNotListed",
]

T = TypeVar("T")


def _hidden(_: object) -> str:
    return "<hidden>"


@frozen
class Service:
    """A PagerDuty service that Cloudflare can notify.

    Attributes:
        id: Identifies the service at Cloudflare: a UUID, dashed or as 32 hexadecimal digits.
        name: The service's name in PagerDuty.
    """

    id: str
    name: str


@frozen
class IntegrationToken:
    """A token that links PagerDuty with an account once a person has authorised it in PagerDuty.

    Attributes:
        id: The token itself. It is a secret, so the repr hides it.
    """

    id: str = field(repr=_hidden)


@frozen
class ConnectedDestination:
    """The answer of *Connect PagerDuty*.

    Attributes:
        id: Identifies the link. Cloudflare does not say whether it repeats the integration token, so the repr
            hides it as well.
    """

    id: str = field(repr=_hidden)


@frozen
class ResponseInfo:
    """One error or message of a response.

    Attributes:
        message: The text for a person; empty where the API sent only a code.
        code: Cloudflare's number for it, 1000 or more; None where the API left it out.
        chain: What caused it, the nearest cause first; mostly empty.
        documentation_url: Where Cloudflare documents it; None where the API does not say.
        source_pointer: JSON pointer to the part of the request that it is about; None where the API does not say.
    """

    message: str
    code: int | None = None
    chain: tuple["ResponseInfo", ...] = ()
    documentation_url: str | None = None
    source_pointer: str | None = None


@frozen
class ResultInfo:
    """How much of a list an answer holds. Any of it may be missing.

    Attributes:
        count: Results on this page.
        page: The page's number, from 1.
        per_page: Results per page.
        total_count: Results in all.
    """

    count: int | None = None
    page: int | None = None
    per_page: int | None = None
    total_count: int | None = None


@frozen
class Envelope(Generic[T]):
    """What Cloudflare wraps around every answer.

    Attributes:
        success: Always True on an envelope that a call returned: False is raised as an error.
        result: What was asked for.
        errors: Empty on success.
        messages: Remarks of the API, usually none.
        result_info: How much of a list this is, where the API says so.
    """

    success: bool
    result: T
    errors: tuple[ResponseInfo, ...] = ()
    messages: tuple[ResponseInfo, ...] = ()
    result_info: ResultInfo | None = None


@frozen
class RateLimit:
    """What is left of one quota, from the `Ratelimit` header.

    Attributes:
        name: The quota's name.
        remaining: Requests left until the reset.
        reset_after: Seconds to the reset, as of the answer; None where the API left it out.
    """

    name: str
    remaining: int
    reset_after: float | None = None


@frozen
class RateLimitPolicy:
    """One quota, from the `Ratelimit-Policy` header.

    Attributes:
        name: The quota's name.
        quota: Requests allowed in each window.
        window: Length of the window in seconds; None where the API left it out.
    """

    name: str
    quota: int
    window: float | None = None


@frozen
class RateLimits:
    """All that an answer says of quotas. Empty where it says nothing that can be read.

    Attributes:
        limits: What is left of each quota.
        policies: The quotas.
    """

    limits: tuple[RateLimit, ...] = ()
    policies: tuple[RateLimitPolicy, ...] = ()


@frozen(kw_only=True)
class Response(Generic[T]):
    """A result together with the answer that it came in.

    Attributes:
        envelope: The answer's envelope, with the result in it.
        status: HTTP status.
        headers: HTTP headers, looked up without regard to case.
        ray_id: Cloudflare's id of the request (`CF-Ray`): name it to their support. None where it was missing.
        rate_limits: What the answer said of quotas.
        attempts: How often the request was sent, 1 or more.
        elapsed: Seconds from the call to its result, waiting and retries included.
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
        """What was asked for: the envelope's result."""
        return self.envelope.result


@frozen
class AccountServices:
    """What `list_services_in` found for one account: `ServicesListed` or `ServicesNotListed`, told by `error`.

    Attributes:
        account_id: The account.
        services: Its services, empty where PagerDuty is not connected; None where there is an `error`.
        error: What the call for the account raised; None where it succeeded.
    """

    account_id: str
    services: list[Service] | None = None
    error: Exception | None = None


@frozen
class ServicesListed(AccountServices):
    """The services of an account; `error` is None."""

    services: list[Service] = field(factory=list[Service])
    error: None = None


@frozen
class ServicesNotListed(AccountServices):
    """The error of an account; `services` is None."""

    services: None = None
    error: Exception = field(factory=Exception)


@frozen
class AccountDeletion:
    """What `delete_services_in` did for one account: `ServicesDeleted` or `ServicesNotDeleted`, told by `error`.

    Attributes:
        account_id: The account.
        envelope: The API's response; None where there is an `error`.
        error: What the call for the account raised; None where it succeeded.
    """

    account_id: str
    envelope: Envelope[None] | None = None
    error: Exception | None = None


@frozen
class ServicesDeleted(AccountDeletion):
    """The API's response for an account; `error` is None."""

    envelope: Envelope[None] = field(factory=lambda: Envelope(True, None))
    error: None = None


@frozen
class ServicesNotDeleted(AccountDeletion):
    """The error of an account; `envelope` is None."""

    envelope: None = None
    error: Exception = field(factory=Exception)
