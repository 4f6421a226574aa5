"""Runs a server on a thread and an event loop of its own; it must not outlive its `stop`."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import Future

from pagerduty_alerting.emulator.server import Server


class ServerThread:
    """A thread that serves from `start` until `stop`."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._started: Future[None] = Future()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping: asyncio.Event | None = None
        self._thread = threading.Thread(target=self._run, name="pagerduty-emulator", daemon=True)

    def start(self) -> None:
        """Start the thread, and return when the server listens.

        Raises:
            OSError: The address cannot be listened on.
        """
        self._thread.start()
        try:
            self._started.result()
        except BaseException:
            self._thread.join()
            raise

    def stop(self) -> None:
        """Stop the server and join the thread."""
        if self._loop is not None and self._stopping is not None:
            self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join()

    def _run(self) -> None:
        with asyncio.Runner() as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stopping = asyncio.Event()
        try:
            await self._server.start()
        except BaseException as error:
            self._started.set_exception(error)
            return
        self._started.set_result(None)
        try:
            await self._stopping.wait()
        finally:
            await self._server.stop()
