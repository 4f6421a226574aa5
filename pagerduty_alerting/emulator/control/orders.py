"""The input of the control API, as attrs classes, and its conversion to an order of a fault."""

import functools
import inspect

from attrs import NOTHING, AttrsInstance, asdict, field, frozen, make_class

from pagerduty_alerting.emulator.errors import EmulatorUsageError
from pagerduty_alerting.emulator.faults.builder import FaultBuilder
from pagerduty_alerting.emulator.faults.gates import Gate
from pagerduty_alerting.emulator.faults.selection import Order
from pagerduty_alerting.emulator.json_input import read_value
from pagerduty_alerting.emulator.rules.contract import Operation


@frozen
class Authorization:
    """`POST /_emulator/authorize`: chooses services for an integration token."""

    token: str = field(repr=False)
    services: tuple[str, ...]


@frozen
class TokenChoice:
    """`POST /_emulator/expire`: makes an integration token expire."""

    token: str = field(repr=False)


@frozen
class Advance:
    """`POST /_emulator/advance`: advances the clock."""

    seconds: float


@frozen
class NewService:
    """`POST /_emulator/services`: links a service with an account; None for the default one."""

    name: str
    account_id: str | None = None


@frozen
class Release:
    """`POST /_emulator/release`: releases `count` requests at each gate; None opens the gates for good."""

    count: int | None = None


@frozen
class FaultRequest:
    """`POST /_emulator/faults`: orders a fault.

    Attributes:
        fault: The name of a method of `FaultBuilder` that orders a fault.
        arguments: The arguments of that method, by name.
        operations: The operations that get the fault; empty for every request.
        times: The number of requests that get the fault; None for all.
        skip: The number of requests to skip first.
        probability: The probability for each request, 0 to 1.
        after_acting: Whether to carry the operation out before the fault.
    """

    fault: str
    arguments: object = None
    operations: tuple[Operation, ...] = ()
    times: int | None = None
    skip: int = 0
    probability: float = 1.0
    after_acting: bool = False


FAULTS = tuple(
    name
    for name, method in vars(FaultBuilder).items()
    if not name.startswith("_") and inspect.signature(method).return_annotation in {Order, Gate}
)
"""The faults of the control API: every method of the builder that orders a fault."""


@functools.cache
def _arguments_of(fault: str) -> type[AttrsInstance]:
    """Returns an attrs class with the parameters of the builder's method as fields."""
    fields: dict[str, object] = {}
    for name, parameter in list(inspect.signature(getattr(FaultBuilder, fault)).parameters.items())[1:]:
        # Only `Json`, a recursive alias, is a string; its values are not converted.
        kind: type[object] = object if isinstance(parameter.annotation, str) else parameter.annotation
        default: object = NOTHING if parameter.default is parameter.empty else parameter.default
        fields[name] = field(type=kind, default=default)
    return make_class(fault, fields)


def place_fault(wanted: FaultRequest, builder: FaultBuilder) -> None:
    """Orders a fault on a builder.

    Raises:
        EmulatorUsageError: There is no such fault, or its arguments are wrong.
    """
    if wanted.fault not in FAULTS:
        raise EmulatorUsageError(f"no fault {wanted.fault!r}: use one of {', '.join(sorted(FAULTS))}")
    arguments = read_value({} if wanted.arguments is None else wanted.arguments, _arguments_of(wanted.fault))
    builder = builder.skip(wanted.skip).sometimes(wanted.probability)
    if wanted.times is not None:
        builder = builder.times(wanted.times)
    if wanted.after_acting:
        builder = builder.after_acting()
    getattr(builder, wanted.fault)(**asdict(arguments, recurse=False))
