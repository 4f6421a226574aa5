"""The emulator as its users hold it: a server and the state behind it; it must leave answering to others."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Generator, Iterable
from types import TracebackType
from typing import Self

from aiohttp import web

from pagerduty_alerting.emulator._clock import Clock
from pagerduty_alerting.emulator._population import Population
from pagerduty_alerting.emulator._request_log import RequestLog
from pagerduty_alerting.emulator._thread import ServerThread
from pagerduty_alerting.emulator.control.api import ControlDesk
from pagerduty_alerting.emulator.dispatch import Dispatcher, Listener
from pagerduty_alerting.emulator.faults.builder import FaultBuilder
from pagerduty_alerting.emulator.faults.gates import Gate
from pagerduty_alerting.emulator.faults.selection import Order, Selection
from pagerduty_alerting.emulator.rules._edge import Edge
from pagerduty_alerting.emulator.rules._ids import IdSource, IdStyle
from pagerduty_alerting.emulator.rules.answers import Dialect
from pagerduty_alerting.emulator.rules.contract import BASE_PATH, Operation
from pagerduty_alerting.emulator.rules.initial_state import InitialState, populate
from pagerduty_alerting.emulator.rules.operations import Rules
from pagerduty_alerting.emulator.rules.rate_limits import RateLimits
from pagerduty_alerting.emulator.rules.state import EmulatorUsageError, State, checked_names
from pagerduty_alerting.emulator.server import Server


class Emulator(Population):
    """A local copy of Cloudflare's API for PagerDuty notification destinations, over real HTTP.

    ``async with Emulator() as api`` serves on the running event loop, ``with Emulator() as api`` from a
    thread of its own. Every method may be called from any thread. Nothing of it is left behind on exit.

    Args:
        host: The address to listen on.
        port: The port; 0 lets the system choose.
        id_style: How new token and service ids are spelled.
        rate_limits: The limits in force; Cloudflare's real ones by default. For load take
            ``RateLimits.unlimited()``.
        clock: A callable that gives seconds and never goes back; `advance` turns what it gives.
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
        self._host = host
        self._id_style = IdStyle(id_style)
        self._rate_limits = rate_limits or RateLimits()
        self._rules = Rules(dialect or Dialect(), token_lifetime)
        self._seed = seed
        self._initial = initial_state or InitialState()
        self._lock = threading.RLock()
        self._clock = Clock(clock)
        identity = IdSource(self._id_style, seed)
        self.account_id = self._initial.default_account_id or identity.hex_id()
        self.api_token = self._initial.default_api_token or identity.api_token()
        self.catalogue = checked_names(catalogue)
        self._gates: list[Gate] = []
        self._state = self._fresh_state()
        self._server = Server(self._handle, host, port, keep_alive)
        self._dispatcher = Dispatcher(
            self._fresh_edge(),
            self._clock,
            self._lock,
            RequestLog(self._lock, keep_requests),
            ControlDesk(self),
            self._server.refuse,
        )
        self._thread: ServerThread | None = None
        if latency:
            self.on().latency(latency)
        if fail_rate:
            self.on().sometimes(fail_rate).respond(503)
        self._dispatcher.standing, self._dispatcher.orders = self._dispatcher.orders, []

    @property
    def url(self) -> str:
        """The base URL for a client, such as ``http://127.0.0.1:8787/client/v4``.

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
        host = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(self._host, self._host)  # noqa: S104
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
    def requests(self) -> RequestLog:
        """The requests to the API that the emulator saw, oldest first."""
        return self._dispatcher.log

    @property
    def orders(self) -> list[Order]:
        """The faults that are ordered and not spent, oldest first."""
        return [order for order in self._dispatcher.orders if not order.spent]

    def on(self, *operations: Operation) -> FaultBuilder:
        """Begin to order a fault.

        Args:
            operations: The operations to disturb; none for every request to the API, whatever it asks for.
        """
        chosen = frozenset(map(Operation, operations))
        return FaultBuilder(self._place, self._make_gate, Selection(chosen))

    def listen(self, listener: Listener | None) -> None:
        """Have a function told of each request once it has ended; None for nobody.

        Args:
            listener: Called on the emulator's event loop: it must not block.
        """
        self._dispatcher.listener = listener

    def release(self, count: int | None = None) -> None:
        """Let requests go at every gate.

        Args:
            count: How many at each; None opens the gates for good.
        """
        with self._lock:
            gates = list(self._gates)
        for gate in gates:
            gate.release(count)

    def advance(self, seconds: float) -> None:
        """Turn the emulator's clock forward: rate limits recover and tokens expire without waiting.

        Args:
            seconds: By how much.

        Raises:
            EmulatorUsageError: `seconds` is negative or not finite.
        """
        with self._lock:
            self._clock.advance(seconds)

    def drop_connections(self) -> None:
        """Close idle kept-alive connections, as a server does that restarts, and the others once answered."""
        self._server.call(self._server.drop_connections)

    @contextlib.contextmanager
    def refusing_connections(self) -> Generator[None]:
        """Refuse new connections and close idle ones while the context lasts."""
        self._server.call(self._server.refuse)
        try:
            yield
        finally:
            self.accept_connections()

    def accept_connections(self) -> None:
        """Accept connections again, after `refusing_connections` or a `refuse` fault."""
        self._server.call(self._server.accept)

    def reset(self) -> None:
        """Go back to the fresh state, at the same URL and with the same default account and API token.

        Accounts, credentials, services, tokens, faults, the log and the clock start again; requests that are
        held, hang or drip end without an answer.
        """
        self._server.call(self._server.end_requests)
        self.accept_connections()
        with self._lock:
            gates, self._gates = self._gates, []
            self._clock.turned = 0.0
            self._state = self._fresh_state()
            self._dispatcher.edge = self._fresh_edge()
            self._dispatcher.orders = []
            self._dispatcher.log.clear()
        for gate in gates:
            gate.release()  # for those that wait for arrivals: the requests themselves have ended

    async def __aenter__(self) -> Self:
        """Serve on the running event loop."""
        self._check_idle()
        await self._server.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Stop serving; requests that are still held end."""
        await self._server.stop()

    def __enter__(self) -> Self:
        """Serve from a thread of the emulator's own."""
        self._check_idle()
        thread = ServerThread(self._server)
        thread.start()
        self._thread = thread
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Stop serving and join the thread; requests that are still held end."""
        thread, self._thread = self._thread, None
        if thread is not None:
            thread.stop()

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
        state = State(IdSource(self._id_style, self._seed))
        populate(state, self._initial, self.account_id, self.api_token)
        return state

    def _fresh_edge(self) -> Edge:
        return Edge(self._rate_limits, self._rules, self._state)
