"""A clock that tests can turn; it must not be used to wait for anything."""

from __future__ import annotations

import math
from collections.abc import Callable

import attrs

from pagerduty_alerting.emulator.rules.state import EmulatorUsageError


@attrs.define
class Clock:
    """Seconds since the emulator's clock was made, plus what it was turned by.

    Attributes:
        source: Where time comes from: any callable that gives seconds and never goes back.
        turned: Seconds by which the clock was turned.
    """

    source: Callable[[], float]
    turned: float = 0.0

    def now(self) -> float:
        """The time in seconds."""
        return self.source() + self.turned

    def advance(self, seconds: float) -> None:
        """Turn the clock forward.

        Args:
            seconds: By how much; finite and not negative.

        Raises:
            EmulatorUsageError: `seconds` is negative, infinite or NaN.
        """
        if not (math.isfinite(seconds) and seconds >= 0):
            raise EmulatorUsageError(f"a clock goes forward by a finite number of seconds, not by {seconds!r}")
        self.turned += seconds
