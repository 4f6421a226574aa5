"""Carries the four operations out on the state; it must not see a socket, a header or a fault."""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from pagerduty_alerting.emulator.rules._ids import canonical_uuid
from pagerduty_alerting.emulator.rules.answers import (
    Answer,
    Dialect,
    ErrorCode,
    Json,
    Refusal,
    authentication_error,
    bad_identifier,
    bare_success,
    failure,
    method_not_allowed,
    no_route,
    result_info,
    success,
)
from pagerduty_alerting.emulator.rules.contract import Operation, Route, permits
from pagerduty_alerting.emulator.rules.state import (
    Account,
    Credential,
    State,
    TokenState,
    connect,
    create_token,
    delete_services,
)

_NOT_CONNECTABLE = {
    TokenState.PENDING: (400, ErrorCode.TOKEN_NOT_AUTHORIZED, "is not authorized in PagerDuty yet"),
    TokenState.USED: (409, ErrorCode.TOKEN_USED, "was used already"),
    TokenState.EXPIRED: (400, ErrorCode.TOKEN_EXPIRED, "has expired"),
}


@attrs.frozen
class Call:
    """A request, read and routed.

    Attributes:
        method: The HTTP method.
        path: The path as sent, percent-encoded and without the query.
        route: Where it leads.
        headers: Its headers; their names compare without case.
    """

    method: str
    path: str = attrs.field(repr=False)
    route: Route
    headers: Mapping[str, str] = attrs.field(repr=False)


@attrs.frozen
class Rules:
    """The rules of the house.

    Attributes:
        dialect: The forms of the answers.
        token_lifetime: Seconds for which an integration token is good.
    """

    dialect: Dialect
    token_lifetime: float


def misrouted(route: Route) -> Refusal | None:
    """Say why a route leads nowhere, or None where it leads to an operation."""
    if route.resource is None:
        return no_route()
    if route.operation is None:
        return method_not_allowed(route.resource.allow)
    return None


def find_account(state: State, call: Call, credential: Credential) -> Account | Refusal:
    """Say on which account a call acts, or why it may not.

    Args:
        state: Where the accounts are.
        call: The request; it leads to an operation.
        credential: Who is asking.

    Returns:
        The account, or the refusal that is due.
    """
    account = state.accounts.get(call.route.account_id or "")
    if account is None:
        return bad_identifier(call.path)
    if not credential.covers(account.id) or not permits(credential.permissions, call.route.operation):
        return authentication_error(403)
    if not account.entitled:
        return Refusal(403, ErrorCode.NOT_ENTITLED, "account is not entitled to PagerDuty: it needs a Business zone")
    return account


def carry_out(state: State, route: Route, account: Account, rules: Rules, now: float) -> Answer:
    """Do what was asked.

    Args:
        state: What the operation reads and changes.
        route: What was asked; it leads to an operation.
        account: The account to do it on.
        rules: The rules of the house.
        now: Seconds of the emulator's clock.

    Returns:
        The answer, without the headers that every answer has.
    """
    match route.operation:
        case Operation.LIST:
            return list_services(account, rules.dialect)
        case Operation.DELETE:
            delete_services(state, account.id)
            if rules.dialect.delete_result_info:
                return success(None, result_info=result_info(0))
            return bare_success()
        case Operation.CREATE:
            token = create_token(state, account.id, now, rules.token_lifetime)
            return success({"id": token.id}, 201)
        case _:
            return connect_pagerduty(state, account, route.token_id or "", rules, now)


def list_services(account: Account, dialect: Dialect) -> Answer:
    """Answer with the services of an account."""
    services: list[Json] = [{"id": service.id, "name": service.name} for service in account.services]
    return success(
        None if dialect.null_lists and not services else services,
        result_info=result_info(len(services)) if dialect.list_result_info else None,
    )


def connect_pagerduty(state: State, account: Account, token_id: str, rules: Rules, now: float) -> Answer:
    """Link the services chosen for a token with the account, or say why not."""
    token = state.tokens.get(canonical_uuid(token_id) or "")
    if token is None or token.account_id != account.id:
        unknown = Refusal(404, ErrorCode.TOKEN_UNKNOWN, "PagerDuty integration token not found")
        return failure(unknown, rules.dialect)
    stage = token.state_at(now)
    if stage is TokenState.AUTHORIZED:
        return success({"id": connect(state, token)})
    status, code, trouble = _NOT_CONNECTABLE[stage]
    refusal = Refusal(status, code, f"PagerDuty integration token {trouble}", result_id=token.id)
    return failure(refusal, rules.dialect)
