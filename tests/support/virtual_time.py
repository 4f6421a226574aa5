"""An event loop whose clock jumps to the next timer when no socket is ready, so that tests of time do not wait."""

import asyncio
import selectors
import time
from typing import Any


class _JumpingSelector(selectors.DefaultSelector):
    """Waits for sockets a moment at most; where none is ready, the time that was to be waited for is over."""

    # Bytes that were sent over loopback are there at once, but a thread on the other side needs a little while.
    patience = 0.0

    def __init__(self) -> None:
        super().__init__()
        self.jumped = 0.0

    def select(self, timeout: float | None = None) -> Any:
        if timeout is None:
            return super().select(None)
        ready = super().select(min(timeout, self.patience))
        if not ready and timeout > 0:
            self.jumped += timeout
        return ready


class _PatientSelector(_JumpingSelector):
    patience = 0.5


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """For tests that have their server on the same loop: whatever is going to happen soon is on the loop."""

    make_selector = _JumpingSelector

    def __init__(self) -> None:
        self._jumping = self.make_selector()
        super().__init__(self._jumping)

    def time(self) -> float:
        return time.monotonic() + self._jumping.jumped


class PatientVirtualTimeLoop(VirtualTimeLoop):
    """For tests whose server is on another thread: its clock jumps when nothing came for half a second."""

    make_selector = _PatientSelector
