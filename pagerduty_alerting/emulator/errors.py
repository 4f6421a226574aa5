"""What the emulator raises where it is used wrongly."""

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from attrs import Attribute  # a generic class for type checkers alone

Number = TypeVar("Number", bound=float | None)


class EmulatorUsageError(ValueError):
    """The emulator was asked for something impossible: the message says what was wrong and what to do."""


def at_least(least: float) -> "Callable[[object, Attribute[Number], Number], None]":
    """Returns a validator of attrs for numbers of at least `least`; None passes, where the field allows it."""

    def check(_: object, attribute: "Attribute[Number]", value: Number) -> None:
        if value is not None and not value >= least:  # this way round NaN fails too
            raise EmulatorUsageError(f"{attribute.name} must be >= {least:g}, not {value}")

    return check
