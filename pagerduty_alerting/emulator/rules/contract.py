"""The API as data: operations, permissions, paths."""

import enum
import re
from typing import TypeAlias
from urllib.parse import unquote

from attrs import field, frozen

from pagerduty_alerting.emulator.errors import EmulatorUsageError

BASE_PATH = "/client/v4"
Headers: TypeAlias = tuple[tuple[str, str], ...]

_PATH = re.compile(
    rf"{BASE_PATH}/accounts/(?P<account>[^/]+)/alerting/v3/destinations/pagerduty"
    r"(?P<connect>/connect(?:/(?P<token>[^/]+))?)?"
)


class Permission(enum.StrEnum):
    """A permission of an API token or API key, named as in Cloudflare's dashboard."""

    NOTIFICATIONS_READ = "Notifications Read"
    NOTIFICATIONS_WRITE = "Notifications Write"
    ACCOUNT_SETTINGS_READ = "Account Settings Read"
    ACCOUNT_SETTINGS_WRITE = "Account Settings Write"
    ZERO_TRUST_PII_READ = "Zero Trust: PII Read"


class Operation(enum.StrEnum):
    """One of the four operations of the API. Functions also accept its value, such as "list"."""

    LIST = "list"
    DELETE = "delete"
    CREATE = "create"
    CONNECT = "connect"

    @classmethod
    def _missing_(cls, value: object) -> "Operation":
        raise EmulatorUsageError(f"no operation {value!r}: use one of {', '.join(cls)}")


_WRITE_PERMISSIONS = frozenset({Permission.NOTIFICATIONS_WRITE, Permission.ACCOUNT_SETTINGS_WRITE})


def permits(permissions: frozenset[Permission], operation: Operation | None) -> bool:
    """Returns whether an operation is permitted: any permission allows list, the others need a write permission."""
    return bool(permissions if operation is Operation.LIST else permissions & _WRITE_PERMISSIONS)


@frozen
class Resource:
    """A path of the API, with the operation of each HTTP method."""

    operations: dict[str, Operation]

    @property
    def allow(self) -> str:
        """The value of the `Allow` header: every method that this path supports."""
        methods = [*self.operations, "OPTIONS"]
        if Operation.LIST in self.operations.values():
            methods.append("HEAD")
        return ", ".join(sorted(methods))


SERVICES = Resource({"GET": Operation.LIST, "DELETE": Operation.DELETE})
TOKENS = Resource({"POST": Operation.CREATE})
CONNECTION = Resource({"GET": Operation.CONNECT})


@frozen
class Route:
    """The target of a request, its ids as sent."""

    resource: Resource | None = None  # None for an unknown path
    operation: Operation | None = None  # None also for a method without an operation
    account_id: str | None = None
    token_id: str | None = field(default=None, repr=False)


UNKNOWN_ROUTE = Route()


def find_route(method: str, raw_path: str) -> Route:
    """Returns the route of a request for a path as sent, without the query; `UNKNOWN_ROUTE` for an unknown path.

    HEAD counts as GET only for list, because the GET of connect changes state.
    """
    found = _PATH.fullmatch(raw_path)
    if found is None:
        return UNKNOWN_ROUTE
    account_id, token_id = unquote(found["account"]), found["token"]
    if token_id is not None:
        return Route(CONNECTION, CONNECTION.operations.get(method), account_id, unquote(token_id))
    if found["connect"] is not None:
        return Route(TOKENS, TOKENS.operations.get(method), account_id)
    return Route(SERVICES, SERVICES.operations.get("GET" if method == "HEAD" else method), account_id)
