"""Event loops whose clock jumps to the next timer when no socket is ready, so that tests of time do not wait."""

import asyncio
import selectors
import time
from typing import Any


class _JumpingSelector(selectors.DefaultSelector):
    """Waits for sockets a moment at most; where none is ready, the time that was to be waited for is over."""

    def __init__(self, patience: float) -> None:
        super().__init__()
        self.patience = patience
        self.jumped = 0.0

    def select(self, timeout: float | None = None) -> Any:
        if timeout is None:
            return super().select(None)
        ready = super().select(min(timeout, self.patience))
        if not ready and timeout > 0:
            self.jumped += timeout
        return ready


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """For tests whose server is on the same loop: bytes that were sent over loopback are there at once.

    `patience` is how long it waits, in real seconds, before each jump.
    """

    patience = 0.0

    def __init__(self) -> None:
        self._jumping = _JumpingSelector(self.patience)
        super().__init__(self._jumping)

    def time(self) -> float:
        return time.monotonic() + self._jumping.jumped


class CarefulVirtualTimeLoop(VirtualTimeLoop):
    """For tests with few jumps: on a busy machine the bytes may need a moment."""

    patience = 0.005


class PatientVirtualTimeLoop(VirtualTimeLoop):
    """For tests whose server is on another thread."""

    patience = 0.5
