"""The exception for wrong use of the emulator, and a validator that raises it."""

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from attrs import Attribute  # generic only for type checkers

Number = TypeVar("Number", bound=float | None)


class EmulatorUsageError(ValueError):
    """The emulator was used wrongly; the message says what is wrong and what to do."""


def at_least(least: float) -> "Callable[[object, Attribute[Number], Number], None]":
    """Returns an attrs validator for numbers of at least `least`; None is valid."""

    def check(_: object, attribute: "Attribute[Number]", value: Number) -> None:
        if value is not None and not value >= least:  # `not >=` also rejects NaN
            raise EmulatorUsageError(f"{attribute.name} must be >= {least:g}, not {value}")

    return check
