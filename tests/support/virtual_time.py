"""Event loops whose clock jumps to the next timer when no socket is ready, so that tests of time do not wait."""

import asyncio
import math
import selectors
import time
from collections.abc import Callable
from typing import Any


class _JumpingSelector(selectors.DefaultSelector):
    """Waits for sockets for a moment at most; if none is ready, sets the clock to just after the end of the wait."""

    def __init__(self, patience: float, longest: float) -> None:
        super().__init__()
        self.patience = patience
        self.longest = longest
        self.jumped = 0.0
        self.jobs = 0

    def select(self, timeout: float | None = None) -> Any:
        if timeout is None or timeout > self.longest:
            return super().select(timeout)
        ready = super().select(timeout if self.jobs else min(timeout, self.patience))
        if not ready and timeout > 0:
            self.jumped += timeout + 1e-6  # like a real clock, never before the timer by a rounding error
        return ready


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """A loop that waits `patience` real seconds for a socket, and then jumps to the next timer.

    Its clock stands still between the jumps, so that the speed of the machine makes no difference. A timer that is
    more than `longest` seconds away, such as a deadline that must not pass, is not jumped to.
    """

    def __init__(self, patience: float, *, longest: float = math.inf) -> None:
        self._jumping = _JumpingSelector(patience, longest)
        self._started = float(int(time.monotonic()))  # so that differences of whole seconds are exact
        super().__init__(self._jumping)

    def time(self) -> float:
        return self._started + self._jumping.jumped

    def run_in_executor(self, executor: Any, func: Any, *args: Any) -> Any:
        """Runs a function in a thread, which is waited for: the clock does not jump over a look-up of a name."""
        job = super().run_in_executor(executor, func, *args)
        self._jumping.jobs += 1
        job.add_done_callback(self._job_is_done)
        return job

    def _job_is_done(self, _job: object) -> None:
        self._jumping.jobs -= 1

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:
        """Waits for the threads without a limit, which the clock would jump to."""
        await super().shutdown_default_executor()


def virtual_time_loop(*, patience: float = 0.005) -> Callable[[], VirtualTimeLoop]:
    """Returns a loop factory, which `@pytest.mark.virtual_time` also takes its argument for.

    With the server on the same loop, bytes sent over loopback arrive at once, or in a moment on a busy machine: a
    patience of 0 is enough for a test with thousands of jumps. A server on another thread needs `OTHER_THREAD`.
    """
    return lambda: VirtualTimeLoop(patience)


OTHER_THREAD = 0.05
"""Patience enough for a server on another thread."""


class SteppedLoop(asyncio.SelectorEventLoop):
    """A loop whose clock another thread can advance."""

    ahead = 0.0

    def time(self) -> float:
        return time.monotonic() + self.ahead

    def advance(self, seconds: float) -> None:
        self.ahead += seconds
        self.call_soon_threadsafe(lambda: None)  # checks its timers
