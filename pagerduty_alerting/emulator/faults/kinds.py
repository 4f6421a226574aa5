"""The faults that can be ordered, as data: their fields are checked here, and each says in words what it is."""

import re
from typing import ClassVar, TypeAlias

from attrs import field, frozen

from pagerduty_alerting.emulator.errors import at_least
from pagerduty_alerting.emulator.rules.contract import Headers

_CAPITALS = re.compile(r"(?<!^)(?=[A-Z])")


class _Kind:
    """What all faults have: `str` names them, and by default the request is not carried out."""

    __slots__ = ()
    spoils_answer: ClassVar[bool] = False

    def __str__(self) -> str:
        return _CAPITALS.sub(" ", type(self).__name__).lower()


@frozen
class Respond(_Kind):
    """Answers with this.

    Attributes:
        status: The HTTP status.
        body: The body's bytes.
        headers: Headers in place of, or beside, those that every answer has.
    """

    status: int
    body: bytes = field(repr=False)
    headers: Headers = ()

    def __str__(self) -> str:
        return f"respond {self.status}"


@frozen
class Reset(_Kind):
    """Cuts the connection off, with a TCP reset and without an answer."""


@frozen
class Refuse(_Kind):
    """Cuts the connection off and stops listening for some seconds, or, with None, until told to listen again."""

    seconds: float | None = None


@frozen
class Hang(_Kind):
    """Never answers, and keeps the connection open."""


@frozen
class Drip(_Kind):
    """Sends the answer slowly: `size` bytes every `interval` seconds."""

    spoils_answer = True
    size: int = field(default=1, validator=at_least(1))
    interval: float = field(default=0.05, validator=at_least(0))


@frozen
class Truncate(_Kind):
    """Closes the connection after `keep` bytes of the body, or, with None, after half of it."""

    spoils_answer = True
    keep: int | None = field(default=None, validator=at_least(0))


@frozen
class WrongLength(_Kind):
    """Announces a length that is wrong by so many bytes, and keeps the connection open.

    Above 0 the client waits for bytes that never come; below 0 the rest of the body stands in front of the next
    answer.
    """

    spoils_answer = True
    by: int = 10


@frozen
class Huge(_Kind):
    """Answers with a list whose JSON has at least `size` bytes."""

    size: int = field(validator=at_least(1))


@frozen
class GzipBomb(_Kind):
    """Answers with a compressed list whose JSON has at least `size` bytes once unpacked."""

    size: int = field(validator=at_least(1))


@frozen
class Latency(_Kind):
    """Waits so many seconds, in real time, before going on."""

    seconds: float = field(validator=at_least(0))

    def __str__(self) -> str:
        return f"latency of {self.seconds:g} s"


Fault: TypeAlias = Respond | Reset | Refuse | Hang | Drip | Truncate | WrongLength | Huge | GzipBomb
"""What can take the place of an answer; latencies and gates come beside it."""
