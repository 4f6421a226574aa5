"""The public class of the emulator: a server, its state, and what people do in Cloudflare and PagerDuty."""

import contextlib
import functools
import math
import threading
import time
from collections.abc import Callable, Generator, Iterable
from typing import Self

from attrs import evolve

from pagerduty_alerting.emulator.control.api import ControlAPI
from pagerduty_alerting.emulator.dispatch import Dispatcher, Listener
from pagerduty_alerting.emulator.errors import EmulatorUsageError
from pagerduty_alerting.emulator.faults.builder import FaultBuilder
from pagerduty_alerting.emulator.faults.gates import Gate
from pagerduty_alerting.emulator.faults.selection import Order, Selection
from pagerduty_alerting.emulator.requests import RequestLog
from pagerduty_alerting.emulator.rules import state as rules
from pagerduty_alerting.emulator.rules.answers import Dialect
from pagerduty_alerting.emulator.rules.contract import BASE_PATH, Operation, Permission
from pagerduty_alerting.emulator.rules.credentials import Credential
from pagerduty_alerting.emulator.rules.initial_state import InitialState, populate
from pagerduty_alerting.emulator.rules.rate_limits import RateLimits
from pagerduty_alerting.emulator.rules.state import Account, HasId, IdStyle, IntegrationToken, Service, TokenState
from pagerduty_alerting.emulator.server import Server, serving_thread

_WRITE = (Permission.NOTIFICATIONS_WRITE,)


class Emulator:
    """A local copy of Cloudflare's API for PagerDuty notification destinations, over real HTTP.

    `async with Emulator() as api` serves on the running event loop, `with Emulator() as api` from a thread of its
    own. Every method may be called from any thread. On exit, its sockets and threads are closed.

    Args:
        host: The address to listen on.
        port: The port; 0 lets the system choose.
        id_style: The spelling of new token and service ids.
        rate_limits: The limits in force; by default Cloudflare's. Use `RateLimits.unlimited()` for load tests.
        clock: Returns seconds that never decrease; `advance` adds to them.
        seed: The seed of random ids, for the same ids in every run; None for different ids in each run.
        initial_state: The accounts and credentials at the start and after each reset. The first account and the
            first API token are the default ones.
        dialect: The forms of responses where Cloudflare's documentation and its real responses differ.
        token_lifetime: Seconds for which an integration token is valid. Cloudflare does not publish its value.
        keep_alive: Seconds for which an idle connection stays open.
        catalogue: The names of the services that a person can choose on the emulator's page.
        latency: Seconds, in real time, that every request to the API waits, also after a reset.
        fail_rate: The probability, 0 to 1, that a request to the API gets a 503 response, also after a reset.
        keep_requests: How many of the latest requests `requests` keeps.

    Attributes:
        account_id: The default account, which always exists and has no services at first.
        api_token: An API token with `Permission.NOTIFICATIONS_WRITE` on all accounts.

    Examples:
        >>> async with Emulator() as api:  # doctest: +SKIP
        ...     client = AsyncClient(base_url=api.url, api_token=api.api_token, account_id=api.account_id)
    """

    def __init__(
        self,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        id_style: IdStyle = IdStyle.HEX,
        rate_limits: RateLimits | None = None,
        clock: Callable[[], float] = time.monotonic,
        seed: int | None = None,
        initial_state: InitialState | None = None,
        dialect: Dialect | None = None,
        token_lifetime: float = 3600.0,
        keep_alive: float = 75.0,
        catalogue: Iterable[str] = ("Primary on-call", "Database", "Website"),
        latency: float = 0.0,
        fail_rate: float = 0.0,
        keep_requests: int = 10_000,
    ) -> None:
        self.host = host
        self._new_ids = functools.partial(rules.IdSource, IdStyle(id_style), seed)
        self._settings = (rate_limits or RateLimits(), dialect or Dialect(), token_lifetime)
        self._initial = initial_state or InitialState()
        self._lock = threading.RLock()
        ids = self._new_ids()
        self.account_id: str = self._initial.default_account_id or ids.hex_id()
        self.api_token: str = self._initial.default_api_token or ids.api_token()
        self.catalogue: tuple[str, ...] = rules.checked_names(catalogue)
        self._gates: list[Gate] = []
        self._thread = contextlib.ExitStack()
        self._server = Server(host, port, keep_alive)
        log = RequestLog(self._lock, keep_requests)
        control = ControlAPI(self, host)
        self._dispatcher = Dispatcher(self._fresh_state(clock()), log, self._lock, clock, control, self._server.refuse)
        for_every_request = self._builder(self._dispatcher.standing.append)
        if latency:
            for_every_request.latency(latency)
        if fail_rate:
            for_every_request.sometimes(fail_rate).respond(503)

    @property
    def url(self) -> str:
        """The base URL for a client, such as `http://127.0.0.1:8787/client/v4`.

        Raises:
            EmulatorUsageError: The emulator is not serving.
        """
        return f"{self.origin}{BASE_PATH}"

    @property
    def origin(self) -> str:
        """The scheme, host and port of `url`, without a path."""
        if not self._server.running:
            raise EmulatorUsageError("the emulator is not serving: enter it with `with` or `async with` first")
        host = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(self.host, self.host)  # noqa: S104
        return f"http://{f'[{host}]' if ':' in host else host}:{self._server.port}"

    @property
    def environ(self) -> dict[str, str]:
        """The environment variables that make the clients, the commands and Cloudflare's SDKs use this emulator."""
        return {
            "CLOUDFLARE_API_TOKEN": self.api_token,
            "CLOUDFLARE_ACCOUNT_ID": self.account_id,
            "CLOUDFLARE_BASE_URL": self.url,
        }

    @property
    def authorize_url(self) -> str:
        """The address of the page where a person authorizes a token, with `{token}` as its placeholder.

        The value for `PAGERDUTY_ALERTING_AUTHORIZE_URL`, which `pagerduty-alerting connect` reads. Browsers do not
        send the part after `#`, so the token appears in no log.
        """
        return f"{self.origin}/_emulator/#{{token}}"

    @property
    def requests(self) -> RequestLog:
        """The requests that the emulated API received, oldest first."""
        return self._dispatcher.log

    # What people do: Cloudflare's administrators and PagerDuty's users.

    def add_account(self, account_id: str | None = None, *, services: Iterable[str] = (), entitled: bool = True) -> str:
        """Adds an account and returns its id.

        Args:
            account_id: Its id, 32 lower-case hexadecimal digits; None for a new one.
            services: The names of the PagerDuty services that are linked with it at first.
            entitled: Whether its plan includes PagerDuty; if not, all operations return 403, code 17200.

        Raises:
            EmulatorUsageError: The id is malformed or taken.
        """
        with self._lock:
            return rules.add_account(self._state, account_id, services, entitled=entitled).id

    def add_api_token(
        self,
        *,
        token: str | None = None,
        permissions: Iterable[Permission] = _WRITE,
        accounts: Iterable[str] | None = None,
    ) -> str:
        """Adds an API token and returns it, for `Authorization: Bearer`.

        Args:
            token: The token, in any format; None for a new one.
            permissions: The token's permissions.
            accounts: The ids of the accounts that it is valid for; None for all.
        """
        with self._lock:
            secret = self._state.ids.api_token() if token is None else token
            self._state.credentials[secret] = Credential(secret, permissions, accounts)
            return secret

    def add_api_key(
        self,
        email: str,
        *,
        key: str | None = None,
        permissions: Iterable[Permission] = _WRITE,
        accounts: Iterable[str] | None = None,
    ) -> str:
        """Adds a user with an API key and returns the key, for `X-Auth-Key`.

        Args:
            email: The user's address, for `X-Auth-Email`.
            key: The key, in any format; None for a new one.
            permissions: The user's permissions.
            accounts: The ids of the user's accounts; None for all.
        """
        with self._lock:
            secret = self._state.ids.api_key() if key is None else key
            self._state.keys[email.lower(), secret] = Credential(secret, permissions, accounts, email)
            return secret

    def accounts(self) -> list[Account]:
        """Returns the accounts with their services, oldest first."""
        with self._lock:
            return list(self._state.accounts.values())

    def services(self, account_id: str | None = None) -> list[Service]:
        """Returns the services that are linked with an account; None for the default one.

        Raises:
            EmulatorUsageError: There is no such account.
        """
        with self._lock:
            return list(rules.account_of(self._state, account_id or self.account_id).services)

    def add_service(self, name: str, account_id: str | None = None) -> Service:
        """Links a service with an account, without a token.

        Args:
            name: The service's name; a service that is already linked does not change.
            account_id: The account; None for the default one.

        Raises:
            EmulatorUsageError: There is no such account, or the name is blank.
        """
        with self._lock:
            account = rules.account_of(self._state, account_id or self.account_id)
            account = rules.with_services(account, [name], self._state.ids)
            self._state.accounts[account.id] = account
            return next(service for service in account.services if service.name == name)

    def tokens(self) -> list[IntegrationToken]:
        """Returns the integration tokens, oldest first."""
        with self._lock:
            return list(self._state.tokens.values())

    def token_state(self, token: str | HasId) -> TokenState:
        """Returns the stage of an integration token, given as for `authorize`.

        Raises:
            EmulatorUsageError: There is no such token.
        """
        with self._lock:
            return rules.token_of(self._state, token).state_at(self._dispatcher.now())

    def authorize(self, token: str | HasId, services: Iterable[str]) -> None:
        """Authorizes a token for the chosen services, as a person does in PagerDuty between create and connect.

        Args:
            token: The integration token's id in either spelling, or an object that has it as `id`.
            services: The names of the services to choose; at least one.

        Raises:
            EmulatorUsageError: There is no such token, or it is used or expired, or no service was chosen.
        """
        with self._lock:
            rules.authorize(self._state, token, services, self._dispatcher.now())

    def expire(self, token: str | HasId) -> None:
        """Makes an integration token, given as for `authorize`, expire at once.

        Raises:
            EmulatorUsageError: There is no such token.
        """
        with self._lock:
            expired = evolve(rules.token_of(self._state, token), expires_at=self._dispatcher.now())
            rules.put_token(self._state, expired)

    # What tests do: order faults, advance the clock, reset.

    @property
    def orders(self) -> list[Order]:
        """The orders of faults that are not spent, oldest first."""
        return [order for order in self._dispatcher.orders if not order.spent]

    def on(self, *operations: Operation | str) -> FaultBuilder:
        """Returns the builder of a fault.

        Args:
            operations: The operations that get the fault; with none, every request to the API gets it.
        """
        return self._builder(self._add_order, *operations)

    def listen(self, listener: Listener | None) -> None:
        """Sets the function that is called with each request once it has ended; None for none.

        Args:
            listener: Called on the emulator's event loop: it must not block.
        """
        self._dispatcher.listener = listener

    def release(self, count: int | None = None) -> None:
        """Releases `count` requests at every gate, or, with None, all held and all later requests."""
        with self._lock:
            gates = list(self._gates)
        for gate in gates:
            gate.release(count)

    def advance(self, seconds: float) -> None:
        """Advances the emulator's clock, so that tests need not wait for rate limits and token expiry.

        Clients wait in real time: one that has used up the quota and delays its request goes on delaying it, unless
        it was made with `respect_rate_limits=False`.

        Raises:
            EmulatorUsageError: `seconds` is negative or not finite.
        """
        if not (math.isfinite(seconds) and seconds >= 0):
            raise EmulatorUsageError(f"`seconds` must be finite and not negative, not {seconds!r}")
        with self._lock:
            self._dispatcher.advanced += seconds

    def drop_connections(self) -> None:
        """Closes idle connections at once, and the others after their response, as a restarting server does."""
        self._server.call(self._server.drop_connections)

    @contextlib.contextmanager
    def refusing_connections(self) -> Generator[None]:
        """Refuses new connections and closes idle ones while the context lasts."""
        self._server.call(self._server.refuse)
        try:
            yield
        finally:
            self.accept_connections()

    def accept_connections(self) -> None:
        """Accepts connections again, after `refusing_connections` or a `refuse` fault."""
        self._server.call(self._server.accept)

    def reset(self) -> None:
        """Restores the initial state; the URL, the default account and the default API token stay the same.

        This resets accounts, credentials, services, tokens, faults, the log and the clock. Requests that are held,
        hang or drip end without a response.
        """
        self._server.call(self._server.end_requests)
        self.accept_connections()
        with self._lock:
            gates, self._gates = self._gates, []
            self._dispatcher.advanced = 0.0
            self._dispatcher.state = self._fresh_state(self._dispatcher.now())
            self._dispatcher.orders = []
            self._dispatcher.log.clear()
        for gate in gates:
            gate.release()  # its requests have ended

    async def __aenter__(self) -> Self:
        """Serves on the running event loop."""
        await self._server.start(self._dispatcher.handle)
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stops serving; requests that are still held end without a response."""
        await self._server.stop()

    def __enter__(self) -> Self:
        """Serves from a thread of the emulator's own."""
        self._thread.enter_context(serving_thread(self._server, self._dispatcher.handle))
        return self

    def __exit__(self, *_: object) -> None:
        """Stops serving and joins the thread; requests that are still held end without a response."""
        self._thread.close()

    @property
    def _state(self) -> rules.State:
        return self._dispatcher.state

    def _builder(self, add: Callable[[Order], None], *operations: Operation | str) -> FaultBuilder:
        selection = Selection(frozenset(map(Operation, operations)))
        return FaultBuilder(add, lambda: self._server.on_own_thread, selection)

    def _add_order(self, order: Order) -> None:
        with self._lock:
            self._dispatcher.orders.append(order)
            if isinstance(order.effect, Gate):
                self._gates.append(order.effect)

    def _fresh_state(self, now: float) -> rules.State:
        ids = self._new_ids()
        ids.hex_id()  # as `__init__` does for the default account and API token, so that no later id repeats them
        ids.api_token()
        state = rules.State(ids, *self._settings)
        populate(state, self._initial, self.account_id, self.api_token, now)
        return state
