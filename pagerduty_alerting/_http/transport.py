"""The only file that talks aiohttp: a request goes in, the raw answer or one of our errors comes out."""

import asyncio
import contextlib
import contextvars
import functools
import os
import selectors
import socket
import ssl
import weakref
from collections.abc import AsyncGenerator, Generator, Mapping, Sequence
from typing import Any

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import Connection
from aiohttp.tracing import Trace
from attrs import define, field

from pagerduty_alerting._http.errors import ConnectionBrokeError, NotHttpError, connection_error
from pagerduty_alerting._http.proxy import Proxy, find_proxy
from pagerduty_alerting._loop import fork
from pagerduty_alerting._protocol.answer import RawResponse, SecretHeaders
from pagerduty_alerting._protocol.endpoints import Request
from pagerduty_alerting.errors import ClientClosedError, ClientUsageError, PagerDutyAlertingError

CONNECTING = "connecting"
WAITING = "waiting for the answer"
READING = "reading the answer"


@define(eq=False)
class Progress:
    """What a call is doing, for the message of a timeout, and which connection it has.

    Attributes:
        phase: What it is doing.
        connection: The connection of the attempt, once there is one.
        is_new: Whether that was made for the attempt.
        wants_live_connection: Whether an idle connection has to be looked at before it is used, because the request may
            not be sent a second time.
    """

    phase: str
    connection: ResponseHandler | None = field(default=None, init=False)
    is_new: bool = field(default=False, init=False)
    wants_live_connection: bool = field(default=False, init=False)

    @property
    def was_sent(self) -> bool:
        """Whether the request of the attempt can have reached the API."""
        return self.phase in {WAITING, READING}


_progress: contextvars.ContextVar[Progress | None] = contextvars.ContextVar("pagerduty_alerting_progress", default=None)


def _current() -> Progress:
    progress = _progress.get()
    if progress is None:
        raise RuntimeError("the client's own connector serves the client alone")
    return progress


class Transport:
    """A session of connections that belongs to one event loop at a time, opened when it is first needed.

    Args:
        base_url: Where requests go; it decides on the proxy.
        session: The caller's own session, which is used instead and never closed.
        ssl_context: Verifies the server's certificate in place of aiohttp's default.
        trace_configs: aiohttp's tracing hooks.
    """

    def __init__(
        self,
        base_url: str,
        *,
        session: aiohttp.ClientSession | None = None,
        ssl_context: ssl.SSLContext | None = None,
        trace_configs: Sequence[aiohttp.TraceConfig] = (),
    ) -> None:
        _check_type("session", session, aiohttp.ClientSession)
        _check_type("ssl_context", ssl_context, ssl.SSLContext)
        for config in trace_configs:
            _check_type("each of trace_configs", config, aiohttp.TraceConfig)
        self._base_url = base_url
        self._callers_session = session
        self._ssl_context = ssl_context
        self._trace_configs = list(trace_configs)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._session: aiohttp.ClientSession | None = None
        self._lifetime: AsyncGenerator[None, None] | None = None
        self._session_headers: Mapping[str, str] | None = None  # those that our own session sends by itself
        self._options: dict[str, Any] = {}  # what all requests of the session have in common
        self._sockets: weakref.WeakSet[socket.socket] = weakref.WeakSet()
        self.is_closed = False
        fork.register(self)

    def check_usable(self) -> None:
        """Checks that a call can be made from the running event loop.

        Raises:
            ClientClosedError: The client is closed.
            ClientUsageError: The client is in use from another event loop.
        """
        if self.is_closed:
            raise ClientClosedError("the client is closed")
        if self._loop is not None and self._loop is not asyncio.get_running_loop() and not self._loop.is_closed():
            raise ClientUsageError(
                "the client is in use from another event loop, which is not closed: make one client for each loop"
            )

    async def send(
        self,
        request: Request[object],
        headers: Mapping[str, str],
        *,
        connect_timeout: float,
        max_bytes: int,
        progress: Progress,
    ) -> RawResponse:
        """Sends a request exactly once and reads its answer, at most `max_bytes` of it. Redirects are not followed.

        Raises:
            APIConnectionError: No complete answer came.
            ClientClosedError: The client is closed, or was while the request was under way.
            ClientUsageError: The client is in use from another event loop.
        """
        session = self._session
        if session is None or self.is_closed or self._loop is not asyncio.get_running_loop():
            session = await self._open(headers)
        progress.phase, progress.connection = WAITING, None
        progress.wants_live_connection = not request.endpoint.replay_safe
        outer = _progress.get()
        _progress.set(progress)
        try:
            response = await session.request(
                request.method,
                request.url,
                headers=None if headers is self._session_headers else headers,
                timeout=_timeouts(connect_timeout),
                **self._options,
            )
            try:
                progress.phase = READING
                body, is_whole = await _read(response.content, max_bytes)
                return RawResponse(response.status, response.headers, body, is_whole)
            finally:
                if not response.closed:  # after its last byte it has closed itself
                    response.release()
                del response  # its repr, in tools that print local variables, holds the URL and with it a token
        except PagerDutyAlertingError:
            raise
        except Exception as error:
            if self.is_closed:
                raise ClientClosedError("the client was closed while the call was under way") from None
            failure, cause = connection_error(error, request, connect_timeout, was_sent=progress.was_sent)
        finally:
            # A tracing hook may have made this call within another. Set, not reset: a coroutine that is forgotten may
            # be closed in another context, where a reset is an error.
            _progress.set(outer)
        try:
            raise failure from cause
        finally:
            del failure, cause  # the traceback holds this frame, which must not hold the exception in turn

    async def aclose(self) -> None:
        """Closes the connections, those in use too. The caller's own session stays open. Idempotent."""
        self.is_closed = True
        lifetime, self._lifetime = self._lifetime, None
        if lifetime is not None and self._loop is asyncio.get_running_loop():
            await lifetime.aclose()

    def after_fork_in_child(self) -> None:
        """Leaves the parent's connections to the parent; the child opens its own when it needs one."""
        if self._session is not None:
            for connection in list(self._sockets):
                if connection.fileno() >= 0:
                    os.close(connection.detach())  # closes this process's descriptor and nothing else
            fork.never_finalize(self._session, self._lifetime, self._loop)
        self._loop = self._session = self._lifetime = None
        self._sockets = weakref.WeakSet()

    async def _open(self, headers: Mapping[str, str]) -> aiohttp.ClientSession:
        """Returns a session for the running loop, which may send these headers by itself: that saves merging them."""
        self.check_usable()
        loop = asyncio.get_running_loop()
        self._options = {"allow_redirects": False, "raise_for_status": False, "auto_decompress": True}
        session = self._callers_session or self._make_session(headers, find_proxy(self._base_url))
        if session is self._callers_session or session.trace_configs:
            # A session may bring middlewares of its own, and those given with a request take their place.
            own: Sequence[aiohttp.ClientMiddlewareType] = getattr(session, "_middlewares", ())
            self._options["middlewares"] = (*own, _send_once)
        self._loop, self._session = loop, session
        if session is not self._callers_session:
            self._lifetime = _close_with_loop(session)
            await anext(self._lifetime)
        return session

    def _make_session(self, headers: Mapping[str, str], proxy: Proxy | None) -> aiohttp.ClientSession:
        if proxy is None:
            self._session_headers = headers
        else:
            # Not the headers of the request: aiohttp tells a proxy what the session sends by itself.
            self._session_headers = SecretHeaders(proxy.headers())
            if self._base_url.startswith("https:"):
                # Through a tunnel the proxy sees nothing but the request for the tunnel.
                self._options["proxy_headers"], self._session_headers = self._session_headers, None
        return aiohttp.ClientSession(
            connector=_Connector(ssl=self._ssl_context or True, socket_factory=self._make_socket),
            cookie_jar=aiohttp.DummyCookieJar(),
            trace_configs=self._trace_configs,
            headers=self._session_headers,
            proxy=None if proxy is None else proxy.url,
        )

    def _make_socket(self, address: tuple[Any, ...]) -> socket.socket:
        family, kind, protocol, _, _ = address
        made = socket.socket(family, kind, protocol)
        self._sockets.add(made)
        return made


class _Connector(aiohttp.TCPConnector):
    """Gives each attempt one connection, limits the time for it, and notes it, so that a timeout can say so."""

    async def connect(
        self, req: aiohttp.ClientRequest, traces: list[Trace], timeout: aiohttp.ClientTimeout
    ) -> Connection:
        progress = _current()
        if progress.connection is not None:
            # It broke, and aiohttp, which by itself sends a GET or a DELETE once more, asks for another.
            raise ConnectionBrokeError
        progress.phase, progress.is_new = CONNECTING, False
        connection = await super().connect(req, traces, timeout)
        while progress.wants_live_connection and not progress.is_new and _has_news(connection):
            connection.close()
            connection = await super().connect(req, traces, timeout)
        progress.phase, progress.connection = WAITING, connection.protocol
        return connection

    async def _create_connection(
        self, req: aiohttp.ClientRequest, traces: list[Trace], timeout: aiohttp.ClientTimeout
    ) -> ResponseHandler:
        # aiohttp's own limit is for each address of the host, and neither for looking them up nor for a proxy's answer.
        _current().is_new = True
        async with asyncio.timeout(timeout.sock_connect):
            with _broken_for_good():
                return await super()._create_connection(req, traces, timeout)


# Of those that there are, the one that needs no file descriptor of its own and takes any.
_Selector: type[selectors.BaseSelector] = getattr(selectors, "PollSelector", selectors.SelectSelector)


def _has_news(connection: Connection) -> bool:
    """Whether anything came on an idle connection that the loop has not noticed yet: most likely its end."""
    if connection.transport is None:
        return True
    with _Selector() as selector:
        selector.register(connection.transport.get_extra_info("socket"), selectors.EVENT_READ)
        return bool(selector.select(0))


async def _send_once(request: aiohttp.ClientRequest, send: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    """An aiohttp middleware for sessions of the caller's, and those with tracing hooks.

    It does what the connector does for the others: it hides broken connections from aiohttp, which would send a GET a
    second time. And it takes the URL, which may end in a token, out of the one error that the hooks would see it in.
    """
    with _broken_for_good():
        try:
            return await send(request)
        except aiohttp.ClientHttpProxyError:
            raise
        except aiohttp.ClientResponseError as error:
            raise NotHttpError(error) from None


@contextlib.contextmanager
def _broken_for_good() -> Generator[None]:
    """Puts an error after which aiohttp does not send the request again in place of those after which it would."""
    try:
        yield
    except aiohttp.ClientConnectorError:
        raise
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
        raise ConnectionBrokeError(error) from None


async def _close_with_loop(session: aiohttp.ClientSession) -> AsyncGenerator[None, None]:
    """Lives as long as the session.

    `asyncio.run` closes all async generators, so nothing is left behind by a program that forgets to close its client,
    or that awaits one client in several runs.
    """
    try:
        yield
    finally:
        await session.close()


async def _read(content: aiohttp.StreamReader, max_bytes: int) -> tuple[bytes, bool]:
    """Returns the body, and whether that is all of it: reading stops at `max_bytes`, counted after decompression."""
    chunks = [await content.readany()]
    excess = len(chunks[0]) - max_bytes
    try:
        while excess <= 0 and not content.at_eof():
            chunk = await content.readany()
            chunks.append(chunk)
            excess += len(chunk)
        if excess > 0:
            chunks[-1] = chunks[-1][:-excess]
        return b"".join(chunks), excess <= 0
    finally:
        # A cancellation's traceback holds this frame, and tools print its local variables: perhaps half a token.
        chunks, chunk = [], b""


@functools.lru_cache(maxsize=16)
def _timeouts(connect_timeout: float) -> aiohttp.ClientTimeout:
    """The time for the whole call is kept by the client; aiohttp's part is the time to connect."""
    return aiohttp.ClientTimeout(total=None, connect=None, sock_read=None, sock_connect=connect_timeout)


def _check_type(name: str, value: object, expected: type) -> None:
    if value is not None and not isinstance(value, expected):
        raise TypeError(
            f"{name} must be {expected.__module__.partition('.')[0]}.{expected.__name__}, not {type(value).__name__}"
        )
