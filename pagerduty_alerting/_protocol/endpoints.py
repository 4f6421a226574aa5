"""The four endpoints as data, and the requests built from them; pure."""

import functools
from typing import Any, Generic, TypeVar

from attrs import field, frozen
from yarl import URL

from pagerduty_alerting._arguments import check_identifier, check_text
from pagerduty_alerting._protocol.redaction import MASK, excerpt, redact
from pagerduty_alerting.models import ConnectedDestination, IntegrationToken, Service

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

_READ = (
    "Notifications Read",
    "Notifications Write",
    "Account Settings Read",
    "Account Settings Write",
    "Zero Trust: PII Read",
)
_WRITE = ("Notifications Write", "Account Settings Write")


@frozen(kw_only=True, eq=False, repr=False)
class Endpoint(Generic[T_co]):
    """One operation of the API."""

    operation: str  # its name in Cloudflare's documentation
    method: str
    suffix: str = ""  # path below the account's PagerDuty destinations; it may end in an argument in braces
    result_type: type[T_co]
    success: int = 200  # the documented status; any 2xx is accepted if the envelope reports success
    replay_safe: bool  # sending it twice has the same effect as sending it once
    permissions: tuple[str, ...]  # any of them is enough
    answers_secret: bool = False  # a response may contain an integration token

    @property
    def argument(self) -> str | None:
        """Name of the path argument besides the account; None if there is none."""
        return self.suffix.partition("{")[2].rstrip("}") or None


LIST_SERVICES = Endpoint(
    operation="List PagerDuty services",
    method="GET",
    result_type=list[Service],
    replay_safe=True,
    permissions=_READ,
)
DELETE_SERVICES = Endpoint(
    operation="Delete PagerDuty Services",
    method="DELETE",
    result_type=type(None),
    replay_safe=True,
    permissions=_WRITE,
)
CREATE_INTEGRATION_TOKEN = Endpoint(
    operation="Create PagerDuty integration token",
    method="POST",
    suffix="/connect",
    result_type=IntegrationToken,
    success=201,
    replay_safe=False,  # every call creates another token
    permissions=_WRITE,
    answers_secret=True,
)
CONNECT = Endpoint(
    operation="Connect PagerDuty",
    method="GET",
    suffix="/connect/{token}",
    result_type=ConnectedDestination,
    replay_safe=False,  # a GET that changes state
    permissions=_WRITE,
    answers_secret=True,
)

ENDPOINTS: tuple[Endpoint[Any], ...] = (LIST_SERVICES, DELETE_SERVICES, CREATE_INTEGRATION_TOKEN, CONNECT)


@frozen(eq=False, repr=False)
class Request(Generic[T_co]):
    """One request to an endpoint, without a query or a body."""

    endpoint: Endpoint[T_co]
    url: URL = field(repr=False)  # percent-encoded; that of *connect* contains the token
    path: str  # below the base URL, an integration token in it masked
    secrets: tuple[str, ...] = field(repr=False)  # must not appear in a message about this request

    @property
    def method(self) -> str:
        """The HTTP method."""
        return self.endpoint.method

    @property
    def shown_url(self) -> URL:
        """The URL for tracing hooks, an integration token in it masked."""
        if not self.path.endswith(MASK):
            return self.url
        return URL(str(self.url).removesuffix(self.url.raw_name) + MASK, encoded=True)

    def redact(self, text: str) -> str:
        """Returns a text of the response, secrets masked."""
        return redact(text, self.secrets, uuids=self.endpoint.answers_secret)

    def excerpt(self, body: bytes) -> str | None:
        """Returns the start of the response's body, secrets masked; None if the body may contain a token."""
        return None if self.endpoint.answers_secret else excerpt(body, self.secrets, uuids=True)

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


def build_request(
    endpoint: Endpoint[T],
    base_url: str,
    account_id: str,
    argument: IntegrationToken | str | None = None,
    *,
    secrets: tuple[str, ...] = (),
) -> Request[T]:
    """Returns the request for a call; `secrets` are those of the credentials.

    An argument of type `IntegrationToken` is masked in `Request.path`; a str is treated as a public id. Raises what
    `check_identifier` raises.
    """
    path = _destinations_path(check_text("account_id", account_id)) + endpoint.suffix.partition("{")[0]
    if endpoint.argument is None:
        return Request(endpoint, URL(base_url + path, encoded=True), path, secrets)
    if not isinstance(argument, IntegrationToken):
        path += check_identifier(endpoint.argument, argument)
        return Request(endpoint, URL(base_url + path, encoded=True), path, secrets)
    segment = check_identifier(endpoint.argument, argument.id)
    url = URL(base_url + path + segment, encoded=True)
    # The token is a secret in both forms: as passed, and percent-encoded.
    return Request(endpoint, url, path + MASK, (*secrets, argument.id, segment))


@functools.lru_cache(maxsize=256)
def _destinations_path(account_id: str) -> str:
    return f"/accounts/{check_identifier('account_id', account_id)}/alerting/v3/destinations/pagerduty"
