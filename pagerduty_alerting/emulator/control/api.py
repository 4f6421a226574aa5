"""The control API below `/_emulator/`: the methods of `Emulator` over HTTP.

Paths and the fields of their JSON bodies:

    GET state                                   accounts, services, tokens, faults and the number of requests
    GET requests, DELETE requests               the recorded requests, credentials masked
    POST authorize {token, services}            authorizes a token, as a person does in PagerDuty
    POST expire {token}                         makes a token expire
    POST accounts {id?, services?, entitled?}   adds an account
    POST services {name, account_id?}           links a service with an account
    POST faults {fault, arguments?, operations?, times?, skip?, probability?, after_acting?}, GET, DELETE
    POST release {count?}                       releases held requests
    POST advance {seconds}                      advances the clock
    POST reset                                  restores the initial state

A fault is a method of `FaultBuilder`, such as `{"fault": "respond", "arguments": {"status": 503}, "times": 2}`. A
response is an envelope like Cloudflare's; for invalid input its `errors` say what was wrong, and where.
"""

import contextlib
import inspect
import ipaddress
from collections.abc import Callable
from http import HTTPStatus
from typing import TYPE_CHECKING, cast
from urllib.parse import parse_qs, urlsplit

from aiohttp import web
from attrs import asdict

from pagerduty_alerting.emulator.control.page import PAGE_HEADERS, PageContent, render_page
from pagerduty_alerting.emulator.errors import EmulatorUsageError
from pagerduty_alerting.emulator.faults.builder import FaultBuilder
from pagerduty_alerting.emulator.faults.gates import Gate
from pagerduty_alerting.emulator.faults.selection import Order
from pagerduty_alerting.emulator.json_input import convert_arguments, read_arguments
from pagerduty_alerting.emulator.requests import mask_account, mask_query
from pagerduty_alerting.emulator.rules.answers import (
    Answer,
    Dialect,
    Json,
    Refusal,
    failure,
    method_not_allowed,
    no_route,
    success,
)
from pagerduty_alerting.emulator.rules.contract import Operation
from pagerduty_alerting.emulator.rules.state import Service
from pagerduty_alerting.emulator.server import to_response

if TYPE_CHECKING:
    from pagerduty_alerting.emulator.emulator import Emulator

_PAGE = "/_emulator/"
_FORM = "application/x-www-form-urlencoded"
_LATEST = 50

FAULTS = tuple(
    name
    for name, method in vars(FaultBuilder).items()
    if not name.startswith("_") and inspect.signature(method).return_annotation in {Order, Gate}
)
"""The faults of the control API: every method of the builder that orders a fault."""


class ControlAPI:
    """Handles the requests below `/_emulator/`."""

    def __init__(self, emulator: "Emulator", host: str) -> None:
        self._emulator = api = emulator
        self._host = host.lower()
        # By the last part of the path and the method. Their parameters are the fields of the JSON body.
        self._actions: dict[str, dict[str, Callable[..., object]]] = {
            "state": {"GET": self._state},
            "requests": {"GET": self._requests, "DELETE": self._clear_requests},
            "authorize": {"POST": api.authorize},
            "expire": {"POST": api.expire},
            "advance": {"POST": api.advance},
            "accounts": {"POST": self._add_account},
            "services": {"POST": api.add_service},
            "faults": {"GET": self._faults, "POST": self.order_fault, "DELETE": self._cancel_faults},
            "release": {"POST": api.release},
            "reset": {"POST": api.reset},
        }

    async def __call__(self, request: web.BaseRequest, path: str, body: bytes) -> web.StreamResponse:
        """Returns the response to one request; for invalid input, a 400 envelope that says what is wrong."""
        # JSON too is sent under that type, by `curl --data`.
        is_form = request.content_type == _FORM and not body.lstrip().startswith(b"{")
        try:
            return to_response(self._answer(request, path, body, is_form=is_form))
        except EmulatorUsageError as error:
            if is_form:
                return to_response(self._page(400, str(error)))
            return to_response(_refused(400, str(error)))

    def _answer(self, request: web.BaseRequest, path: str, body: bytes, *, is_form: bool) -> Answer:
        method = request.method
        host = request.headers.get("Host", "localhost")
        name = _name_of(host)
        if not is_loopback(name) and name != self._host:
            # By DNS rebinding, a web page could otherwise read and control the emulator.
            return _refused(403, f"host {host} is not this machine: use localhost, or start the emulator on that host")
        if path == "/":
            return Answer(HTTPStatus.FOUND, b"", (("Location", _PAGE),))
        if path in {_PAGE, _PAGE.rstrip("/")}:
            if method not in {"GET", "HEAD"}:
                return failure(method_not_allowed("GET, HEAD"), Dialect())
            return self._page(200)
        action = path.removeprefix(_PAGE)
        methods = self._actions.get(action)
        if methods is None:
            return failure(no_route(), Dialect())
        if method not in methods:
            return failure(method_not_allowed(", ".join(sorted(methods))), Dialect())
        origin = request.headers.get("Origin")
        if method != "GET" and origin not in {None, f"http://{host}"}:
            return _refused(403, f"requests from {origin} are not allowed")  # from another web page
        if is_form:
            self._submit_form(action, body)
            return Answer(HTTPStatus.SEE_OTHER, b"", (("Location", _PAGE),))
        function = methods[method]
        result = function(**read_arguments(body, function))
        created = method == "POST" and result is not None
        return success(asdict(result) if isinstance(result, Service) else cast("Json", result), 201 if created else 200)

    def _submit_form(self, action: str, body: bytes) -> None:
        fields = parse_qs(body.decode(errors="replace"))
        if action == "authorize":
            written = [line.strip() for text in fields.get("others", []) for line in text.splitlines()]
            services = [*fields.get("services", []), *filter(None, written)]
            self._emulator.authorize(fields.get("token", [""])[0], services)
        elif action == "reset":
            self._emulator.reset()
        else:
            raise EmulatorUsageError(f"{action} takes JSON, not a form")

    def _page(self, status: int, problem: str | None = None) -> Answer:
        api = self._emulator
        content = PageContent(
            environ=api.environ | {"PAGERDUTY_ALERTING_AUTHORIZE_URL": api.authorize_url},
            accounts=tuple(api.accounts()),
            tokens=tuple((token, api.token_state(token)) for token in reversed(api.tokens())),
            catalogue=api.catalogue,
            requests=tuple(reversed(api.requests[-_LATEST:])),
            problem=problem,
        )
        return Answer(status, render_page(content).encode(), PAGE_HEADERS)

    # The actions that are not a method of the emulator.

    def _state(self) -> Json:
        api = self._emulator
        return {
            "environ": dict(api.environ),
            "accounts": [asdict(account) for account in api.accounts()],
            "tokens": [
                {
                    "id": token.id,
                    "account_id": token.account_id,
                    "state": api.token_state(token).value,
                    "services": None if token.services is None else list(token.services),
                }
                for token in api.tokens()
            ],
            "faults": self._faults(),
            "requests": api.requests.total,
        }

    def _requests(self) -> Json:
        return [
            {
                "number": request.number,
                "method": request.method,
                "path": request.masked_path,
                "query": mask_query(request.query),
                "operation": None if request.operation is None else request.operation.value,
                "account_id": None if request.account_id is None else mask_account(request.account_id),
                "headers": dict(request.headers),
                "body": request.body.decode(errors="replace"),
                "received_at": request.received_at.isoformat(),
                "status": request.status,
                "fault": request.fault,
                "elapsed": request.elapsed,
            }
            for request in self._emulator.requests
        ]

    def _clear_requests(self) -> None:
        self._emulator.requests.clear()

    def _add_account(self, id: str | None = None, services: tuple[str, ...] = (), entitled: bool = True) -> Json:
        return {"id": self._emulator.add_account(id, services=services, entitled=entitled)}

    def _faults(self) -> Json:
        return [{"description": order.description, "used": order.used} for order in self._emulator.orders]

    def order_fault(
        self,
        fault: str,
        arguments: object = None,
        operations: tuple[Operation, ...] = (),
        times: int | None = None,
        skip: int = 0,
        probability: float = 1.0,
        after_acting: bool = False,
    ) -> Json:
        """Orders a fault, a method of `FaultBuilder` with its arguments by name; returns the descriptions of all.

        The other parameters select requests, as the builder's methods of the same names do.
        """
        if fault not in FAULTS:
            raise EmulatorUsageError(f"no fault {fault!r}: use one of {', '.join(sorted(FAULTS))}")
        builder = self._emulator.on(*operations).skip(skip).sometimes(probability)
        if times is not None:
            builder = builder.times(times)
        if after_acting:
            builder = builder.after_acting()
        order = getattr(builder, fault)
        order(**convert_arguments({} if arguments is None else arguments, order))
        return self._faults()

    def _cancel_faults(self) -> None:
        for order in self._emulator.orders:
            order.cancel()
        self._emulator.release()


def is_loopback(host: str) -> bool:
    """Returns whether a host name or address can be reached from this machine alone."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return False


def _name_of(host: str) -> str:
    """Returns the name or address in a `Host` header, in lower case; an empty string if it is malformed."""
    with contextlib.suppress(ValueError):
        return (urlsplit(f"http://{host}").hostname or "").rstrip(".")
    return ""


def _refused(status: int, message: str) -> Answer:
    return failure(Refusal(status, None, message), Dialect())
