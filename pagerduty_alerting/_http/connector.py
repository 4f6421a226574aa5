"""Which connection an attempt gets, and that it is sent once: every hook into aiohttp's private parts stands here.

The private names are those of `tests/unit/test_private_names.py`, which says what breaks when one goes.
"""

import asyncio
import contextlib
import contextvars
import functools
import select
import sys
from collections.abc import Awaitable, Callable, Generator, Sequence
from typing import Any

import aiohttp
from aiohttp.abc import ResolveResult
from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import Connection
from aiohttp.tracing import Trace
from attrs import define, field
from yarl import URL

from pagerduty_alerting._http.errors import Circumstances, ConnectionBrokeError, without_url
from pagerduty_alerting._loop import greenlets

QUEUED = "waiting for a free connection"
CONNECTING = "connecting"
WAITING = "waiting for the answer"
READING = "reading the answer"


@define(eq=False)
class Progress:
    """What an attempt is doing, for the message of a timeout, and which connection it has.

    Attributes:
        phase: What it is doing.
        connect_timeout: Seconds for making a connection.
        connection: Its connection in the client's own session, once there is one.
        proxy: Host and port of the proxy, where there is one.
        unresolved: The name that is being looked up.
        connected: Called once there is a connection.
        url: Where its request goes, for sessions whose hooks are told a URL without the integration token.
    """

    phase: str
    connect_timeout: float = field(default=5.0, init=False)
    connection: ResponseHandler | None = field(default=None, init=False)
    proxy: tuple[str | None, int | None] | None = field(default=None, init=False)
    unresolved: str | None = field(default=None, init=False)
    connected: Callable[[], object] | None = field(default=None, init=False)
    url: URL = field(default=URL(), init=False, repr=False)

    @property
    def was_sent(self) -> bool:
        """Whether the request of the attempt can have reached the API."""
        return self.phase in {WAITING, READING}

    def begin(self, url: URL, connect_timeout: float) -> None:
        """Begins an attempt: as long as nothing else is known, its request may have been sent."""
        self.phase, self.url, self.connect_timeout = WAITING, url, connect_timeout
        self.connection = self.proxy = self.unresolved = self.connected = None

    def begin_connecting(self, request: aiohttp.ClientRequest) -> None:
        """Notes that a connection is waited for, so that the request has not been sent."""
        self.phase = CONNECTING
        if request.proxy is not None:
            self.proxy = request.proxy.host, request.proxy.port

    def end_connecting(self) -> None:
        """Notes that the request is about to be written."""
        self.phase = WAITING
        if self.connected is not None:
            self.connected()

    def circumstances(self) -> Circumstances:
        """Returns what is known of the attempt, for the message of its failure."""
        return Circumstances(
            was_sent=self.was_sent,
            connect_timeout=self.connect_timeout,
            proxy=self.proxy,
            unresolved=self.unresolved,
        )


current_progress: contextvars.ContextVar[Progress | None] = contextvars.ContextVar(
    "pagerduty_alerting_progress", default=None
)
"""The `Progress` of the attempt that the running task makes."""


def _current() -> Progress:
    progress = current_progress.get()
    if progress is None:
        raise RuntimeError("the client's own connector serves the client alone")
    return progress


class Connector(aiohttp.TCPConnector):
    """Gives each attempt one connection, limits the time for it, and tells the attempt's `Progress`."""

    async def connect(
        self, req: aiohttp.ClientRequest, traces: list[Trace], timeout: aiohttp.ClientTimeout
    ) -> Connection:
        """Returns a connection from the pool on which nothing came meanwhile, or a new one."""
        progress = _current()
        if progress.connection is not None:
            # It broke, and aiohttp, which by itself sends a GET or a DELETE once more, asks for another.
            raise ConnectionBrokeError
        progress.begin_connecting(req)
        _close_stale(self, req)
        connection = await super().connect(req, traces, timeout)
        progress.phase, progress.connection = WAITING, connection.protocol
        return connection

    async def _create_connection(
        self, req: aiohttp.ClientRequest, traces: list[Trace], timeout: aiohttp.ClientTimeout
    ) -> ResponseHandler:
        # aiohttp's own limit is for each address of the host, and neither for looking them up nor for a proxy's answer.
        async with asyncio.timeout(timeout.sock_connect):
            with _broken_for_good():
                return await super()._create_connection(req, traces, timeout)

    async def _resolve_host(self, host: str, port: int, traces: Sequence[Trace] | None = None) -> list[ResolveResult]:
        progress = _current()
        progress.unresolved = host
        addresses = await super()._resolve_host(host, port, traces)
        progress.unresolved = None
        return addresses


def _close_stale(connector: aiohttp.BaseConnector, request: aiohttp.ClientRequest) -> list[ResponseHandler]:
    """Closes idle connections that must not be used, so that the next one in the pool can be; returns what is left.

    What came on an idle connection answers no request. aiohttp would return it as the answer to the next one.
    """
    idle = getattr(connector, "_conns", {}).get(request.connection_key)
    if not idle:
        return []
    left: list[ResponseHandler] = []
    for protocol, _ in idle:  # the oldest first, as the pool gives them away
        if not _is_stale(protocol):
            left.append(protocol)
            break
        protocol.close()
    return left


def _is_stale(protocol: ResponseHandler) -> bool:
    """Whether anything came on a connection that waits for no answer: data, the start of a head, or its end."""
    transport = protocol.transport
    if transport is None or protocol.should_close:
        return True
    return _is_within_head(getattr(protocol, "_parser", None)) or _is_readable(transport)


def _is_within_head(parser: Any) -> bool:
    """Whether the parser of the answer before holds the start of another one."""
    if parser is None:
        return False
    if getattr(parser, "_tail", b"") or getattr(parser, "_lines", ()):  # of aiohttp's parser without C
        return True
    try:
        # Changes nothing between two messages. Within one, it returns what there is of it, or raises.
        return parser.feed_eof() is not None
    except Exception:
        return True


def _is_readable(transport: asyncio.BaseTransport) -> bool:
    """Whether the event loop has still to read from a transport's socket, or the socket is closed."""
    connection = transport.get_extra_info("socket")
    if connection is None or connection.fileno() < 0:
        return True
    if sys.platform == "win32":
        return bool(select.select([connection], [], [], 0)[0])
    poll = greenlets.original("select", "poll")()
    poll.register(connection, select.POLLIN)
    return bool(poll.poll(0))


class _StaleConnectionError(aiohttp.ClientError):
    """A connection of the pool was found to hold data, and nothing was written to it."""


def middlewares_for(session: aiohttp.ClientSession) -> tuple[aiohttp.ClientMiddlewareType, ...]:
    """Returns the middlewares for a request in a session of the caller's, or in one with tracing hooks.

    Those given with a request take the place of the session's own, so that these come first.
    """
    own: tuple[aiohttp.ClientMiddlewareType, ...] = getattr(session, "_middlewares", ())
    return (_reveal_url, *own, functools.partial(_send_once, session))


async def _reveal_url(request: aiohttp.ClientRequest, send: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    """An aiohttp middleware that puts the integration token into the URL, where the hooks have been told one without.

    Hooks write it down: error trackers and tracers that instrument every session keep the URLs of requests.
    """
    request.url = _current().url
    return await send(request)


async def _send_once(
    session: aiohttp.ClientSession, request: aiohttp.ClientRequest, send: aiohttp.ClientHandlerType
) -> aiohttp.ClientResponse:
    """An aiohttp middleware that does what `Connector` does for the client's own session without hooks.

    A request takes no stale connection and is sent once. While a hook runs, more can come on a connection, so it is
    looked at again right before the request is written. And the URL, which may end in a token, is taken out of the
    errors that the hooks see.
    """
    progress = _current()
    failure: aiohttp.ClientError | None = None
    while failure is None:
        reused = [] if session.connector is None else _close_stale(session.connector, request)
        try:
            with _checked_before_written(request, reused, progress), _broken_for_good():
                return await _in_time(request, send, progress)
        except _StaleConnectionError:
            progress.connection = None
        except (aiohttp.ConnectionTimeoutError, aiohttp.ClientResponseError) as error:
            failure = without_url(error)
    try:
        raise failure  # not in the handler, whose exception would be its context
    finally:
        del failure  # the traceback holds this frame, which must not hold the exception in turn


async def _in_time(
    request: aiohttp.ClientRequest, send: aiohttp.ClientHandlerType, progress: Progress
) -> aiohttp.ClientResponse:
    """Sends a request; a tunnel through a proxy, for which aiohttp has no limit, has the time for a connection."""
    if request.proxy is None:
        return await send(request)
    try:
        async with asyncio.timeout(progress.connect_timeout) as limit:
            progress.connected = functools.partial(limit.reschedule, None)
            return await send(request)
    except aiohttp.ClientError:
        raise
    except TimeoutError:
        raise aiohttp.ConnectionTimeoutError from None


@contextlib.contextmanager
def _checked_before_written(
    request: aiohttp.ClientRequest, reused: list[ResponseHandler], progress: Progress
) -> Generator[None]:
    """Checks a reused connection once more when the request is about to be written, and notes that it is."""
    send_name = "_send" if hasattr(request, "_send") else "send"  # aiohttp 4, aiohttp 3
    report_name = "_on_headers_request_sent"
    send: Callable[..., Awaitable[Any]] = getattr(request, send_name)
    report_headers: Callable[..., Awaitable[None]] = getattr(request, report_name)
    taken: list[ResponseHandler] = []

    def check() -> None:
        if any(protocol in reused and _is_stale(protocol) for protocol in taken):
            raise _StaleConnectionError

    async def checked_send(connection: Connection) -> Any:
        taken[:] = [] if connection.protocol is None else [connection.protocol]
        check()
        progress.end_connecting()
        return await send(connection)

    async def checked_report(*arguments: Any) -> None:
        await report_headers(*arguments)
        check()

    progress.begin_connecting(request)
    instance = vars(request)
    instance.update({send_name: checked_send, report_name: checked_report})
    try:
        yield
    finally:
        for name in (send_name, report_name):
            instance.pop(name, None)


@contextlib.contextmanager
def _broken_for_good() -> Generator[None]:
    """Puts an error after which aiohttp does not send the request again in place of those after which it would."""
    try:
        yield
    except aiohttp.ClientConnectorError:
        raise
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
        raise ConnectionBrokeError(error) from None
