"""Fills the emulated API with accounts, credentials and services; it must not know how it is served."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from typing import Protocol

from pagerduty_alerting.emulator._clock import Clock
from pagerduty_alerting.emulator.rules import state as _state
from pagerduty_alerting.emulator.rules.contract import Permission
from pagerduty_alerting.emulator.rules.state import (
    Account,
    Credential,
    IntegrationToken,
    Service,
    State,
    TokenState,
)


class HasId(Protocol):
    """Anything with an ``id``, such as the integration token that a client returned."""

    @property
    def id(self) -> str:
        """The id."""
        ...


class Population:
    """The part of an emulator that stands for people: Cloudflare's administrators and PagerDuty's users.

    Every method may be called from any thread.
    """

    account_id: str
    _lock: threading.RLock
    _clock: Clock
    _state: State

    def add_account(self, account_id: str | None = None, *, services: Iterable[str] = (), entitled: bool = True) -> str:
        """Add an account.

        Args:
            account_id: Its id, 32 lower-case hexadecimal digits; None for a new one.
            services: Names of PagerDuty services that are linked with it from the start.
            entitled: Whether its plan includes PagerDuty; without, all operations answer 403, code 17200.

        Returns:
            Its id.

        Raises:
            EmulatorUsageError: The id is malformed or taken.
        """
        with self._lock:
            return _state.add_account(self._state, account_id, services, entitled=entitled).id

    def add_api_token(
        self,
        *,
        permissions: Iterable[Permission] = (Permission.NOTIFICATIONS_WRITE,),
        accounts: Iterable[str] | None = None,
    ) -> str:
        """Add an API token.

        Args:
            permissions: What it may do.
            accounts: The ids of the accounts that it may be used on; None for all.

        Returns:
            The token, for ``Authorization: Bearer``.
        """
        with self._lock:
            secret = self._state.ids.api_token()
            self._state.credentials[secret] = make_credential(secret, permissions, accounts, None)
            return secret

    def add_api_key(
        self,
        email: str,
        *,
        permissions: Iterable[Permission] = (Permission.NOTIFICATIONS_WRITE,),
        accounts: Iterable[str] | None = None,
    ) -> str:
        """Add a user with an API key.

        Args:
            email: The user's address, for ``X-Auth-Email``.
            permissions: What the user may do.
            accounts: The ids of the accounts that the user has; None for all.

        Returns:
            The key, for ``X-Auth-Key``.
        """
        with self._lock:
            secret = self._state.ids.api_key()
            self._state.keys[email.lower(), secret] = make_credential(secret, permissions, accounts, email)
            return secret

    def services(self, account_id: str | None = None) -> list[Service]:
        """The services that are linked with an account.

        Args:
            account_id: The account; None for the default one.

        Raises:
            EmulatorUsageError: There is no such account.
        """
        with self._lock:
            return list(_state.account_of(self._state, account_id or self.account_id).services)

    def add_service(self, name: str, account_id: str | None = None) -> Service:
        """Link a service with an account without going through PagerDuty.

        Args:
            name: The service's name; one that is linked already stays as it is.
            account_id: The account; None for the default one.

        Returns:
            The service.

        Raises:
            EmulatorUsageError: There is no such account, or the name is blank.
        """
        with self._lock:
            account = _state.account_of(self._state, account_id or self.account_id)
            account = _state.with_services(account, [name], self._state.ids)
            self._state.accounts[account.id] = account
            return next(service for service in account.services if service.name == name)

    def accounts(self) -> list[Account]:
        """The accounts with their services, oldest first."""
        with self._lock:
            return list(self._state.accounts.values())

    def token_state(self, token: str | HasId) -> TokenState:
        """How far an integration token has come.

        Args:
            token: The integration token's id in either spelling, or an object that has it as ``id``.

        Raises:
            EmulatorUsageError: There is no such token.
        """
        with self._lock:
            return _state.token_of(self._state, _id_of(token)).state_at(self._clock.now())

    def tokens(self) -> list[IntegrationToken]:
        """The integration tokens that were created, oldest first."""
        with self._lock:
            return list(self._state.tokens.values())

    def authorize(self, token: str | HasId, services: Iterable[str]) -> None:
        """Do what a person does in PagerDuty between create and connect: log in, choose services, confirm.

        Args:
            token: The integration token's id in either spelling, or an object that has it as ``id``.
            services: The names of the services to choose; at least one.

        Raises:
            EmulatorUsageError: There is no such token, or it is used or expired, or no service was chosen.
        """
        with self._lock:
            _state.authorize(self._state, _id_of(token), services, self._clock.now())

    def expire(self, token: str | HasId) -> None:
        """Let an integration token expire at once.

        Args:
            token: The integration token's id in either spelling, or an object that has it as ``id``.

        Raises:
            EmulatorUsageError: There is no such token.
        """
        with self._lock:
            _state.expire_token(self._state, _id_of(token), self._clock.now())


def make_credential(
    secret: str, permissions: Iterable[Permission], accounts: Iterable[str] | None, email: str | None
) -> Credential:
    """Make a credential; without accounts it is good for all of them."""
    allowed = frozenset(map(Permission, permissions))
    return Credential(secret, allowed, None if accounts is None else frozenset(accounts), email)


def _id_of(token: str | HasId) -> str:
    return token if isinstance(token, str) else token.id
