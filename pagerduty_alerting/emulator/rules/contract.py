"""What the API offers, as data: operations, permissions, paths."""

import enum
from typing import TypeAlias
from urllib.parse import unquote

from attrs import field, frozen

from pagerduty_alerting.emulator.errors import EmulatorUsageError

BASE_PATH = "/client/v4"
Headers: TypeAlias = tuple[tuple[str, str], ...]

_PREFIX = f"{BASE_PATH}/accounts/"
_DESTINATION = ["alerting", "v3", "destinations", "pagerduty"]


class Permission(enum.StrEnum):
    """What an API token or API key may do, in the words of Cloudflare's dashboard."""

    NOTIFICATIONS_READ = "Notifications Read"
    NOTIFICATIONS_WRITE = "Notifications Write"
    ACCOUNT_SETTINGS_READ = "Account Settings Read"
    ACCOUNT_SETTINGS_WRITE = "Account Settings Write"
    ZERO_TRUST_PII_READ = "Zero Trust: PII Read"


class Operation(enum.StrEnum):
    """One of the four operations of the API; where one is wanted, its value, such as "list", does as well."""

    LIST = "list"
    DELETE = "delete"
    CREATE = "create"
    CONNECT = "connect"

    @classmethod
    def _missing_(cls, value: object) -> "Operation":
        raise EmulatorUsageError(f"no operation {value!r}: use one of {', '.join(cls)}")


_WRITERS = frozenset({Permission.NOTIFICATIONS_WRITE, Permission.ACCOUNT_SETTINGS_WRITE})


def permits(permissions: frozenset[Permission], operation: Operation | None) -> bool:
    """Returns whether an operation is permitted: any permission allows list, only writers may do the rest."""
    return bool(permissions if operation is Operation.LIST else permissions & _WRITERS)


@frozen
class Resource:
    """A path of the API: the operation behind each HTTP method."""

    operations: dict[str, Operation]

    @property
    def allow(self) -> str:
        """The value of the `Allow` header: every method that this path answers."""
        methods = [*self.operations, "OPTIONS"]
        if Operation.LIST in self.operations.values():
            methods.append("HEAD")
        return ", ".join(sorted(methods))


SERVICES = Resource({"GET": Operation.LIST, "DELETE": Operation.DELETE})
TOKENS = Resource({"POST": Operation.CREATE})
CONNECTION = Resource({"GET": Operation.CONNECT})


@frozen
class Route:
    """Where a request leads.

    Attributes:
        resource: The path's resource, or None where the API has no such path.
        operation: The operation, or None where there is no such path or the method does nothing there.
        account_id: The account in the path, as sent.
        token_id: The integration token in the path, as sent.
    """

    resource: Resource | None = None
    operation: Operation | None = None
    account_id: str | None = None
    token_id: str | None = field(default=None, repr=False)


NOWHERE = Route()


def find_route(method: str, raw_path: str) -> Route:
    """Returns where a request leads; `NOWHERE` for a path that the API does not have.

    Args:
        method: The HTTP method. HEAD counts as the GET that it asks about where that GET is safe: listing is,
            connecting changes state.
        raw_path: The path as it came, percent-encoded and without the query.
    """
    if not raw_path.startswith(_PREFIX):
        return NOWHERE
    account_id, *rest = raw_path[len(_PREFIX) :].split("/")
    if not account_id or rest[:4] != _DESTINATION:
        return NOWHERE
    token_id: str | None = None
    match rest[4:]:
        case []:
            resource = SERVICES
        case ["connect"]:
            resource = TOKENS
        case ["connect", token_id] if token_id:
            resource = CONNECTION
            token_id = unquote(token_id)
        case _:
            return NOWHERE
    operation = resource.operations.get(method)
    if method == "HEAD" and resource is SERVICES:
        operation = Operation.LIST
    return Route(resource, operation, unquote(account_id), token_id)
