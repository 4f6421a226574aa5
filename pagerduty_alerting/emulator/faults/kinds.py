"""The faults that can be ordered, as data; it must not carry any of them out."""

from __future__ import annotations

from typing import TypeAlias

import attrs

Headers: TypeAlias = tuple[tuple[str, str], ...]


@attrs.frozen
class Respond:
    """Answer with this.

    Attributes:
        status: The HTTP status.
        body: The body's bytes.
        headers: Headers in place of, or beside, those that every answer has.
    """

    status: int
    body: bytes = attrs.field(repr=False)
    headers: Headers = ()


@attrs.frozen
class Reset:
    """Cut the connection off, with a TCP reset and without an answer."""


@attrs.frozen
class Refuse:
    """Go away: cut the connection off and stop listening, so that new connections are refused.

    Attributes:
        seconds: How long; None until told to listen again.
    """

    seconds: float | None = None


@attrs.frozen
class Hang:
    """Never answer, and keep the connection open."""


@attrs.frozen
class Drip:
    """Send the answer slowly.

    Attributes:
        size: Bytes at a time.
        interval: Seconds between them.
    """

    size: int = attrs.field(default=1, validator=attrs.validators.ge(1))
    interval: float = attrs.field(default=0.05, validator=attrs.validators.ge(0))


@attrs.frozen
class Truncate:
    """Close the connection in the middle of the body.

    Attributes:
        keep: Bytes of the body to send; None for half of it.
    """

    keep: int | None = attrs.field(default=None, validator=attrs.validators.optional(attrs.validators.ge(0)))


@attrs.frozen
class WrongLength:
    """Announce another length than the body has, and keep the connection open.

    Attributes:
        by: Bytes to add to the length: above 0 the client waits for bytes that never come, below 0 the rest
            of the body stands in front of the next answer.
    """

    by: int = 10


@attrs.frozen
class Huge:
    """Answer with a list whose JSON has at least this many bytes.

    Attributes:
        size: Bytes.
    """

    size: int = attrs.field(validator=attrs.validators.ge(1))


@attrs.frozen
class GzipBomb:
    """Answer with a compressed list whose JSON has at least this many bytes once unpacked.

    Attributes:
        size: Bytes.
    """

    size: int = attrs.field(validator=attrs.validators.ge(1))


Fault: TypeAlias = Respond | Reset | Refuse | Hang | Drip | Truncate | WrongLength | Huge | GzipBomb

OF_THE_ANSWER = (Drip, Truncate, WrongLength)
"""Faults that spoil an answer, for which the request has to be carried out first."""


def describe(fault: Fault) -> str:
    """Say in a word or two what a fault does, for the log."""
    match fault:
        case Respond(status=status):
            return f"respond {status}"
        case WrongLength():
            return "wrong length"
        case GzipBomb():
            return "gzip bomb"
        case _:
            return type(fault).__name__.lower()
