"""Gates, which hold requests until a test releases them."""

import asyncio
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self


class Gate:
    """Holds requests until they are released; returned by `api.on(…).hold()`.

    Every method may be called from any thread. As a context manager, the gate opens for good on exit.

    Examples:
        >>> gate = api.on(Operation.LIST).hold()  # doctest: +SKIP
        >>> call = asyncio.create_task(client.list_services())  # doctest: +SKIP
        >>> await gate.arrived(1)  # doctest: +SKIP
        >>> gate.release()  # doctest: +SKIP
    """

    def __init__(self, on_server_thread: Callable[[], bool]) -> None:
        self._on_server_thread = on_server_thread
        self._changed = threading.Condition()
        self._arrived = 0
        self._passes = 0
        self._open = False
        self._waiting: list[tuple[asyncio.AbstractEventLoop, asyncio.Future[None]]] = []
        self._watchers: list[tuple[int, asyncio.AbstractEventLoop, asyncio.Future[None]]] = []

    @property
    def arrivals(self) -> int:
        """The number of requests that have reached the gate, held or released."""
        return self._arrived

    @property
    def held(self) -> int:
        """The number of requests that the gate holds now."""
        return len(self._waiting)

    async def arrived(self, count: int = 1, *, timeout: float = 10.0) -> None:
        """Waits until requests have reached the gate.

        Args:
            count: The number of requests since the gate was created.
            timeout: The longest wait, in seconds.

        Raises:
            TimeoutError: Fewer arrived in that time.
        """
        loop = asyncio.get_running_loop()
        with self._changed:
            if self._arrived >= count:
                return
            watcher: asyncio.Future[None] = loop.create_future()
            self._watchers.append((count, loop, watcher))
        try:
            async with asyncio.timeout(timeout):
                await watcher
        except TimeoutError:
            raise TimeoutError(self._shortfall(count, timeout)) from None

    def wait_arrived(self, count: int = 1, *, timeout: float = 10.0) -> None:
        """Waits until requests have reached the gate, from synchronous code.

        Args:
            count: The number of requests since the gate was created.
            timeout: The longest wait, in seconds.

        Raises:
            TimeoutError: Fewer arrived in that time.
            RuntimeError: Called on the emulator's own event loop, which it would block.
        """
        if self._on_server_thread():
            raise RuntimeError("this thread runs the emulator: use `await gate.arrived(...)` here")
        with self._changed:
            if not self._changed.wait_for(lambda: self._arrived >= count, timeout):
                raise TimeoutError(self._shortfall(count, timeout))

    def release(self, count: int | None = None) -> None:
        """Releases requests.

        Args:
            count: How many, the longest waiting first; if fewer are held, the next ones to arrive are not held.
                None releases all held and all later requests.
        """
        with self._changed:
            if count is None:
                self._open = True
                going, self._waiting = self._waiting, []
            else:
                going, self._waiting = self._waiting[:count], self._waiting[count:]
                self._passes += count - len(going)
        for loop, held in going:
            _settle(loop, held)

    async def pass_through(self) -> None:
        """Holds the calling request, on the server's event loop, until it is released."""
        loop = asyncio.get_running_loop()
        with self._changed:
            self._arrived += 1
            reached = [it for it in self._watchers if it[0] <= self._arrived]
            self._watchers = [it for it in self._watchers if it[0] > self._arrived]
            self._changed.notify_all()
            held: asyncio.Future[None] | None = None
            if self._passes:
                self._passes -= 1
            elif not self._open:
                held = loop.create_future()
                self._waiting.append((loop, held))
        for _, watching, watcher in reached:
            _settle(watching, watcher)
        if held is None:
            return
        try:
            await held
        finally:
            with self._changed:
                self._waiting = [it for it in self._waiting if it[1] is not held]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.release()

    def __str__(self) -> str:
        return "hold"

    def _shortfall(self, count: int, timeout: float) -> str:
        return f"{self._arrived} of {count} requests reached the gate within {timeout:g} seconds"


def _settle(loop: asyncio.AbstractEventLoop, future: asyncio.Future[None]) -> None:
    def settle() -> None:
        if not future.done():
            future.set_result(None)

    if not loop.is_closed():
        loop.call_soon_threadsafe(settle)
