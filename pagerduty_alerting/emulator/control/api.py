"""The control API below `/_emulator/`: the methods of `Emulator` over HTTP.

Paths and the fields of their JSON bodies:

    GET state                                   accounts, services and tokens
    GET requests, DELETE requests               the recorded requests, credentials masked
    POST authorize {token, services}            what a person does in PagerDuty
    POST expire {token}                         ends a token
    POST accounts, POST services {name, account_id?}
    POST faults {fault, arguments, operations, times, skip, probability, after_acting}, GET, DELETE
    POST release {count?}                       opens gates
    POST advance {seconds}                      turns the clock
    POST reset                                  begins anew
"""

import contextlib
import ipaddress
from collections.abc import Callable
from http import HTTPStatus
from typing import TYPE_CHECKING, TypeAlias
from urllib.parse import parse_qs, urlsplit

from aiohttp import web
from attrs import asdict

from pagerduty_alerting.emulator.control.orders import (
    Advance,
    Authorization,
    FaultRequest,
    NewService,
    Release,
    TokenChoice,
    place_fault,
)
from pagerduty_alerting.emulator.control.page import PAGE_HEADERS, PageContent, PageToken, render_page
from pagerduty_alerting.emulator.errors import EmulatorUsageError
from pagerduty_alerting.emulator.faults.playback import to_response
from pagerduty_alerting.emulator.json_input import read_json
from pagerduty_alerting.emulator.requests import RecordedRequest, mask_account, mask_query
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
from pagerduty_alerting.emulator.rules.initial_state import InitialAccount

if TYPE_CHECKING:
    from pagerduty_alerting.emulator.emulator import Emulator

Action: TypeAlias = Callable[["Emulator", bytes], Answer]

_PAGE = "/_emulator/"
_FORM = "application/x-www-form-urlencoded"
_LATEST = 50


def _state(api: "Emulator", _: bytes) -> Answer:
    return success(
        {
            "environ": dict(api.environ),
            "accounts": [
                {
                    "id": account.id,
                    "entitled": account.entitled,
                    "services": [asdict(service) for service in account.services],
                }
                for account in api.accounts()
            ],
            "tokens": [
                {
                    "id": token.id,
                    "account_id": token.account_id,
                    "state": api.token_state(token).value,
                    "services": None if token.services is None else list(token.services),
                }
                for token in api.tokens()
            ],
            "faults": _described_faults(api),
            "requests": api.requests.total,
        }
    )


def _described_faults(api: "Emulator") -> list[Json]:
    return [{"description": order.description, "used": order.used} for order in api.orders]


def _described_request(request: RecordedRequest) -> Json:
    return {
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


def _requests(api: "Emulator", _: bytes) -> Answer:
    return success([_described_request(request) for request in api.requests[:]])


def _clear_requests(api: "Emulator", _: bytes) -> Answer:
    api.requests.clear()
    return success(None)


def _authorize(api: "Emulator", body: bytes) -> Answer:
    wanted = read_json(body, Authorization)
    api.authorize(wanted.token, wanted.services)
    return success(None)


def _expire(api: "Emulator", body: bytes) -> Answer:
    api.expire(read_json(body, TokenChoice).token)
    return success(None)


def _advance(api: "Emulator", body: bytes) -> Answer:
    api.advance(read_json(body, Advance).seconds)
    return success(None)


def _add_account(api: "Emulator", body: bytes) -> Answer:
    wanted = read_json(body or b"{}", InitialAccount)
    return success({"id": api.add_account(wanted.id, services=wanted.services, entitled=wanted.entitled)}, 201)


def _add_service(api: "Emulator", body: bytes) -> Answer:
    wanted = read_json(body, NewService)
    return success(asdict(api.add_service(wanted.name, wanted.account_id)), 201)


def _faults(api: "Emulator", _: bytes) -> Answer:
    return success(_described_faults(api))


def _order_fault(api: "Emulator", body: bytes) -> Answer:
    wanted = read_json(body, FaultRequest)
    place_fault(wanted, api.on(*wanted.operations))
    return success(_described_faults(api), 201)


def _cancel_faults(api: "Emulator", _: bytes) -> Answer:
    for order in api.orders:
        order.cancel()
    api.release()
    return success(None)


def _release(api: "Emulator", body: bytes) -> Answer:
    api.release(read_json(body or b"{}", Release).count)
    return success(None)


def _reset(api: "Emulator", _: bytes) -> Answer:
    api.reset()
    return success(None)


ACTIONS: dict[str, dict[str, Action]] = {
    "state": {"GET": _state},
    "requests": {"GET": _requests, "DELETE": _clear_requests},
    "authorize": {"POST": _authorize},
    "expire": {"POST": _expire},
    "advance": {"POST": _advance},
    "accounts": {"POST": _add_account},
    "services": {"POST": _add_service},
    "faults": {"GET": _faults, "POST": _order_fault, "DELETE": _cancel_faults},
    "release": {"POST": _release},
    "reset": {"POST": _reset},
}
"""The actions, by the last part of the path and the method."""


class ControlAPI:
    """Handles the requests below `/_emulator/`."""

    def __init__(self, emulator: "Emulator", host: str) -> None:
        self._emulator = emulator
        self._host = host.lower()

    async def __call__(self, request: web.BaseRequest, path: str, body: bytes) -> web.StreamResponse:
        """Returns the response to one request; for invalid input, a 400 envelope that says what is wrong."""
        is_form = request.content_type == _FORM
        try:
            return to_response(self._answer(request, path, body, is_form=is_form))
        except EmulatorUsageError as error:
            if is_form:
                return to_response(self._page(400, str(error)))
            return to_response(failure(Refusal(400, None, str(error)), Dialect()))

    def _answer(self, request: web.BaseRequest, path: str, body: bytes, *, is_form: bool) -> Answer:
        method = request.method
        host = request.headers.get("Host", "localhost")
        if not is_loopback(f"http://{host}") and _host_of(f"http://{host}") != self._host:
            # By DNS rebinding, a web page could otherwise read and control the emulator.
            return _forbidden(f"host {host} is not this machine: use localhost, or start the emulator on that host")
        if path == "/":
            return Answer(HTTPStatus.FOUND, b"", (("Location", _PAGE),))
        if path.rstrip("/") + "/" == _PAGE:
            if method not in {"GET", "HEAD"}:
                return failure(method_not_allowed("GET, HEAD"), Dialect())
            return self._page(200)
        actions = ACTIONS.get(path.removeprefix(_PAGE))
        if actions is None:
            return failure(no_route(), Dialect())
        if method not in actions:
            return failure(method_not_allowed(", ".join(sorted(actions))), Dialect())
        origin = request.headers.get("Origin")
        if method != "GET" and origin not in {None, f"http://{host}"}:
            return _forbidden(f"requests from {origin} are not allowed")  # from another web page
        if is_form:
            self._submit_form(path.removeprefix(_PAGE), body)
            return Answer(HTTPStatus.SEE_OTHER, b"", (("Location", _PAGE),))
        return actions[method](self._emulator, body)

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
            tokens=tuple(PageToken(token, api.token_state(token)) for token in reversed(api.tokens())),
            catalogue=api.catalogue,
            requests=tuple(reversed(api.requests[-_LATEST:])),
            problem=problem,
        )
        return Answer(status, render_page(content).encode(), PAGE_HEADERS)


def is_loopback(origin: str) -> bool:
    """Returns whether an origin such as `http://127.0.0.1:8787` can be reached from this machine alone."""
    host = _host_of(origin)
    if host == "localhost" or host.endswith(".localhost"):
        return True
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return False


def _host_of(origin: str) -> str:
    with contextlib.suppress(ValueError):
        return (urlsplit(origin).hostname or "").rstrip(".")
    return ""


def _forbidden(message: str) -> Answer:
    return failure(Refusal(403, None, message), Dialect())
