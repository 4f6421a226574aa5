"""The emulator as its users hold it: a server, the state behind it, and what people do to that state."""

import contextlib
import math
import threading
import time
from collections.abc import Callable, Generator, Iterable
from types import TracebackType
from typing import Protocol, Self

from aiohttp import web

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
from pagerduty_alerting.emulator.rules.initial_state import InitialState, make_credential, populate
from pagerduty_alerting.emulator.rules.rate_limits import RateLimits
from pagerduty_alerting.emulator.rules.state import (
    Account,
    IdSource,
    IdStyle,
    IntegrationToken,
    Service,
    State,
    TokenState,
)
from pagerduty_alerting.emulator.server import Server, ServerThread

_WRITE = (Permission.NOTIFICATIONS_WRITE,)


class HasId(Protocol):
    """Anything with an `id`, such as the integration token that a client returned."""

    @property
    def id(self) -> str:
        """The id."""
        ...


class Emulator:
    """A local copy of Cloudflare's API for PagerDuty notification destinations, over real HTTP.

    `async with Emulator() as api` serves on the running event loop, `with Emulator() as api` from a thread of its
    own. Every method may be called from any thread. Nothing of it is left behind on exit.

    Args:
        host: The address to listen on.
        port: The port; 0 lets the system choose.
        id_style: How new token and service ids are spelled.
        rate_limits: The limits in force; Cloudflare's real ones by default. For load take
            `RateLimits.unlimited()`.
        clock: A callable that gives seconds and never goes back; `advance` adds to what it gives.
        seed: Where random ids start, for the same ones in every run; None for others each time.
        initial_state: The accounts and credentials that there are from the start and after each reset. Its
            first account and first API token become the default ones.
        dialect: The forms of answers in which the published description and real answers differ.
        token_lifetime: Seconds for which an integration token is good. Cloudflare publishes none.
        keep_alive: Seconds for which an idle connection is kept.
        catalogue: The names of the services that the emulator's page offers to choose from.
        latency: Seconds, in real time, that every request to the API waits, also after a reset.
        fail_rate: How likely every request to the API is to be answered with 503, 0 to 1, also after a reset.
        keep_requests: How many of the latest requests `requests` keeps.

    Attributes:
        host: The address to listen on.
        catalogue: The names of the services that the emulator's page offers to choose from.
        account_id: An account that always exists, with no services at first.
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
        self._id_style = IdStyle(id_style)
        self._seed = seed
        self._rate_limits = rate_limits or RateLimits()
        self._dialect = dialect or Dialect()
        self._token_lifetime = token_lifetime
        self._initial = initial_state or InitialState()
        self._clock = clock
        self._advanced = 0.0
        self._lock = threading.RLock()
        ids = IdSource(self._id_style, seed)
        self.account_id = self._initial.default_account_id or ids.hex_id()
        self.api_token = self._initial.default_api_token or ids.api_token()
        self.catalogue = rules.checked_names(catalogue)
        self._gates: list[Gate] = []
        self._thread: ServerThread | None = None
        self._server = Server(self._handle, host, port, keep_alive)
        log = RequestLog(self._lock, keep_requests)
        control = ControlAPI(self, host)
        self._dispatcher = Dispatcher(self._fresh_state(), self._now, self._lock, log, control, self._server.refuse)
        if latency:
            self.on().latency(latency)
        if fail_rate:
            self.on().sometimes(fail_rate).respond(503)
        self._dispatcher.standing, self._dispatcher.orders = self._dispatcher.orders, []

    @property
    def url(self) -> str:
        """The base URL for a client, such as `http://127.0.0.1:8787/client/v4`.

        Raises:
            EmulatorUsageError: The emulator is not serving.
        """
        return f"{self.origin}{BASE_PATH}"

    @property
    def origin(self) -> str:
        """Scheme, host and port, without a path.

        Raises:
            EmulatorUsageError: The emulator is not serving.
        """
        if not self._server.running:
            raise EmulatorUsageError("the emulator is not serving: enter it with `with` or `async with` first")
        host = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(self.host, self.host)  # noqa: S104
        return f"http://{f'[{host}]' if ':' in host else host}:{self._server.port}"

    @property
    def environ(self) -> dict[str, str]:
        """The environment variables with which Cloudflare's own tools find this emulator."""
        return {
            "CLOUDFLARE_API_TOKEN": self.api_token,
            "CLOUDFLARE_ACCOUNT_ID": self.account_id,
            "CLOUDFLARE_BASE_URL": self.url,
        }

    @property
    def authorize_url(self) -> str:
        """The address of the page where a person authorizes a token, which belongs in the place of `{token}`.

        For `PAGERDUTY_ALERTING_AUTHORIZE_URL`, which `pagerduty-alerting connect` reads. What follows the `#` stays
        in the browser and comes into no log.
        """
        return f"{self.origin}/_emulator/#{{token}}"

    @property
    def requests(self) -> RequestLog:
        """The requests to the API that the emulator saw, oldest first."""
        return self._dispatcher.log

    # What people do: Cloudflare's administrators and PagerDuty's users.

    def add_account(self, account_id: str | None = None, *, services: Iterable[str] = (), entitled: bool = True) -> str:
        """Adds an account and returns its id.

        Args:
            account_id: Its id, 32 lower-case hexadecimal digits; None for a new one.
            services: Names of PagerDuty services that are linked with it from the start.
            entitled: Whether its plan includes PagerDuty; without, all operations answer 403, code 17200.

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
            token: The token, in any form; None for a new one.
            permissions: What it may do.
            accounts: The ids of the accounts that it may be used on; None for all.
        """
        with self._lock:
            secret = self._state.ids.api_token() if token is None else token
            self._state.credentials[secret] = make_credential(secret, permissions, accounts)
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
            key: The key, in any form; None for a new one.
            permissions: What the user may do.
            accounts: The ids of the accounts that the user has; None for all.
        """
        with self._lock:
            secret = self._state.ids.api_key() if key is None else key
            self._state.keys[email.lower(), secret] = make_credential(secret, permissions, accounts, email)
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
        """Links a service with an account, None for the default one, without going through PagerDuty.

        Args:
            name: The service's name; one that is linked already stays as it is.
            account_id: The account.

        Raises:
            EmulatorUsageError: There is no such account, or the name is blank.
        """
        with self._lock:
            account = rules.account_of(self._state, account_id or self.account_id)
            account = rules.with_services(account, [name], self._state.ids)
            self._state.accounts[account.id] = account
            return next(service for service in account.services if service.name == name)

    def tokens(self) -> list[IntegrationToken]:
        """Returns the integration tokens that there are, oldest first."""
        with self._lock:
            return list(self._state.tokens.values())

    def token_state(self, token: str | HasId) -> TokenState:
        """Returns how far an integration token has come.

        Args:
            token: The integration token's id in either spelling, or an object that has it as `id`.

        Raises:
            EmulatorUsageError: There is no such token.
        """
        with self._lock:
            return rules.token_of(self._state, _id_of(token)).state_at(self._now())

    def authorize(self, token: str | HasId, services: Iterable[str]) -> None:
        """Does what a person does in PagerDuty between create and connect: logs in, chooses services, confirms.

        Args:
            token: The integration token's id in either spelling, or an object that has it as `id`.
            services: The names of the services to choose; at least one.

        Raises:
            EmulatorUsageError: There is no such token, or it is used or expired, or no service was chosen.
        """
        with self._lock:
            rules.authorize(self._state, _id_of(token), services, self._now())

    def expire(self, token: str | HasId) -> None:
        """Makes an integration token expire at once.

        Args:
            token: The integration token's id in either spelling, or an object that has it as `id`.

        Raises:
            EmulatorUsageError: There is no such token.
        """
        with self._lock:
            rules.expire_token(self._state, _id_of(token), self._now())

    # What tests do: order faults, advance the clock, start afresh.

    @property
    def orders(self) -> list[Order]:
        """The faults that are ordered and not spent, oldest first."""
        return [order for order in self._dispatcher.orders if not order.spent]

    def on(self, *operations: Operation | str) -> FaultBuilder:
        """Returns the builder of a fault.

        Args:
            operations: The operations to disturb; none for every request to the API, whatever it asks for.
        """
        return FaultBuilder(self._place, self._make_gate, Selection(frozenset(map(Operation, operations))))

    def listen(self, listener: Listener | None) -> None:
        """Sets the function that is called with each request once it has ended; None for none.

        Args:
            listener: Called on the emulator's event loop: it must not block.
        """
        self._dispatcher.listener = listener

    def release(self, count: int | None = None) -> None:
        """Lets requests go at every gate: so many at each, or, with None, all that wait or will come."""
        with self._lock:
            gates = list(self._gates)
        for gate in gates:
            gate.release(count)

    def advance(self, seconds: float) -> None:
        """Advances the emulator's clock: rate limits recover and tokens expire without waiting.

        Raises:
            EmulatorUsageError: `seconds` is negative or not finite.
        """
        if not (math.isfinite(seconds) and seconds >= 0):
            raise EmulatorUsageError(f"a clock goes forward by a finite number of seconds, not by {seconds!r}")
        with self._lock:
            self._advanced += seconds

    def drop_connections(self) -> None:
        """Closes idle kept-alive connections, as a server does that restarts, and the others once answered."""
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
        """Goes back to the fresh state, at the same URL and with the same default account and API token.

        Accounts, credentials, services, tokens, faults, the log and the clock start again; requests that are
        held, hang or drip end without an answer.
        """
        self._server.call(self._server.end_requests)
        self.accept_connections()
        with self._lock:
            gates, self._gates = self._gates, []
            self._advanced = 0.0
            self._dispatcher.state = self._fresh_state()
            self._dispatcher.orders = []
            self._dispatcher.log.clear()
        for gate in gates:
            gate.release()  # for those that wait for arrivals: the requests themselves have ended

    async def __aenter__(self) -> Self:
        """Serves on the running event loop."""
        self._check_idle()
        await self._server.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Stops serving; requests that are still held end."""
        await self._server.stop()

    def __enter__(self) -> Self:
        """Serves from a thread of the emulator's own."""
        self._check_idle()
        thread = ServerThread(self._server)
        thread.start()
        self._thread = thread
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Stops serving and joins the thread; requests that are still held end."""
        thread, self._thread = self._thread, None
        if thread is not None:
            thread.stop()

    @property
    def _state(self) -> State:
        return self._dispatcher.state

    def _now(self) -> float:
        return self._clock() + self._advanced

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        return await self._dispatcher(request)

    def _check_idle(self) -> None:
        if self._server.running:
            raise EmulatorUsageError("the emulator is serving already: one emulator is one server")

    def _place(self, order: Order) -> None:
        with self._lock:
            self._dispatcher.orders.append(order)

    def _make_gate(self) -> Gate:
        gate = Gate(lambda: self._server.on_own_thread)
        with self._lock:
            self._gates.append(gate)
        return gate

    def _fresh_state(self) -> State:
        ids = IdSource(self._id_style, self._seed)
        state = State(ids, self._rate_limits, self._dialect, self._token_lifetime)
        populate(state, self._initial, self.account_id, self.api_token, self._now())
        return state


def _id_of(token: str | HasId) -> str:
    return token if isinstance(token, str) else token.id
