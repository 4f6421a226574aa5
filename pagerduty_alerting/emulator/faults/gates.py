"""Gates, which hold requests until a test releases them."""

import asyncio
import math
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import Future
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
        self._lock = threading.Lock()
        self._arrived = 0
        self._passes = 0.0  # requests to let through when they arrive; infinite once the gate is open
        self._waiting: list[Future[None]] = []
        self._watchers: list[tuple[int, Future[None]]] = []

    @property
    def arrivals(self) -> int:
        """The number of requests that have reached the gate, held or released."""
        return self._arrived

    @property
    def held(self) -> int:
        """The number of requests that the gate holds now."""
        return len(self._waiting)

    async def arrived(self, count: int = 1, *, timeout: float = 60.0) -> None:
        """Waits until requests have reached the gate.

        Args:
            count: The number of requests since the gate was created.
            timeout: The longest wait, in seconds.

        Raises:
            TimeoutError: Fewer arrived in that time.
        """
        watcher = self._watch(count)
        if watcher.done():
            return
        try:
            async with asyncio.timeout(timeout):
                await asyncio.wrap_future(watcher)
        except TimeoutError:
            raise TimeoutError(self._shortfall(count, timeout)) from None

    def wait_arrived(self, count: int = 1, *, timeout: float = 60.0) -> None:
        """Like `arrived`, for synchronous code.

        Raises:
            TimeoutError: Fewer arrived in that time.
            RuntimeError: Called on the emulator's own event loop, which it would block.
        """
        if self._on_server_thread():
            raise RuntimeError("this thread runs the emulator: use `await gate.arrived(...)` here")
        try:
            self._watch(count).result(timeout)
        except TimeoutError:
            raise TimeoutError(self._shortfall(count, timeout)) from None

    def release(self, count: int | None = None) -> None:
        """Releases requests.

        Args:
            count: How many, the longest waiting first; if fewer are held, the next ones to arrive are not held.
                None releases all held and all later requests.
        """
        with self._lock:
            released = self._waiting[:count]
            del self._waiting[:count]
            self._passes += math.inf if count is None else count - len(released)
        _complete(released)

    async def pass_through(self) -> None:
        """Holds the calling request, on the server's event loop, until it is released."""
        held: Future[None] = Future()
        with self._lock:
            self._arrived += 1
            reached = [watcher for count, watcher in self._watchers if count <= self._arrived]
            self._watchers = [it for it in self._watchers if it[0] > self._arrived]
            if self._passes > 0:
                self._passes -= 1
                reached.append(held)
            else:
                self._waiting.append(held)
        _complete(reached)
        try:
            await asyncio.wrap_future(held)
        finally:
            with self._lock:
                self._waiting = [it for it in self._waiting if it is not held]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def __str__(self) -> str:
        return "hold"

    def _watch(self, count: int) -> Future[None]:
        watcher: Future[None] = Future()
        with self._lock:
            if self._arrived >= count:
                watcher.set_result(None)
            else:
                self._watchers.append((count, watcher))
        return watcher

    def _shortfall(self, count: int, timeout: float) -> str:
        return f"{self._arrived} of {count} requests reached the gate within {timeout:g} seconds"


def _complete(futures: Iterable[Future[None]]) -> None:
    for future in futures:
        if future.set_running_or_notify_cancel():  # False if the waiting task was cancelled
            future.set_result(None)
