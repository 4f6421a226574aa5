"""The only file that talks aiohttp: a request goes in, the raw answer or one of our errors comes out."""

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
from pagerduty_alerting._http.connector import READING, Connector, Progress, current_progress, middlewares_for
from pagerduty_alerting._http.errors import connection_error
from pagerduty_alerting._http.proxy import Proxy, find_proxy
from pagerduty_alerting._http.slots import Slots
from pagerduty_alerting._loop import fork
from pagerduty_alerting._loop.running import running_loop
from pagerduty_alerting._protocol.answer import RawResponse, SecretHeaders
from pagerduty_alerting._protocol.endpoints import Request
from pagerduty_alerting.config import OWN_HEADERS
from pagerduty_alerting.errors import ClientClosedError, ClientUsageError, PagerDutyAlertingError

DEFAULT_MAX_CONNECTIONS = 100

# Seconds. Servers close idle connections after some time, and a create that is sent in the last round trip before is in
# doubt; a path that has died silently in the meantime would cost the call all of its time.
_LONGEST_IDLE = 4.0


def _socket_options() -> list[tuple[int, int, int]]:
    """Returns the options by which the system finds out that a path has died: an attempt ends then, not the call.

    Probes go after five seconds without a word of the server, five seconds apart, and the third without an answer is
    the last. Data that nobody has acknowledged for as long end the connection as well. A server that is merely slow
    answers probes.
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
    """A session of connections that belongs to one event loop at a time, opened when it is first needed.

    Args:
        base_url: Where requests go; it decides on the proxy.
        session: The caller's own session, which is used instead and never closed.
        ssl_context: Verifies the server's certificate in place of aiohttp's default.
        trace_configs: aiohttp's tracing hooks.
        max_connections: Attempts that have a connection at the same time; None for the default, which does not hold
            for fleets. A caller's session has limits of its own.
        proxy: The caller's proxy, or what is wrong with it, in place of the environment's.

    Raises:
        TypeError: An argument has the wrong type.
        ValueError: An argument has an impossible value.
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
        self._session_headers: Mapping[str, str] | None = None  # those that our own session sends by itself
        self._options: dict[str, Any] = {}  # what all requests of the session have in common
        self._sockets: weakref.WeakSet[socket.socket] = weakref.WeakSet()
        self.is_closed = False
        fork.register(self)

    def check_usable(self) -> None:
        """Checks that a call can be made from the running event loop.

        Raises:
            ClientClosedError: The client is closed.
            ClientUsageError: The client is in use from another event loop, or none of asyncio is running.
        """
        fork.check()
        if self.is_closed:
            raise ClientClosedError("the client is closed")
        loop = running_loop()
        if self._loop is not None and self._loop is not loop and not self._loop.is_closed():
            raise ClientUsageError(
                "the client is in use from another event loop, which is not closed: make one client for each loop"
            )

    def slots(self, *, in_fleet: bool) -> Slots | None:
        """Returns what limits the connections in use on the running loop; None where nothing does."""
        loop = asyncio.get_running_loop()
        if self._slots is None or self._slots[0] is not loop:
            self._slots = loop, Slots(self._limit() or sys.maxsize)
        has_limit = self._max_connections is not None or self._callers_session is not None
        return self._slots[1] if has_limit or not in_fleet else None

    def _limit(self) -> int:
        """Returns how many connections may be in use; zero for any number."""
        if self._callers_session is None:
            return self._max_connections or DEFAULT_MAX_CONNECTIONS
        # Waited for here, not in the session's own queue, where nobody could tell that a request waits.
        connector = self._callers_session.connector
        limits = (connector.limit, connector.limit_per_host) if connector is not None else ()
        return min(filter(None, limits), default=0)

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
        progress.begin(request.url, connect_timeout)
        outer = current_progress.get()
        current_progress.set(progress)
        try:
            response = await session.request(
                request.method,
                request.shown_url if "middlewares" in self._options else request.url,
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
            failure, cause = connection_error(error, request, progress.circumstances())
        finally:
            # A tracing hook may have made this call within another. Set, not reset: a coroutine that is forgotten may
            # be closed in another context, where a reset is an error.
            current_progress.set(outer)
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
        self._loop = self._session = self._lifetime = self._slots = None
        self._sockets = weakref.WeakSet()

    async def _open(self, headers: Mapping[str, str]) -> aiohttp.ClientSession:
        """Returns a session for the running loop, which may send these headers by itself: that saves merging them."""
        self.check_usable()
        loop = asyncio.get_running_loop()
        self._options = {"allow_redirects": False, "raise_for_status": False, "auto_decompress": True}
        session = self._callers_session or self._make_session(headers, self._proxy or find_proxy(self._base_url))
        if session is self._callers_session or session.trace_configs:
            self._options["middlewares"] = middlewares_for(session)
        self._loop, self._session = loop, session
        if session is not self._callers_session:
            self._lifetime = _close_with_loop(session)
            await anext(self._lifetime)
        return session

    def _make_session(self, headers: Mapping[str, str], proxy: Proxy | None) -> aiohttp.ClientSession:
        if proxy is None:
            # Not headers of a caller's, which a client with the same connections and other ones could not take back.
            self._session_headers = headers if all(name.lower() in OWN_HEADERS for name in headers) else None
        else:
            # Not the headers of the request: aiohttp tells a proxy what the session sends by itself.
            self._session_headers = SecretHeaders(proxy.headers())
            if self._base_url.startswith("https:"):
                # Through a tunnel the proxy sees nothing but the request for the tunnel.
                self._options["proxy_headers"], self._session_headers = self._session_headers, None
        return aiohttp.ClientSession(
            connector=Connector(
                ssl=self._ssl_context or True,
                socket_factory=self._make_socket,
                keepalive_timeout=_LONGEST_IDLE,
                limit=0,  # that is what `slots` is for
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            trace_configs=self._trace_configs,
            headers=self._session_headers,
            proxy=None if proxy is None else proxy.url,
        )

    def _make_socket(self, address: tuple[Any, ...]) -> socket.socket:
        family, kind, protocol, _, _ = address
        made = socket.socket(family, kind, protocol)
        self._sockets.add(made)
        for level, option, value in _SOCKET_OPTIONS:
            with contextlib.suppress(OSError):  # known to Python and not to this kernel
                made.setsockopt(level, option, value)
        return made


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
