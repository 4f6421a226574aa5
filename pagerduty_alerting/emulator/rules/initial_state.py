"""The initial state of an emulator, from JSON or from Python."""

from pathlib import Path
from typing import Self

from attrs import evolve, field, frozen

from pagerduty_alerting.emulator.errors import EmulatorUsageError
from pagerduty_alerting.emulator.json_input import read_json
from pagerduty_alerting.emulator.rules.contract import Permission
from pagerduty_alerting.emulator.rules.credentials import Credential
from pagerduty_alerting.emulator.rules.state import (
    Account,
    IntegrationToken,
    State,
    TokenState,
    account_of,
    add_account,
    canonical_uuid,
    checked_names,
    put_token,
)

_WRITE = (Permission.NOTIFICATIONS_WRITE,)


@frozen
class InitialAccount:
    """An initial account.

    Attributes:
        id: 32 lower-case hexadecimal digits; None for a random one.
        services: The names of the services that are linked with it.
        entitled: Whether its plan includes PagerDuty.
    """

    id: str | None = None
    services: tuple[str, ...] = ()
    entitled: bool = True


@frozen
class InitialApiToken:
    """An initial API token.

    Attributes:
        token: The token.
        permissions: Its permissions.
        accounts: The ids of the accounts that it is valid for; None for all.
    """

    token: str = field(repr=False)
    permissions: tuple[Permission, ...] = _WRITE
    accounts: tuple[str, ...] | None = None


@frozen
class InitialApiKey:
    """An initial user with an API key.

    Attributes:
        email: The user's address.
        key: The key.
        permissions: The user's permissions.
        accounts: The ids of the user's accounts; None for all.
    """

    email: str
    key: str = field(repr=False)
    permissions: tuple[Permission, ...] = _WRITE
    accounts: tuple[str, ...] | None = None


@frozen
class InitialIntegrationToken:
    """An initial integration token, in any stage.

    Attributes:
        id: A UUID in either spelling; None for a random one.
        account_id: The account that it was created for; None for the first account.
        state: Its stage.
        services: The names of the services chosen in PagerDuty; required for an authorized or used token.
    """

    id: str | None = field(default=None, repr=False)
    account_id: str | None = None
    state: TokenState = TokenState.PENDING
    services: tuple[str, ...] = ()


@frozen
class InitialState:
    """The initial state of an emulator.

    Attributes:
        accounts: The accounts. The first is the emulator's default one.
        api_tokens: The API tokens. The first is the emulator's default one.
        api_keys: The users with API keys.
        integration_tokens: The integration tokens.
    """

    accounts: tuple[InitialAccount, ...] = ()
    api_tokens: tuple[InitialApiToken, ...] = ()
    api_keys: tuple[InitialApiKey, ...] = ()
    integration_tokens: tuple[InitialIntegrationToken, ...] = ()

    @classmethod
    def from_json(cls, data: bytes | str) -> Self:
        """Reads the state from JSON objects with the attributes of these classes.

        `examples/emulator_seed.json` is an example.

        Args:
            data: For example `{"accounts": [{"services": ["Database"]}], "api_tokens": [{"token": "…"}]}`.

        Raises:
            EmulatorUsageError: It is not JSON, or does not fit; the message says where.
        """
        return read_json(data, cls)

    @classmethod
    def from_file(cls, path: Path) -> Self:
        """Reads the state from a JSON file.

        Raises:
            EmulatorUsageError: The file cannot be read, or its content does not fit.
        """
        try:
            data = path.read_bytes()
        except OSError as error:
            raise EmulatorUsageError(f"{path} cannot be read: {error.strerror}") from None
        try:
            return cls.from_json(data)
        except EmulatorUsageError as error:
            raise EmulatorUsageError(f"{path}: {error}") from None

    @property
    def default_account_id(self) -> str | None:
        """The id of the first account, or None without one."""
        return self.accounts[0].id if self.accounts else None

    @property
    def default_api_token(self) -> str | None:
        """The first API token, or None without one."""
        return self.api_tokens[0].token if self.api_tokens else None


def populate(state: State, initial: InitialState, account_id: str, api_token: str, now: float) -> None:
    """Fills a new state; the account id and the API token are the defaults for missing ones.

    Raises:
        EmulatorUsageError: An id is malformed or given twice.
    """
    first, *others = initial.accounts or (InitialAccount(),)
    for account in (evolve(first, id=account_id), *others):
        add_account(state, account.id, account.services, entitled=account.entitled)
    for token in initial.api_tokens or (InitialApiToken(api_token),):
        state.credentials[token.token] = Credential(token.token, token.permissions, token.accounts)
    for user in initial.api_keys:
        credential = Credential(user.key, user.permissions, user.accounts, user.email)
        state.keys[user.email.lower(), user.key] = credential
    for wanted in initial.integration_tokens:
        _add_token(state, wanted, account_of(state, wanted.account_id or account_id), now)


def _add_token(state: State, wanted: InitialIntegrationToken, account: Account, now: float) -> None:
    token_id = state.ids.uuid() if wanted.id is None else wanted.id
    key = canonical_uuid(token_id)
    if key is None or key in state.tokens:
        trouble = "is not a UUID" if key is None else "is given twice"
        raise EmulatorUsageError(f"the id of integration token {len(state.tokens) + 1} {trouble}")
    chosen = checked_names(wanted.services)
    if wanted.state in {TokenState.AUTHORIZED, TokenState.USED} and not chosen:
        raise EmulatorUsageError(f"an integration token that is {wanted.state} needs services")
    if wanted.state is TokenState.PENDING and chosen:
        raise EmulatorUsageError(
            "an integration token that is pending has no services: services are chosen when it is authorized"
        )
    expires_at = now if wanted.state is TokenState.EXPIRED else now + state.token_lifetime
    used = wanted.state is TokenState.USED
    put_token(state, IntegrationToken(token_id, account.id, now, expires_at, chosen or None, used))
