"""The kinds of faults, as data with validated fields; `str` returns a description.

The methods of `FaultBuilder` that order them describe the fields.
"""

import re
from typing import ClassVar, TypeAlias

from attrs import field, frozen

from pagerduty_alerting.emulator.errors import at_least
from pagerduty_alerting.emulator.rules.contract import Headers

_CAPITALS = re.compile(r"(?<!^)(?=[A-Z])")


class _Kind:
    __slots__ = ()
    spoils_answer: ClassVar[bool] = False  # it changes a real response, for which the operation is carried out
    silent: ClassVar[bool] = False  # no response is sent

    def __str__(self) -> str:
        return _CAPITALS.sub(" ", type(self).__name__).lower()


@frozen
class Respond(_Kind):
    """Sends this response."""

    status: int
    body: bytes = field(repr=False)
    headers: Headers = ()

    def __str__(self) -> str:
        return f"respond {self.status}"


@frozen
class Reset(_Kind):
    """Resets the TCP connection instead of sending a response."""

    silent = True


@frozen
class Refuse(_Kind):
    """Resets the connection and stops listening."""

    silent = True
    seconds: float | None = None


@frozen
class Hang(_Kind):
    """Sends no response, and keeps the connection open."""

    silent = True


@frozen
class Drip(_Kind):
    """Sends the response slowly."""

    spoils_answer = True
    size: int = field(default=1, validator=at_least(1))
    interval: float = field(default=0.05, validator=at_least(0))


@frozen
class Truncate(_Kind):
    """Closes the connection in the middle of the body."""

    spoils_answer = True
    keep: int | None = field(default=None, validator=at_least(0))


@frozen
class WrongLength(_Kind):
    """Sends a wrong `Content-Length` and keeps the connection open."""

    spoils_answer = True
    by: int = 10


@frozen
class Huge(_Kind):
    """Sends a list whose JSON has at least `size` bytes."""

    size: int = field(validator=at_least(1))


@frozen
class GzipBomb(_Kind):
    """Sends a compressed list whose JSON expands to at least `size` bytes."""

    size: int = field(validator=at_least(1))


@frozen
class Latency(_Kind):
    """Waits `seconds`, in real time, before or after the operation."""

    seconds: float = field(validator=at_least(0))

    def __str__(self) -> str:
        return f"latency of {self.seconds:g} s"


Fault: TypeAlias = Respond | Reset | Refuse | Hang | Drip | Truncate | WrongLength | Huge | GzipBomb
"""The faults that replace or change a response; latencies and gates delay it."""
