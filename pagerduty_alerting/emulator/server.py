"""The HTTP server of the emulator: on the running event loop, or on a thread of its own."""

import asyncio
import contextlib
import functools
import logging
import socket
import threading
import time
from collections.abc import Awaitable, Callable, Generator
from typing import TypeVar

from aiohttp import web

from pagerduty_alerting.emulator.errors import EmulatorUsageError
from pagerduty_alerting.emulator.rules.answers import Answer

T = TypeVar("T")
Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]

LOGGER = logging.getLogger("pagerduty_alerting.emulator")

_BACKLOG = 512
_CALL_TIMEOUT = 30.0  # seconds that another thread waits for the event loop
_SHUTDOWN_TIMEOUT = 1.0  # seconds that open connections have to end before they are closed


def to_response(answer: Answer) -> web.Response:
    """Returns an answer as a response of aiohttp."""
    return web.Response(status=answer.status, body=answer.body, headers=answer.headers)


class Server:
    """One listening socket and its connections, on the event loop that `start` ran on."""

    def __init__(self, host: str, port: int, keep_alive: float) -> None:
        self._host = host
        self.port: int = port  # if it was 0, the one that the system chose once started
        self._keep_alive = keep_alive
        self._handlers: dict[web.RequestHandler, asyncio.Task[object] | None] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = 0
        self._http: web.Server | None = None
        self._listener: asyncio.Server | None = None
        self._reserved: socket.socket | None = None
        self._reopening: asyncio.TimerHandle | None = None
        self._opening: asyncio.Task[None] | None = None
        self._refusing = False

    @property
    def running(self) -> bool:
        """Whether the server is started and not stopped."""
        return self._loop is not None

    async def start(self, handler: Handler) -> None:
        """Listens on the running event loop, and has the requests handled there.

        Raises `EmulatorUsageError` if it does already, and `OSError` if the address cannot be listened on.
        """
        if self.running:
            raise EmulatorUsageError("the emulator is already serving: use a second `Emulator` for a second server")

        async def handle(request: web.BaseRequest) -> web.StreamResponse:
            protocol = request.protocol
            self._handlers[protocol] = asyncio.current_task()
            try:
                return await handler(request)
            finally:
                del self._handlers[protocol]

        loop = asyncio.get_running_loop()
        self._refusing = False
        listening = _bind(self._host, self.port)
        self.port = listening.getsockname()[1]
        self._http = web.Server(
            handle,
            access_log=None,
            logger=LOGGER,
            keepalive_timeout=self._keep_alive,
            auto_decompress=False,
            tcp_keepalive=False,
        )
        await self._open(listening)
        self._loop, self._thread = loop, threading.get_ident()

    async def stop(self) -> None:
        """Closes the socket and all connections, and cancels the requests that are being handled."""
        self._loop = None
        if self._reopening is not None:
            self._reopening.cancel()
        if self._opening is not None:
            await self._opening
        http, listener, reserved = self._http, self._listener, self._reserved
        self._http = self._listener = self._reserved = self._reopening = self._opening = None
        if reserved is not None:
            reserved.close()
        if listener is not None:
            await close_listener(listener)
        if http is not None:
            await self._close_connections(http)
        if listener is not None:
            await listener.wait_closed()
        await asyncio.sleep(0)  # aborted transports close their sockets in the next iteration of the loop

    async def _close_connections(self, http: web.Server) -> None:
        transports = [connection.transport for connection in http.connections]
        try:
            http.pre_shutdown()
            self.end_requests()
            await http.shutdown(_SHUTDOWN_TIMEOUT)
        finally:
            for transport in transports:
                if transport is not None:
                    transport.abort()

    def refuse(self, seconds: float | None = None) -> None:
        """Stops listening for so many seconds, or until `accept`, and closes idle connections.

        The system refuses new connections meanwhile.
        """
        loop = self._loop
        if loop is None:
            return
        self._refusing = True
        self._close_listener()
        if self._reopening is not None:
            self._reopening.cancel()
        self._reopening = None if seconds is None else loop.call_later(seconds, self.accept)

    def accept(self) -> None:
        """Listens again."""
        self._refusing = False
        reserved, self._reserved = self._reserved, None
        if reserved is not None and self._loop is not None:
            reserved.listen(_BACKLOG)  # before the task runs, so that the next connection is accepted
            self._opening = self._loop.create_task(self._open(reserved))

    async def _open(self, listening: socket.socket) -> None:
        if self._http is not None:
            loop = asyncio.get_running_loop()
            self._listener = await loop.create_server(self._http, sock=listening, backlog=_BACKLOG)
            if self._refusing:
                self._close_listener()

    def _close_listener(self) -> None:
        listener, self._listener = self._listener, None
        if listener is not None:
            listener.close()
            # Bound but not listening: the port stays taken, and connections are refused.
            self._reserved = _bind(self._host, self.port)
            self.drop_connections()

    def drop_connections(self) -> None:
        """Closes idle connections at once, and the others after their response."""
        if self._http is None:
            return
        for connection in self._http.connections:
            if connection in self._handlers:
                connection.close()
            else:
                connection.force_close()

    def end_requests(self) -> None:
        """Cancels all requests that are being handled, except the calling one."""
        mine = None
        with contextlib.suppress(RuntimeError):  # no event loop runs in this thread
            mine = asyncio.current_task()
        for task in self._handlers.values():
            if task is not None and task is not mine:
                task.cancel()

    def call(self, function: Callable[[], T]) -> T:
        """Runs a function that does not block on the server's event loop, from any thread, and returns its result.

        Raises `TimeoutError` if the event loop is blocked.
        """
        loop = self._loop
        if loop is None or self.on_own_thread:
            return function()

        async def run() -> T:
            return function()

        return asyncio.run_coroutine_threadsafe(run(), loop).result(_CALL_TIMEOUT)

    @property
    def on_own_thread(self) -> bool:
        """Whether the caller runs on the thread of the server's event loop."""
        return threading.get_ident() == self._thread


async def close_listener(listener: asyncio.Server) -> None:
    """Stops listening when the connections that asyncio is accepting are complete; it would never close them."""
    for listening in listener.sockets:
        with contextlib.suppress(NotImplementedError):  # on Windows, where asyncio accepts a connection in one step
            asyncio.get_running_loop().remove_reader(listening)
    for _ in range(2):  # iterations of the loop: one makes the transport, one calls the protocol
        await asyncio.sleep(0)
    listener.close()


@contextlib.contextmanager
def serving_thread(server: Server, handler: Handler) -> Generator[None]:
    """Runs a server on a thread of its own while the context lasts; raises what `Server.start` raises."""
    loop = asyncio.new_event_loop()
    if type(loop).time is asyncio.BaseEventLoop.time and hasattr(time, "clock_gettime"):
        # Tests may stop the usual clock, as freezegun does, and with it latencies and shutdowns.
        loop.time = functools.partial(time.clock_gettime, time.CLOCK_MONOTONIC)  # type: ignore[method-assign]
    thread = threading.Thread(target=_run_loop, args=(loop,), name="pagerduty-emulator", daemon=True)
    thread.start()
    try:
        asyncio.run_coroutine_threadsafe(server.start(handler), loop).result()
        try:
            yield
        finally:
            asyncio.run_coroutine_threadsafe(server.stop(), loop).result()
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()


def _run_loop(loop: asyncio.AbstractEventLoop) -> None:
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        runner.get_loop().run_forever()


def _bind(host: str, port: int) -> socket.socket:
    family, kind, protocol, _, address = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    bound = socket.socket(family, kind, protocol)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.setblocking(False)
        bound.bind(address)
    except BaseException:
        bound.close()
        raise
    return bound
