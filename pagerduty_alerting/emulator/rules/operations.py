"""Handles a request as the API does: counts it, authenticates it, carries the operation out on the state."""

from collections.abc import Mapping

from attrs import define, evolve, field

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
    count_burst,
    count_request,
    limit_headers,
    rate_limited,
)
from pagerduty_alerting.emulator.rules.state import Account, State, TokenState, canonical_uuid, connect, create_token

_NOT_CONNECTABLE = {
    TokenState.PENDING: (400, ErrorCode.TOKEN_NOT_AUTHORIZED, "is not authorized in PagerDuty yet"),
    TokenState.USED: (409, ErrorCode.TOKEN_USED, "was used already"),
    TokenState.EXPIRED: (400, ErrorCode.TOKEN_EXPIRED, "has expired"),
}


@define(eq=False, repr=False)
class Exchange:
    """One request and its outcome, filled in while it is handled; a `RecordedRequest` is made from it."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]  # as sent; names are case-insensitive
    body: bytes
    remote: str
    received_at: float  # in seconds since 1970
    started: float  # the same moment, in seconds of a monotonic clock
    route: Route = field(init=False)
    number: int = 0
    at: float = 0.0
    caller: Credential | Refusal | None = None  # the refusal if it is not admitted; None before `admit`
    response_headers: Headers = ()  # of every response to it
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
    """Counts a request against the rate limits, authenticates it, and sets its `caller` and `response_headers`."""
    limits, now = state.limits, exchange.at
    exchange.response_headers = (("CF-Ray", state.ids.ray_id()), ("Server", "cloudflare"))
    if limits.per_second is not None:
        address = exchange.remote
        state.windows[address], verdict = count_burst(limits.per_second, state.windows.get(address), now)
        if not verdict.allowed:
            exchange.response_headers += limit_headers(limits.burst_policy, verdict)
            exchange.caller = rate_limited(verdict.reset)
            return
    caller = _routing_error(exchange.route) or authenticate(exchange.headers, state.credentials, state.keys)
    if isinstance(caller, Refusal):
        verdict = Verdict(limits.requests, limits.window, allowed=True)
    else:
        state.windows[caller.secret], verdict = count_request(limits, state.windows.get(caller.secret), now)
    exchange.response_headers += limit_headers(limits.policy, verdict)
    exchange.caller = caller if verdict.allowed else rate_limited(verdict.reset)


def answer(state: State, exchange: Exchange, now: float) -> Answer:
    """Carries a request out after `admit`, or refuses it, and returns the complete response."""
    resource = exchange.route.resource
    if exchange.method == "OPTIONS" and resource is not None:
        return Answer(204, b"", (("Allow", resource.allow), *exchange.response_headers))
    outcome: Account | Answer | Refusal = _find_account(state, exchange)
    if isinstance(outcome, Account):
        outcome = _carry_out(state, exchange.route, outcome, now)
    if isinstance(outcome, Refusal):
        outcome = failure(outcome, state.dialect)
    return Answer(outcome.status, outcome.body, outcome.headers + exchange.response_headers)


def _routing_error(route: Route) -> Refusal | None:
    if route.resource is None:
        return no_route()
    return method_not_allowed(route.resource.allow) if route.operation is None else None


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


def _carry_out(state: State, route: Route, account: Account, now: float) -> Answer | Refusal:
    dialect = state.dialect
    match route.operation:
        case Operation.LIST:
            services: list[Json] = [{"id": service.id, "name": service.name} for service in account.services]
            result = None if dialect.null_lists and not services else services
            return success(result, count=len(services) if dialect.list_result_info else None)
        case Operation.DELETE:
            state.accounts[account.id] = evolve(account, services=())
            return success(None, count=0) if dialect.delete_result_info else bare_success()
        case Operation.CREATE:
            return success({"id": create_token(state, account.id, now).id}, 201)
        case _:
            return _connect(state, account, route.token_id or "", now)


def _connect(state: State, account: Account, token_id: str, now: float) -> Answer | Refusal:
    token = state.tokens.get(canonical_uuid(token_id) or "")
    if token is None or token.account_id != account.id:
        return Refusal(404, ErrorCode.TOKEN_UNKNOWN, "PagerDuty integration token not found")
    stage = token.state_at(now)
    if stage is TokenState.AUTHORIZED:
        return success({"id": connect(state, token)})
    status, code, problem = _NOT_CONNECTABLE[stage]
    return Refusal(status, code, f"PagerDuty integration token {problem}", result_id=token.id)
