"""The four operations as the contract defines them: a second reading, independent of the package's own table."""

from typing import Any

from attrs import field, frozen

from pagerduty_alerting import ConnectedDestination, IntegrationToken, Service

ACCOUNT_ID = "023e105f4ecef8ad9ca31a8372d0c353"
TOKEN_ID = "a313ba7d3e464c0ea40808fafbc3816a"
API_TOKEN = "api-token-that-must-stay-secret"

DESTINATIONS = f"/accounts/{ACCOUNT_ID}/alerting/v3/destinations/pagerduty"


@frozen
class Documented:
    """One operation: how it is called, what is sent for it, and what is answered."""

    name: str
    arguments: tuple[Any, ...] = field(repr=False)
    method: str
    path: str = field(repr=False)
    status: int
    answer: dict[str, Any] = field(repr=False)
    result: Any = field(repr=False)
    permissions: tuple[str, ...] = field(repr=False)

    def __str__(self) -> str:
        return self.name


_WRITE = ("Notifications Write", "Account Settings Write")
_READ = (
    "Notifications Read",
    "Notifications Write",
    "Account Settings Read",
    "Account Settings Write",
    "Zero Trust: PII Read",
)

LIST = Documented(
    "list_services",
    (),
    "GET",
    DESTINATIONS,
    200,
    {
        "success": True,
        "errors": [],
        "messages": [],
        "result": [{"id": "f174e90a-fafe-4643-bbbc-4a0ed4fc8415", "name": "My PagerDuty Service"}],
        "result_info": {"count": 1, "page": 1, "per_page": 20, "total_count": 1},
    },
    [Service("f174e90a-fafe-4643-bbbc-4a0ed4fc8415", "My PagerDuty Service")],
    _READ,
)
DELETE = Documented(
    "delete_services",
    (),
    "DELETE",
    DESTINATIONS,
    200,
    {"success": True, "errors": [], "messages": []},
    None,
    _WRITE,
)
CREATE = Documented(
    "create_integration_token",
    (),
    "POST",
    f"{DESTINATIONS}/connect",
    201,
    {"success": True, "errors": [], "messages": [], "result": {"id": TOKEN_ID}},
    IntegrationToken(TOKEN_ID),
    _WRITE,
)
CONNECT = Documented(
    "connect",
    (TOKEN_ID,),
    "GET",
    f"{DESTINATIONS}/connect/{TOKEN_ID}",
    200,
    {"success": True, "errors": [], "messages": [], "result": {"id": "78c8efcf-b43d-4d9b-b1b7-3e6d3b1a3b0f"}},
    ConnectedDestination("78c8efcf-b43d-4d9b-b1b7-3e6d3b1a3b0f"),
    _WRITE,
)

OPERATIONS = (LIST, DELETE, CREATE, CONNECT)
