"""The state of the emulated API: accounts, credentials, integration tokens, and the source of new ids."""

import enum
import random
import re
import string
import uuid
from collections.abc import Iterable
from typing import Protocol

from attrs import define, evolve, field, frozen

from pagerduty_alerting.emulator.errors import EmulatorUsageError
from pagerduty_alerting.emulator.rules.answers import Dialect
from pagerduty_alerting.emulator.rules.credentials import Credential
from pagerduty_alerting.emulator.rules.rate_limits import RateLimits, Window

_UUID = re.compile(r"[0-9a-f]{32}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_ACCOUNT_ID = re.compile(r"[0-9a-f]{32}")
_LETTERS = f"{string.ascii_letters}{string.digits}_-"


class HasId(Protocol):
    """An object with an `id`, such as the integration token that a client returned."""

    @property
    def id(self) -> str:
        """The id."""
        ...


class IdStyle(enum.StrEnum):
    """How the emulator spells new ids. It accepts both spellings, in upper and lower case."""

    HEX = "hex"
    DASHED = "dashed"


def canonical_uuid(spelling: str) -> str | None:
    """Returns either spelling of a UUID as 32 lower-case hexadecimal digits, or None if it is not a UUID."""
    return spelling.replace("-", "").lower() if _UUID.fullmatch(spelling) else None


class IdSource:
    """Generates ids and secrets in Cloudflare's formats: with a seed the same ones in every run, with None others."""

    def __init__(self, style: IdStyle, seed: int | None) -> None:
        self._style = style
        self._random = random.Random(seed)  # noqa: S311 - the secrets of an emulator protect nothing

    def hex_id(self) -> str:
        """Returns a new id of 32 hexadecimal digits, the format of account ids."""
        return f"{self._random.getrandbits(128):032x}"

    def uuid(self) -> str:
        """Returns a new random UUID, in the spelling of the style."""
        value = uuid.UUID(int=self._random.getrandbits(128), version=4)
        return value.hex if self._style is IdStyle.HEX else str(value)

    def api_token(self) -> str:
        """Returns a new API token: 40 characters."""
        return "".join(self._random.choices(_LETTERS, k=40))

    def api_key(self) -> str:
        """Returns a new global API key: 37 hexadecimal digits."""
        return f"{self._random.getrandbits(148):037x}"

    def ray_id(self) -> str:
        """Returns a new request id as in `CF-Ray`: 16 hexadecimal digits and the airport code of a data centre."""
        return f"{self._random.getrandbits(64):016x}-AMS"

    def chance(self, probability: float) -> bool:
        """Returns True with this probability, 0 to 1."""
        return self._random.random() < probability


@frozen
class Service:
    """A PagerDuty service that is linked with an account.

    Attributes:
        id: The id that Cloudflare assigned.
        name: Its name in PagerDuty.
    """

    id: str
    name: str


@frozen
class Account:
    """An account.

    Attributes:
        id: 32 hexadecimal digits.
        services: The PagerDuty services linked with it, oldest link first.
        entitled: Whether its plan includes PagerDuty.
    """

    id: str
    services: tuple[Service, ...] = ()
    entitled: bool = True


class TokenState(enum.StrEnum):
    """The stage of an integration token."""

    PENDING = "pending"
    AUTHORIZED = "authorized"
    USED = "used"
    EXPIRED = "expired"


@frozen
class IntegrationToken:
    """A token that the API created to connect PagerDuty with an account.

    Attributes:
        id: The token: a secret.
        account_id: The account that it was created for.
        created_at: When it was created, in seconds of the emulator's clock.
        expires_at: When it expires, in seconds of the emulator's clock.
        services: The names of the services chosen in PagerDuty, or None before that choice.
        used: Whether *connect* has used it.
    """

    id: str = field(repr=False)
    account_id: str
    created_at: float
    expires_at: float
    services: tuple[str, ...] | None = None
    used: bool = False

    def state_at(self, now: float) -> TokenState:
        """Returns the token's stage at `now`, in seconds of the emulator's clock."""
        if self.used:
            return TokenState.USED
        if now >= self.expires_at:
            return TokenState.EXPIRED
        return TokenState.PENDING if self.services is None else TokenState.AUTHORIZED


@define(eq=False, repr=False)
class State:
    """The whole state of the emulated API; every change replaces one frozen value."""

    ids: IdSource
    limits: RateLimits
    dialect: Dialect
    token_lifetime: float  # seconds
    accounts: dict[str, Account] = field(factory=dict[str, Account])
    credentials: dict[str, Credential] = field(factory=dict[str, Credential])  # API tokens by secret
    keys: dict[tuple[str, str], Credential] = field(factory=dict[tuple[str, str], Credential])  # by lower-case e-mail
    tokens: dict[str, IntegrationToken] = field(factory=dict[str, IntegrationToken])  # by `canonical_uuid`
    windows: dict[str, Window] = field(factory=dict[str, Window])  # of each caller, by its secret or IP address


def account_of(state: State, account_id: str) -> Account:
    """Returns an account, or raises `EmulatorUsageError` if its id is unknown."""
    try:
        return state.accounts[account_id]
    except KeyError:
        known = ", ".join(state.accounts) or "none"
        message = f"no account {account_id!r}: the emulator knows {known}; add_account() adds one"
        raise EmulatorUsageError(message) from None


def token_of(state: State, token: str | HasId) -> IntegrationToken:
    """Returns an integration token, or raises `EmulatorUsageError` if it is unknown."""
    token_id = token if isinstance(token, str) else token.id
    found = state.tokens.get(canonical_uuid(token_id) or "")
    if found is None:
        message = f"no such integration token ({len(token_id)} characters): create one first, or was it reset?"
        raise EmulatorUsageError(message)
    return found


def add_account(state: State, account_id: str | None, services: Iterable[str], *, entitled: bool) -> Account:
    """Adds an account; raises `EmulatorUsageError` if its id is malformed or taken, or a service's name is blank."""
    if account_id is None:
        account_id = state.ids.hex_id()
    elif not _ACCOUNT_ID.fullmatch(account_id):
        raise EmulatorUsageError(f"account id {account_id!r} is not 32 lower-case hexadecimal digits")
    if account_id in state.accounts:
        raise EmulatorUsageError(f"account {account_id} exists already")
    account = with_services(Account(account_id, entitled=entitled), services, state.ids)
    state.accounts[account_id] = account
    return account


def with_services(account: Account, names: Iterable[str], ids: IdSource) -> Account:
    """Returns an account with additional services; a service that is already linked keeps its id."""
    linked = {service.name: service for service in account.services}
    for name in checked_names(names):
        if name not in linked:
            linked[name] = Service(ids.uuid(), name)
    return evolve(account, services=tuple(linked.values()))


def checked_names(names: Iterable[str]) -> tuple[str, ...]:
    """Returns the names of services, or raises `EmulatorUsageError` for one string or a blank name."""
    if isinstance(names, str):
        raise EmulatorUsageError(f"services must be a list of names, not the one string {names!r}")
    checked = tuple(names)
    for name in checked:
        if not name.strip():
            raise EmulatorUsageError(f"{name!r} is not a name for a service: it is blank")
    return checked


def create_token(state: State, account_id: str, now: float) -> IntegrationToken:
    """Creates an integration token for an account."""
    return put_token(state, IntegrationToken(state.ids.uuid(), account_id, now, now + state.token_lifetime))


def authorize(state: State, token: str | HasId, services: Iterable[str], now: float) -> None:
    """Authorizes a token for services, or raises `EmulatorUsageError` where PagerDuty would not."""
    found = token_of(state, token)
    chosen = checked_names(services)
    if not chosen:
        raise EmulatorUsageError("choose at least one service: PagerDuty does not confirm without one")
    if (stage := found.state_at(now)) in (TokenState.USED, TokenState.EXPIRED):
        raise EmulatorUsageError(f"the integration token is {stage.value}: create a new one")
    put_token(state, evolve(found, services=chosen))


def connect(state: State, token: IntegrationToken) -> str:
    """Links the services chosen for an authorized token with its account; returns the new destination's id."""
    account = state.accounts[token.account_id]
    state.accounts[account.id] = with_services(account, token.services or (), state.ids)
    put_token(state, evolve(token, used=True))
    return state.ids.uuid()


def put_token(state: State, token: IntegrationToken) -> IntegrationToken:
    """Adds an integration token, or replaces the one with the same id."""
    state.tokens[token.id.replace("-", "").lower()] = token
    return token
