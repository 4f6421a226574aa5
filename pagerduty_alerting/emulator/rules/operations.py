"""Handles a request as the API does: counts it, authenticates it, carries the operation out on the state."""

from collections.abc import Mapping

from attrs import define, field

from pagerduty_alerting.emulator.rules.answers import (
    Answer,
    ErrorCode,
    Json,
    Refusal,
    authentication_error,
    bare_success,
    failure,
    method_not_allowed,
    no_route,
    success,
)
from pagerduty_alerting.emulator.rules.contract import Headers, Operation, Route, find_route, permits
from pagerduty_alerting.emulator.rules.credentials import Credential, authenticate
from pagerduty_alerting.emulator.rules.rate_limits import (
    Verdict,
    burst_headers,
    count_burst,
    count_request,
    quota_headers,
    rate_limited,
)
from pagerduty_alerting.emulator.rules.state import (
    Account,
    State,
    TokenState,
    canonical_uuid,
    connect,
    create_token,
    delete_services,
)

_NOT_CONNECTABLE = {
    TokenState.PENDING: (400, ErrorCode.TOKEN_NOT_AUTHORIZED, "is not authorized in PagerDuty yet"),
    TokenState.USED: (409, ErrorCode.TOKEN_USED, "was used already"),
    TokenState.EXPIRED: (400, ErrorCode.TOKEN_EXPIRED, "has expired"),
}


@define(eq=False, repr=False)
class Exchange:
    """One request and its outcome, filled in while the request is handled.

    Attributes:
        method: The HTTP method.
        path: The path as sent, percent-encoded and without the query.
        query: The query string.
        headers: The headers; names are case-insensitive.
        body: The body.
        remote: The IP address of the client.
        received_at: When it arrived, in seconds since 1970.
        started: When it arrived, in seconds of a monotonic clock.
        route: The target of the request.
        number: The number of the request, from 1.
        at: When it arrived, in seconds of the emulator's clock.
        caller: The credential of the request, or the refusal if it is not admitted.
        reply_headers: The headers of every response to it.
        status: The status of the response; None before it is sent, or if a fault cut the connection.
        fault: The description of the fault that was applied.
        elapsed: Seconds from the arrival to the end of the response; None before that.
    """

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes
    remote: str
    received_at: float
    started: float
    route: Route = field(init=False)
    number: int = 0
    at: float = 0.0
    caller: Credential | Refusal | None = None
    reply_headers: Headers = ()
    status: int | None = None
    fault: str | None = None
    elapsed: float | None = None

    def __attrs_post_init__(self) -> None:
        self.route = find_route(self.method, self.path)

    @property
    def size(self) -> int:
        """The approximate size in the log, in bytes."""
        head = sum(len(name) + len(value) for name, value in self.headers.items())
        return head + len(self.path) + len(self.query) + len(self.body)


def admit(state: State, exchange: Exchange) -> None:
    """Counts a request against the rate limits, authenticates it, and sets its `caller` and `reply_headers`."""
    limits, now = state.limits, exchange.at
    exchange.reply_headers = (("CF-Ray", state.ids.ray_id()), ("Server", "cloudflare"))
    if limits.per_second is not None:
        address = exchange.remote
        state.windows[address], verdict = count_burst(limits.per_second, state.windows.get(address), now)
        if not verdict.allowed:
            exchange.reply_headers += burst_headers(limits.per_second, verdict)
            exchange.caller = rate_limited(verdict.reset)
            return
    caller = _routing_error(exchange) or authenticate(exchange.headers, state.credentials, state.keys)
    if isinstance(caller, Refusal):
        verdict = Verdict(limits.requests, limits.window, allowed=True)
    else:
        state.windows[caller.secret], verdict = count_request(limits, state.windows.get(caller.secret), now)
    exchange.reply_headers += quota_headers(limits, verdict)
    exchange.caller = caller if verdict.allowed else rate_limited(verdict.reset)


def answer(state: State, exchange: Exchange, now: float) -> Answer:
    """Carries a request out, or refuses it, and returns the complete response.

    Args:
        state: The state that the operation reads and changes.
        exchange: The request, after `admit`.
        now: The time, in seconds of the emulator's clock.
    """
    resource = exchange.route.resource
    if exchange.method == "OPTIONS" and resource is not None:
        return Answer(204, b"", (("Allow", resource.allow), *exchange.reply_headers))
    found = _find_account(state, exchange)
    done = failure(found, state.dialect) if isinstance(found, Refusal) else _carry_out(state, exchange, found, now)
    return Answer(done.status, done.body, done.headers + exchange.reply_headers)


def _routing_error(exchange: Exchange) -> Refusal | None:
    resource = exchange.route.resource
    if resource is None:
        return no_route()
    return method_not_allowed(resource.allow) if exchange.route.operation is None else None


def _find_account(state: State, exchange: Exchange) -> Account | Refusal:
    caller, route = exchange.caller, exchange.route
    if caller is None or isinstance(caller, Refusal):
        return caller or authentication_error(401)
    account = state.accounts.get(route.account_id or "")
    if account is None:
        message = f"Could not route to {exchange.path}, perhaps your object identifier is invalid?"
        return Refusal(404, ErrorCode.NO_ROUTE, message)
    if not caller.covers(account.id):
        return Refusal(403, ErrorCode.WRONG_ACCOUNT, "Unauthorized to access requested resource")
    if not permits(caller.permissions, route.operation):
        return authentication_error(403)
    if not account.entitled:
        return Refusal(403, ErrorCode.NOT_ENTITLED, "account is not entitled to PagerDuty: it needs a Business zone")
    return account


def _carry_out(state: State, exchange: Exchange, account: Account, now: float) -> Answer:
    dialect = state.dialect
    match exchange.route.operation:
        case Operation.LIST:
            services: list[Json] = [{"id": service.id, "name": service.name} for service in account.services]
            result = None if dialect.null_lists and not services else services
            return success(result, count=len(services) if dialect.list_result_info else None)
        case Operation.DELETE:
            delete_services(state, account.id)
            return success(None, count=0) if dialect.delete_result_info else bare_success()
        case Operation.CREATE:
            return success({"id": create_token(state, account.id, now).id}, 201)
        case _:
            return _connect(state, account, exchange.route.token_id or "", now)


def _connect(state: State, account: Account, token_id: str, now: float) -> Answer:
    token = state.tokens.get(canonical_uuid(token_id) or "")
    if token is None or token.account_id != account.id:
        unknown = Refusal(404, ErrorCode.TOKEN_UNKNOWN, "PagerDuty integration token not found")
        return failure(unknown, state.dialect)
    stage = token.state_at(now)
    if stage is TokenState.AUTHORIZED:
        return success({"id": connect(state, token)})
    status, code, trouble = _NOT_CONNECTABLE[stage]
    refusal = Refusal(status, code, f"PagerDuty integration token {trouble}", result_id=token.id)
    return failure(refusal, state.dialect)
