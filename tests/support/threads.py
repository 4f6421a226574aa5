"""Functions on other threads, and gates that hold coroutines until a test opens them."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Generic, TypeVar

T = TypeVar("T")

PATIENCE = 120.0  # seconds after which a wait that should end at once has failed


class InThread(Generic[T]):
    """Runs a function on another thread, from construction on."""

    def __init__(self, function: Callable[[], T]) -> None:
        self._function = function
        self._future: Future[T] = Future()
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    @property
    def ident(self) -> int | None:
        """The thread's identity."""
        return self._thread.ident

    @property
    def is_running(self) -> bool:
        """Whether the function has not returned."""
        return not self._future.done()

    def wait(self, seconds: float) -> None:
        """Waits for the thread's end, at most this long."""
        self._thread.join(seconds)

    def result(self, patience: float = PATIENCE) -> T:
        """Waits for the thread's end; returns or raises what the function does."""
        self._thread.join(patience)
        return self._future.result(timeout=0)

    def _work(self) -> None:
        try:
            self._future.set_result(self._function())
        except BaseException as error:
            self._future.set_exception(error)


class AtGate:
    """Holds coroutines of one loop until it is opened, from any thread."""

    def __init__(self) -> None:
        self._reached = threading.Event()
        self._opened = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None

    async def passed(self) -> None:
        """Waits in a coroutine until the gate is open."""
        self._loop = asyncio.get_running_loop()
        self._reached.set()
        await self._opened.wait()

    def wait_reached(self) -> None:
        """Waits in a test until a coroutine has reached the gate."""
        assert self._reached.wait(PATIENCE), "no coroutine came to the gate"

    def open(self) -> None:
        """Opens the gate."""
        self.wait_reached()
        assert self._loop is not None
        self._loop.call_soon_threadsafe(self._opened.set)
