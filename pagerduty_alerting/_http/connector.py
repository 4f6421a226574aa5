"""Selects the connection of an attempt and sends its request once. All hooks into aiohttp's private API are here.

`tests/unit/test_private_names.py` lists the private names and what breaks without each.
"""

import asyncio
import contextlib
import contextvars
import functools
import select
import ssl
from collections.abc import Awaitable, Callable, Generator, Iterable, Sequence
from typing import Any

import aiohttp
from aiohttp.abc import ResolveResult
from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import Connection
from aiohttp.tracing import Trace

from pagerduty_alerting._http.errors import ConnectionBrokeError, without_url
from pagerduty_alerting._http.progress import WAITING, Progress
from pagerduty_alerting._loop import greenlets

# Looked up once. It is the native function even if gevent or eventlet patches the program, before or after this import.
try:
    _poll: Callable[[], Any] | None = greenlets.original("select", "poll")
except AttributeError:  # on Windows
    _poll = None

current_progress: contextvars.ContextVar[Progress | None] = contextvars.ContextVar(
    "pagerduty_alerting_progress", default=None
)
"""The `Progress` of the attempt of the running task."""


def _current() -> Progress:
    progress = current_progress.get()
    if progress is None:
        raise RuntimeError("the client's connector was used outside of a call of the client")
    return progress


class Connector(aiohttp.TCPConnector):
    """Gives each attempt one connection, limits the time for it, and updates the attempt's `Progress`."""

    @functools.cached_property
    def _polls(self) -> "_Polls":
        return {}

    async def connect(
        self, req: aiohttp.ClientRequest, traces: list[Trace], timeout: aiohttp.ClientTimeout
    ) -> Connection:
        """Returns a connection from the pool that received nothing while idle, or a new one."""
        progress = _current()
        if progress.has_connection:
            # It broke, and aiohttp requests another one to send a GET or a DELETE again.
            raise ConnectionBrokeError
        progress.begin_connecting(req.proxy)
        # All idle connections of this session lead to the same host, so no key is made, which would double the time.
        for idle in getattr(self, "_conns", {}).values():
            _close_stale(idle, self._polls)
        connection = await super().connect(req, traces, timeout)
        progress.phase, progress.has_connection = WAITING, True
        return connection

    async def _create_connection(
        self, req: aiohttp.ClientRequest, traces: list[Trace], timeout: aiohttp.ClientTimeout
    ) -> ResponseHandler:
        # aiohttp's own limit applies to each address of the host, but not to name resolution or a proxy's response.
        async with asyncio.timeout(timeout.sock_connect):
            with _without_resending():
                protocol = await super()._create_connection(req, traces, timeout)
        _track_records(protocol.transport)
        _receive_less(protocol.transport)
        return protocol

    async def _resolve_host(self, host: str, port: int, traces: Sequence[Trace] | None = None) -> list[ResolveResult]:
        progress = _current()
        progress.unresolved = host
        addresses = await super()._resolve_host(host, port, traces)
        progress.unresolved = None
        return addresses


def _receive_less(transport: Any) -> None:
    """Makes asyncio allocate 64 KiB for each response instead of 256 KiB, where it has no TLS.

    glibc may map pages for the larger block, and unmap them after the response: with their faults a quarter of a call.
    With TLS, blocks of that size are freed unused, after which glibc keeps them.
    """
    if hasattr(transport, "max_size"):  # not on uvloop
        transport.max_size = 64 * 1024


_Polls = dict[int, Any]
"""Maps the descriptors of sockets to objects that poll them; a later socket may have the same descriptor."""


def _close_stale(idle: Iterable[tuple[ResponseHandler, float]], polls: _Polls) -> ResponseHandler | None:
    """Closes idle connections that must not be used, and returns the remaining one that aiohttp will take next.

    Data received on an idle connection belongs to no request. aiohttp would return it as the next response.
    """
    for protocol, _ in idle:  # the oldest first, as the pool takes them
        if not _is_stale(protocol, polls):
            return protocol
        protocol.close()
    return None


def _is_stale(protocol: ResponseHandler, polls: _Polls) -> bool:
    """Whether an idle connection received anything: data, the start of a response head, or end of file."""
    transport = protocol.transport
    if transport is None or protocol.should_close:
        return True
    parser = getattr(protocol, "_parser", None)
    return _is_within_head(parser) or _is_within_record(transport) or _is_readable(transport, polls)


def _is_within_head(parser: Any) -> bool:
    """Whether the parser of the previous response holds the start of another one."""
    if parser is None:
        return False
    if getattr(parser, "_tail", b"") or getattr(parser, "_lines", ()):  # attributes of aiohttp's pure Python parser
        return True
    try:
        # Between two messages it has no effect. Within one, it returns the partial message, or raises.
        return parser.feed_eof() is not None
    except Exception:
        return True


def _is_readable(transport: asyncio.BaseTransport, polls: _Polls) -> bool:
    """Whether the socket of a transport has unread data or is closed."""
    connection = transport.get_extra_info("socket")
    descriptor = -1 if connection is None else connection.fileno()
    if descriptor < 0:
        return True
    if _poll is None:
        return bool(select.select([descriptor], [], [], 0)[0])
    poll = polls.get(descriptor)
    if poll is None:
        poll = polls[descriptor] = _poll()
        poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(0))


class _Records:
    """Replaces the buffer of received data of a TLS connection, and tracks the TLS records in it.

    OpenSSL removes the start of a record from the buffer without reporting it. The rest could arrive after the next
    request was written, and the record, which belongs to no request, would become its response.
    """

    __slots__ = ("_buffer", "_header", "_left")

    def __init__(self, buffer: ssl.MemoryBIO) -> None:
        self._buffer = buffer
        self._header = b""  # the start of a header: five bytes, of which the last two are the length of the content
        self._left = 0  # remaining bytes of the content

    def __getattr__(self, name: str) -> Any:
        return getattr(self._buffer, name)

    def is_within_one(self) -> bool:
        """Returns whether the start of a record has arrived, but not its end."""
        return self._left > 0 or self._header != b""

    def write(self, data: memoryview) -> int:
        """Adds encrypted data from the connection."""
        received = self._header + bytes(data) if self._header else data
        begins, size = self._left, len(received)
        while begins + 5 <= size:
            begins += 5 + int.from_bytes(received[begins + 3 : begins + 5], "big")
        self._left, self._header = max(0, begins - size), bytes(received[begins:])
        return self._buffer.write(data)


def _track_records(transport: Any) -> None:
    """Tracks the TLS records of a connection from now on, if it uses asyncio's TLS; also those of TLS to a proxy."""
    while (tls := getattr(transport, "_ssl_protocol", None)) is not None:
        if not isinstance(tls._incoming, _Records):
            tls._incoming = _Records(tls._incoming)
        transport = tls._transport


def _is_within_record(transport: Any) -> bool:
    """Whether only a part of a TLS record has arrived."""
    while (tls := getattr(transport, "_ssl_protocol", None)) is not None:
        if isinstance(tls._incoming, _Records) and tls._incoming.is_within_one():
            return True
        transport = tls._transport
    return False


class _StaleConnectionError(aiohttp.ClientError):
    """A pooled connection had received data; nothing was written to it."""


def middlewares_for(session: aiohttp.ClientSession) -> tuple[aiohttp.ClientMiddlewareType, ...]:
    """Returns the middlewares for a request in a caller's session, or in one with tracing hooks.

    Middlewares of a request replace those of its session, so the session's are included.
    """
    own: tuple[aiohttp.ClientMiddlewareType, ...] = getattr(session, "_middlewares", ())
    return (_reveal_url, *own, functools.partial(_send_once, session, {}))


async def _reveal_url(request: aiohttp.ClientRequest, send: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    """An aiohttp middleware that sets the real URL, with the integration token that the URL for hooks lacks.

    Error trackers and tracers that instrument every session record the URLs of requests.
    """
    request.url = _current().url
    return await send(request)


async def _send_once(
    session: aiohttp.ClientSession, polls: _Polls, request: aiohttp.ClientRequest, send: aiohttp.ClientHandlerType
) -> aiohttp.ClientResponse:
    """An aiohttp middleware that does what `Connector` does for the client's own session without hooks.

    A request uses no stale connection and is sent once. While a hook runs, a connection can receive data, so it is
    checked again right before the request is written. The URL, which may end in a token, is removed from the errors
    that the hooks see.
    """
    progress = _current()
    failure: aiohttp.ClientError | None = None
    while failure is None:
        reused = _close_stale(getattr(session.connector, "_conns", {}).get(request.connection_key, ()), polls)
        try:
            with _checked_before_written(request, reused, polls, progress), _without_resending():
                return await _in_time(request, send, progress)
        except _StaleConnectionError:
            progress.has_connection = False
        except (aiohttp.ConnectionTimeoutError, aiohttp.ClientResponseError) as error:
            failure = without_url(error)
    try:
        raise failure  # outside the handler, whose exception would become its context
    finally:
        del failure  # breaks the reference cycle of the exception and this frame


async def _in_time(
    request: aiohttp.ClientRequest, send: aiohttp.ClientHandlerType, progress: Progress
) -> aiohttp.ClientResponse:
    """Sends a request; limits the time for a tunnel through a proxy, for which aiohttp has no limit."""
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
    request: aiohttp.ClientRequest, reused: ResponseHandler | None, polls: _Polls, progress: Progress
) -> Generator[None]:
    """Checks a reused connection once more when the request is about to be written, and records that."""
    send_name = "_send" if hasattr(request, "_send") else "send"  # aiohttp 4, aiohttp 3
    report_name = "_on_headers_request_sent"
    send: Callable[..., Awaitable[Any]] = getattr(request, send_name)
    report_headers: Callable[..., Awaitable[None]] = getattr(request, report_name)
    taken: list[ResponseHandler] = []

    def check() -> None:
        if any(protocol is reused and _is_stale(protocol, polls) for protocol in taken):
            raise _StaleConnectionError

    async def checked_send(connection: Connection) -> Any:
        taken[:] = [] if connection.protocol is None else [connection.protocol]
        check()
        if connection.protocol is not None:
            _track_records(connection.protocol.transport)
        progress.end_connecting()
        return await send(connection)

    async def checked_report(*arguments: Any) -> None:
        await report_headers(*arguments)
        check()

    progress.begin_connecting(request.proxy)
    instance = vars(request)
    instance.update({send_name: checked_send, report_name: checked_report})
    try:
        yield
    finally:
        for name in (send_name, report_name):
            instance.pop(name, None)


@contextlib.contextmanager
def _without_resending() -> Generator[None]:
    """Replaces errors after which aiohttp sends the request again by one after which it does not."""
    try:
        yield
    except aiohttp.ClientConnectorError:
        raise
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
        raise ConnectionBrokeError(error) from None
