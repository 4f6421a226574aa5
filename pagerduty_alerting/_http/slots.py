"""Limits how many attempts have a connection at the same time; no I/O."""

import asyncio
from collections import deque


class Slots:
    """Connections that may be in use on one event loop, assigned in the order of requests."""

    def __init__(self, limit: int) -> None:
        self._free = limit
        self._waiters: deque[asyncio.Future[None]] = deque()

    def take(self) -> bool:
        """Takes a slot if one is free."""
        if self._free == 0:
            return False
        self._free -= 1
        return True

    async def wait(self) -> None:
        """Waits for a slot and takes it."""
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        try:
            await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled():
                self.give_back()  # a slot was assigned at the moment of the cancellation
            raise

    def give_back(self) -> None:
        """Passes a slot to the longest waiter, or marks it as free."""
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done() and not waiter.get_loop().is_closed():  # a call may be finalized later than its loop
                waiter.set_result(None)
                return
        self._free += 1
