"""What an emulator starts with, from JSON or from Python; it must not serve any of it."""

from __future__ import annotations

from pathlib import Path

import attrs

from pagerduty_alerting.emulator.json_input import read_json
from pagerduty_alerting.emulator.rules import state as _state
from pagerduty_alerting.emulator.rules.contract import Permission
from pagerduty_alerting.emulator.rules.state import Credential, EmulatorUsageError, State

_WRITE = (Permission.NOTIFICATIONS_WRITE,)


@attrs.frozen
class InitialAccount:
    """An account from the start.

    Attributes:
        id: 32 lower-case hexadecimal digits; None for a random one.
        services: Names of the services that are linked with it.
        entitled: Whether its plan includes PagerDuty.
    """

    id: str | None = None
    services: tuple[str, ...] = ()
    entitled: bool = True


@attrs.frozen
class InitialApiToken:
    """An API token from the start.

    Attributes:
        token: The token.
        permissions: What it may do.
        accounts: The ids of the accounts that it may be used on; None for all.
    """

    token: str = attrs.field(repr=False)
    permissions: tuple[Permission, ...] = _WRITE
    accounts: tuple[str, ...] | None = None


@attrs.frozen
class InitialApiKey:
    """A user with an API key from the start.

    Attributes:
        email: The user's address.
        key: The key.
        permissions: What the user may do.
        accounts: The ids of the accounts that the user has; None for all.
    """

    email: str
    key: str = attrs.field(repr=False)
    permissions: tuple[Permission, ...] = _WRITE
    accounts: tuple[str, ...] | None = None


@attrs.frozen
class InitialState:
    """All that an emulator starts with.

    Attributes:
        accounts: The accounts. The first is the emulator's default one.
        api_tokens: The API tokens. The first is the emulator's default one.
        api_keys: The users with API keys.
    """

    accounts: tuple[InitialAccount, ...] = ()
    api_tokens: tuple[InitialApiToken, ...] = ()
    api_keys: tuple[InitialApiKey, ...] = ()

    @classmethod
    def from_json(cls, data: bytes | str) -> InitialState:
        """Read it from JSON with the same names.

        Args:
            data: Such as ``{"accounts": [{"services": ["Database"]}], "api_tokens": [{"token": "…"}]}``.

        Raises:
            EmulatorUsageError: It is not JSON, or not of that shape: the message says where.
        """
        return read_json(data, cls)

    @classmethod
    def from_file(cls, path: Path) -> InitialState:
        """Read it from a file with JSON.

        Raises:
            EmulatorUsageError: The file cannot be read, or what it says is not of the right shape.
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
        """The id of the first account, if one is given."""
        return self.accounts[0].id if self.accounts else None

    @property
    def default_api_token(self) -> str | None:
        """The first API token, if there is one."""
        return self.api_tokens[0].token if self.api_tokens else None


def populate(state: State, initial: InitialState, account_id: str, api_token: str) -> None:
    """Fill a new state.

    Args:
        state: What to fill.
        initial: What with.
        account_id: The id of the default account.
        api_token: The default API token.

    Raises:
        EmulatorUsageError: An id is malformed or given twice.
    """
    first, *others = initial.accounts or (InitialAccount(),)
    for account in (attrs.evolve(first, id=account_id), *others):
        _state.add_account(state, account.id, account.services, entitled=account.entitled)
    for token in initial.api_tokens or (InitialApiToken(api_token),):
        accounts = None if token.accounts is None else frozenset(token.accounts)
        state.credentials[token.token] = Credential(token.token, frozenset(token.permissions), accounts)
    for user in initial.api_keys:
        accounts = None if user.accounts is None else frozenset(user.accounts)
        credential = Credential(user.key, frozenset(user.permissions), accounts, user.email)
        state.keys[user.email.lower(), user.key] = credential
