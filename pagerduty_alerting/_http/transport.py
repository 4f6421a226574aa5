"""Sends a request with aiohttp and returns the raw response, or raises an exception of this package."""

import asyncio
import contextlib
import functools
import os
import socket
import ssl
import sys
import weakref
from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Any

import aiohttp

from pagerduty_alerting._arguments import check_count
from pagerduty_alerting._http.connector import Connector, current_progress, middlewares_for
from pagerduty_alerting._http.errors import connection_error
from pagerduty_alerting._http.progress import READING, Progress
from pagerduty_alerting._http.proxy import Proxy, find_proxy
from pagerduty_alerting._http.slots import Slots
from pagerduty_alerting._loop import fork, greenlets
from pagerduty_alerting._protocol.answer import RawResponse, SecretHeaders
from pagerduty_alerting._protocol.endpoints import Request
from pagerduty_alerting.config import OWN_HEADERS
from pagerduty_alerting.errors import ClientClosedError, ClientUsageError, PagerDutyAlertingError

DEFAULT_MAX_CONNECTIONS = 100

# Seconds that an idle connection is kept. A create that is sent just before the server closes an idle connection may or
# may not be carried out, and a path that failed silently in the meantime would use up the call's whole time.
_LONGEST_IDLE = 4.0


def _socket_options() -> list[tuple[int, int, int]]:
    """Returns the socket options that detect a dead network path, which then ends the attempt instead of the call.

    Probes are sent after five seconds of silence, five seconds apart; the third without a reply breaks the connection.
    On Linux, data that is unacknowledged for 20 seconds breaks it as well. A server that is merely slow replies to
    probes.
    """
    idle = getattr(socket, "TCP_KEEPIDLE", getattr(socket, "TCP_KEEPALIVE", None))  # the latter on macOS
    tcp_options = [
        (idle, 5),
        (getattr(socket, "TCP_KEEPINTVL", None), 5),
        (getattr(socket, "TCP_KEEPCNT", None), 3),
        (getattr(socket, "TCP_USER_TIMEOUT", None), 20_000),  # milliseconds; on Linux
    ]
    known = [(socket.IPPROTO_TCP, option, value) for option, value in tcp_options if option is not None]
    return [(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1), *known]


_SOCKET_OPTIONS = _socket_options()


class Transport:
    """An aiohttp session, opened when first needed, which belongs to one event loop at a time.

    The arguments are those of `AsyncClient`, except that `proxy` is what `read_proxy` returned.
    """

    def __init__(
        self,
        base_url: str,
        *,
        session: aiohttp.ClientSession | None = None,
        ssl_context: ssl.SSLContext | None = None,
        trace_configs: Sequence[aiohttp.TraceConfig] = (),
        max_connections: int | None = None,
        proxy: Proxy | TypeError | ValueError | None = None,
    ) -> None:
        _check_type("session", session, aiohttp.ClientSession)
        _check_type("ssl_context", ssl_context, ssl.SSLContext)
        for config in trace_configs:
            _check_type("each of trace_configs", config, aiohttp.TraceConfig)
        self._base_url = base_url
        self._callers_session = session
        self._ssl_context = ssl_context
        self._trace_configs = list(trace_configs)
        self._max_connections = None if max_connections is None else check_count("max_connections", max_connections)
        if isinstance(proxy, Exception):
            raise type(proxy)(f"proxy {proxy}")
        self._proxy = proxy
        self._slots: tuple[asyncio.AbstractEventLoop, Slots] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._session: aiohttp.ClientSession | None = None
        self._lifetime: AsyncGenerator[None, None] | None = None
        self._options: dict[str, Any] = {}  # arguments of every request of the session
        self._supplied: tuple[Mapping[str, str], float] | None = None  # headers and timeout that the session adds
        self._sockets: weakref.WeakSet[socket.socket] = weakref.WeakSet()
        self.is_closed: bool = False
        fork.register(self)

    def check_usable(self) -> asyncio.AbstractEventLoop:
        """Returns the running event loop; raises `ClientClosedError` or `ClientUsageError` if it cannot make a call."""
        fork.check()
        if self.is_closed:
            raise ClientClosedError("the client is closed")
        loop = running_loop()
        if self._loop is not None and self._loop is not loop and not self._loop.is_closed():
            raise ClientUsageError(
                "the client is in use from another event loop, which is not closed: create one client for each loop"
            )
        return loop

    def slots(self, loop: asyncio.AbstractEventLoop, *, in_fleet: bool) -> Slots | None:
        """Returns the limit of the connections in use on the running loop; None without a limit."""
        if in_fleet and self._max_connections is None and self._callers_session is None:
            return None
        if self._slots is None or self._slots[0] is not loop:
            self._slots = loop, Slots(self._limit() or sys.maxsize)
        return self._slots[1]

    def _limit(self) -> int:
        """Returns how many connections may be in use; zero for no limit."""
        if self._callers_session is None:
            return self._max_connections or DEFAULT_MAX_CONNECTIONS
        # Calls wait here instead of in the session's own queue, where a waiting request would count as sent.
        connector = self._callers_session.connector
        limits = (connector.limit, connector.limit_per_host) if connector is not None else ()
        return min(filter(None, limits), default=0)

    async def send(
        self,
        request: Request[object],
        headers: Mapping[str, str],
        loop: asyncio.AbstractEventLoop,
        *,
        connect_timeout: float,
        max_bytes: int,
        progress: Progress,
    ) -> RawResponse:
        """Sends a request once and reads its response, at most `max_bytes` of the body. Redirects are not followed.

        Raises `APIConnectionError` if no complete response arrived, and what `check_usable` raises.
        """
        session = self._session
        if session is None or self.is_closed or self._loop is not loop:
            session = await self._open(headers, connect_timeout)
        options: dict[str, Any] = self._options
        if (headers, connect_timeout) != self._supplied:
            options = {**options, "headers": headers, "timeout": _timeouts(connect_timeout)}
        progress.begin(request.url, connect_timeout)
        outer = current_progress.get()
        current_progress.set(progress)
        try:
            response = await session.request(
                request.endpoint.method, request.shown_url if "middlewares" in options else request.url, **options
            )
            try:
                progress.phase = READING
                body, is_whole = await _read(response.content, max_bytes)
                return RawResponse(response.status, response.headers, body, is_whole)
            finally:
                if not response.closed:  # aiohttp closes it after its last byte
                    response.release()
                del response  # its repr contains the URL, and with it a token
        except PagerDutyAlertingError:
            raise
        except Exception as error:
            if self.is_closed:
                raise ClientClosedError("the client was closed during the call") from None
            failure, cause = connection_error(error, request, progress)
        finally:
            # A tracing hook may have made this call within another. Set, not reset: an abandoned coroutine may be
            # closed in another context, where a reset is an error.
            current_progress.set(outer)
        try:
            raise failure from cause
        finally:
            del failure, cause  # breaks the reference cycle of the exception and this frame

    async def aclose(self) -> None:
        """Closes all connections, also those in use. A caller's session stays open. Idempotent."""
        self.is_closed = True
        lifetime, self._lifetime = self._lifetime, None
        if lifetime is not None and self._loop is asyncio.get_running_loop():
            await lifetime.aclose()

    def after_fork_in_child(self) -> None:
        """Abandons the parent's connections without closing them; the child opens its own when needed."""
        if self._session is not None:
            for connection in list(self._sockets):
                if connection.fileno() >= 0:
                    os.close(connection.detach())  # closes the descriptor of this process only
            fork.never_finalize(self._session, self._lifetime, self._loop)
        self._loop = self._session = self._lifetime = self._slots = None
        self._sockets = weakref.WeakSet()

    async def _open(self, headers: Mapping[str, str], connect_timeout: float) -> aiohttp.ClientSession:
        """Returns a session for the running loop; it adds these arguments itself where it can, which is faster."""
        loop = self.check_usable()
        self._options, self._supplied = {"allow_redirects": False}, None
        session = self._callers_session
        if session is None:
            session = self._make_session(headers, connect_timeout, self._proxy or find_proxy(self._base_url))
        else:
            self._options |= {"raise_for_status": False, "auto_decompress": True}
        if session is self._callers_session or session.trace_configs:
            self._options["middlewares"] = middlewares_for(session)
        self._loop, self._session = loop, session
        if session is not self._callers_session:
            self._lifetime = _close_with_loop(session)
            await anext(self._lifetime)
        return session

    def _make_session(
        self, headers: Mapping[str, str], connect_timeout: float, proxy: Proxy | None
    ) -> aiohttp.ClientSession:
        session_headers: Mapping[str, str] | None = None
        if proxy is not None:
            # Without the client's headers: aiohttp sends those of the session to a proxy as well.
            session_headers = SecretHeaders(proxy.headers())
            if self._base_url.startswith("https:"):
                # The proxy of a tunnel receives only the request for the tunnel.
                self._options["proxy_headers"], session_headers = session_headers, None
        elif all(name.lower() in OWN_HEADERS for name in headers):
            # Without a caller's headers, which another client with the same connections could not remove.
            session_headers, self._supplied = headers, (headers, connect_timeout)
        return aiohttp.ClientSession(
            connector=Connector(
                ssl=self._ssl_context or True,
                socket_factory=self._make_socket,
                keepalive_timeout=_LONGEST_IDLE,
                limit=0,  # `slots` limits them
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            trace_configs=self._trace_configs,
            headers=session_headers,
            timeout=_timeouts(connect_timeout),
            proxy=None if proxy is None else proxy.url,
        )

    def _make_socket(self, address: tuple[Any, ...]) -> socket.socket:
        family, kind, protocol, _, _ = address
        made: socket.socket = greenlets.original("socket", "socket")(family, kind, protocol)
        self._sockets.add(made)
        for level, option, value in _SOCKET_OPTIONS:
            with contextlib.suppress(OSError):  # not supported by this kernel
                made.setsockopt(level, option, value)
        return made


def running_loop() -> asyncio.AbstractEventLoop:
    """Returns the running event loop, or raises `ClientUsageError` if none of asyncio is running."""
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        raise ClientUsageError(
            "no asyncio event loop is running: AsyncClient works with asyncio only, not with trio. Call a Client in a"
            " thread there"
        ) from None


async def _close_with_loop(session: aiohttp.ClientSession) -> AsyncGenerator[None, None]:
    """Closes the session when this generator is closed.

    `asyncio.run` closes all async generators, so it also closes the session of a client that the program did not close,
    or that it uses in several runs.
    """
    try:
        yield
    finally:
        await session.close()


async def _read(content: aiohttp.StreamReader, max_bytes: int) -> tuple[bytes, bool]:
    """Returns the body and whether it is complete: reading stops at `max_bytes`, counted after decompression."""
    chunks = [content.read_nowait()]  # most bodies arrive together with their heads
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
        # A cancellation's traceback holds this frame, whose local variables may contain a token.
        chunks, chunk = [], b""


@functools.lru_cache(maxsize=16)
def _timeouts(connect_timeout: float) -> aiohttp.ClientTimeout:
    """Returns aiohttp's timeouts: only that for connecting, because the client limits the call."""
    return aiohttp.ClientTimeout(total=None, connect=None, sock_read=None, sock_connect=connect_timeout)


def _check_type(name: str, value: object, expected: type) -> None:
    if value is not None and not isinstance(value, expected):
        raise TypeError(
            f"{name} must be {expected.__module__.partition('.')[0]}.{expected.__name__}, not {type(value).__name__}"
        )
