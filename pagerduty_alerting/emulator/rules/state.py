"""The accounts, credentials and integration tokens of the emulated API; it must not know HTTP."""

from __future__ import annotations

import enum
from collections.abc import Iterable

import attrs

from pagerduty_alerting.emulator.rules._ids import IdSource, canonical_uuid, is_account_id
from pagerduty_alerting.emulator.rules.contract import Permission


class EmulatorUsageError(ValueError):
    """The emulator was asked for something that cannot be: the message says what was wrong and what to do."""


@attrs.frozen
class Service:
    """A PagerDuty service that is linked with an account.

    Attributes:
        id: The id that Cloudflare gave it.
        name: Its name in PagerDuty.
    """

    id: str
    name: str


@attrs.frozen
class Account:
    """A Cloudflare account.

    Attributes:
        id: 32 hexadecimal digits.
        services: The PagerDuty services linked with it, in the order in which they were.
        entitled: Whether its plan includes PagerDuty.
    """

    id: str
    services: tuple[Service, ...] = ()
    entitled: bool = True


@attrs.frozen
class Credential:
    """An API token, or the API key of a user.

    Attributes:
        secret: The token or key.
        permissions: What it may do.
        accounts: The ids of the accounts that it may be used on; None for all.
        email: The user's address, for a key.
    """

    secret: str = attrs.field(repr=False)
    permissions: frozenset[Permission]
    accounts: frozenset[str] | None = None
    email: str | None = None

    def covers(self, account_id: str) -> bool:
        """Tell whether the credential may be used on an account."""
        return self.accounts is None or account_id in self.accounts


class TokenState(enum.StrEnum):
    """How far an integration token has come."""

    PENDING = "pending"
    AUTHORIZED = "authorized"
    USED = "used"
    EXPIRED = "expired"


@attrs.frozen
class IntegrationToken:
    """A token that the API made to connect PagerDuty with an account.

    Attributes:
        id: The token: a secret.
        account_id: The account that it was made for.
        created_at: When it was made, in seconds of the emulator's clock.
        expires_at: When it expires, in seconds of the emulator's clock.
        services: The names of the services chosen in PagerDuty, or None while nobody has chosen.
        used: Whether it has connected PagerDuty already.
    """

    id: str = attrs.field(repr=False)
    account_id: str
    created_at: float
    expires_at: float
    services: tuple[str, ...] | None = None
    used: bool = False

    def state_at(self, now: float) -> TokenState:
        """Say how far the token has come at `now`, in seconds of the emulator's clock."""
        if self.used:
            return TokenState.USED
        if now >= self.expires_at:
            return TokenState.EXPIRED
        return TokenState.PENDING if self.services is None else TokenState.AUTHORIZED


@attrs.define
class State:
    """All that the emulated API remembers; every change is one whole replacement of a frozen value.

    Attributes:
        ids: Where new ids come from.
        accounts: The accounts by id.
        credentials: The API tokens by secret.
        keys: The API keys by lower-case e-mail address and secret.
        tokens: The integration tokens by their id as 32 hexadecimal digits, oldest first.
    """

    ids: IdSource
    accounts: dict[str, Account] = attrs.field(factory=dict[str, Account])
    credentials: dict[str, Credential] = attrs.field(factory=dict[str, Credential], repr=False)
    keys: dict[tuple[str, str], Credential] = attrs.field(factory=dict[tuple[str, str], Credential], repr=False)
    tokens: dict[str, IntegrationToken] = attrs.field(factory=dict[str, IntegrationToken], repr=False)


def account_of(state: State, account_id: str) -> Account:
    """Look an account up.

    Raises:
        EmulatorUsageError: There is no such account.
    """
    try:
        return state.accounts[account_id]
    except KeyError:
        known = ", ".join(state.accounts) or "none"
        message = f"no account {account_id!r}: the emulator knows {known}; add_account() makes another"
        raise EmulatorUsageError(message) from None


def token_of(state: State, token_id: str) -> IntegrationToken:
    """Look an integration token up, in either spelling of its id.

    Raises:
        EmulatorUsageError: There is no such token.
    """
    token = state.tokens.get(canonical_uuid(token_id) or "")
    if token is None:
        message = f"no such integration token ({len(token_id)} characters): create one first, or was it reset?"
        raise EmulatorUsageError(message)
    return token


def add_account(state: State, account_id: str | None, services: Iterable[str], *, entitled: bool) -> Account:
    """Add an account.

    Raises:
        EmulatorUsageError: The id is malformed or taken, or a service's name is blank.
    """
    if account_id is None:
        account_id = state.ids.hex_id()
    elif not is_account_id(account_id):
        raise EmulatorUsageError(f"account id {account_id!r} is not 32 lower-case hexadecimal digits")
    if account_id in state.accounts:
        raise EmulatorUsageError(f"account {account_id} exists already")
    account = with_services(Account(account_id, entitled=entitled), services, state.ids)
    state.accounts[account_id] = account
    return account


def with_services(account: Account, names: Iterable[str], ids: IdSource) -> Account:
    """Link services with an account, beside those that are: one that is linked already keeps its id."""
    linked = {service.name: service for service in account.services}
    for name in checked_names(names):
        if name not in linked:
            linked[name] = Service(ids.uuid(), name)
    return attrs.evolve(account, services=tuple(linked.values()))


def checked_names(names: Iterable[str]) -> tuple[str, ...]:
    """Check the names of services.

    Raises:
        EmulatorUsageError: They are one string, or a name is blank.
    """
    if isinstance(names, str):
        raise EmulatorUsageError(f"services must be a list of names, not the one string {names!r}")
    checked = tuple(names)
    for name in checked:
        if not name.strip():
            raise EmulatorUsageError(f"{name!r} is no name for a service: it is blank")
    return checked


def create_token(state: State, account_id: str, now: float, lifetime: float) -> IntegrationToken:
    """Make a new integration token for an account, good for `lifetime` seconds from `now`."""
    token = IntegrationToken(state.ids.uuid(), account_id, now, now + lifetime)
    _put(state, token)
    return token


def authorize(state: State, token_id: str, services: Iterable[str], now: float) -> IntegrationToken:
    """Do what a person does in PagerDuty with a token: log in, choose services, confirm.

    Raises:
        EmulatorUsageError: There is no such token, or it is used or expired, or no service was chosen.
    """
    token = token_of(state, token_id)
    chosen = checked_names(services)
    if not chosen:
        raise EmulatorUsageError("choose at least one service: PagerDuty offers no confirmation without one")
    if (stage := token.state_at(now)) in (TokenState.USED, TokenState.EXPIRED):
        raise EmulatorUsageError(f"the integration token is {stage.value}: create a new one")
    authorized = attrs.evolve(token, services=chosen)
    _put(state, authorized)
    return authorized


def expire_token(state: State, token_id: str, now: float) -> IntegrationToken:
    """Let an integration token expire at once.

    Raises:
        EmulatorUsageError: There is no such token.
    """
    expired = attrs.evolve(token_of(state, token_id), expires_at=now)
    _put(state, expired)
    return expired


def connect(state: State, token: IntegrationToken) -> str:
    """Link the services that were chosen for an authorised token with its account.

    Returns:
        The id of the new destination.
    """
    account = state.accounts[token.account_id]
    state.accounts[account.id] = with_services(account, token.services or (), state.ids)
    _put(state, attrs.evolve(token, used=True))
    return state.ids.uuid()


def delete_services(state: State, account_id: str) -> None:
    """Forget all services of one account."""
    state.accounts[account_id] = attrs.evolve(state.accounts[account_id], services=())


def _put(state: State, token: IntegrationToken) -> None:
    state.tokens[token.id.replace("-", "")] = token
