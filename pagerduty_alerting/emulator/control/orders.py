"""What the control API accepts, as attrs classes, and how it becomes an order; it must not read HTTP."""

from __future__ import annotations

from typing import TypeAlias

import attrs

from pagerduty_alerting.emulator.faults.builder import FaultBuilder
from pagerduty_alerting.emulator.json_input import read_value
from pagerduty_alerting.emulator.rules.contract import Operation
from pagerduty_alerting.emulator.rules.state import EmulatorUsageError


@attrs.frozen
class Authorization:
    """``POST /_emulator/authorize``: choose services for an integration token.

    Attributes:
        token: The integration token.
        services: The names of the services.
    """

    token: str = attrs.field(repr=False)
    services: tuple[str, ...]


@attrs.frozen
class TokenChoice:
    """``POST /_emulator/expire``: let an integration token expire.

    Attributes:
        token: The integration token.
    """

    token: str = attrs.field(repr=False)


@attrs.frozen
class Advance:
    """``POST /_emulator/advance``: turn the clock.

    Attributes:
        seconds: By how much.
    """

    seconds: float


@attrs.frozen
class NewService:
    """``POST /_emulator/services``: link a service with an account.

    Attributes:
        name: Its name.
        account_id: The account; None for the default one.
    """

    name: str
    account_id: str | None = None


@attrs.frozen
class Release:
    """``POST /_emulator/release``: open the gates.

    Attributes:
        count: How many requests each gate lets go; None opens them for good.
    """

    count: int | None = None


@attrs.frozen
class FaultRequest:
    """``POST /_emulator/faults``: order a fault.

    Attributes:
        fault: What to do: the name of a method of `FaultBuilder` that orders one.
        arguments: The arguments of that method, by name.
        operations: The operations to disturb; none for every request.
        times: For how many requests; None for all.
        skip: How many to leave alone first.
        probability: How likely each is to be disturbed, 0 to 1.
        after_acting: Whether to carry the request out first.
    """

    fault: str
    arguments: object = None
    operations: tuple[Operation, ...] = ()
    times: int | None = None
    skip: int = 0
    probability: float = 1.0
    after_acting: bool = False


@attrs.frozen
class _Respond:
    status: int
    json: object = None
    body: str | None = None
    headers: dict[str, str] | None = None


@attrs.frozen
class _RateLimited:
    retry_after: float = 1


@attrs.frozen
class _Html:
    status: int = 502


@attrs.frozen
class _MalformedJson:
    status: int = 200


@attrs.frozen
class _WrongShape:
    status: int = 200
    json: object = None


@attrs.frozen
class _Redirect:
    to: str
    status: int = 302


@attrs.frozen
class _Refuse:
    seconds: float | None = None


@attrs.frozen
class _Drip:
    size: int = 1
    interval: float = 0.05


@attrs.frozen
class _Truncate:
    keep: int | None = None


@attrs.frozen
class _WrongLength:
    by: int = 10


@attrs.frozen
class _Size:
    size: int


@attrs.frozen
class _Latency:
    seconds: float


@attrs.frozen
class _Nothing:
    pass


_Arguments: TypeAlias = (
    type[_Respond]
    | type[_RateLimited]
    | type[_Html]
    | type[_MalformedJson]
    | type[_WrongShape]
    | type[_Redirect]
    | type[_Refuse]
    | type[_Drip]
    | type[_Truncate]
    | type[_WrongLength]
    | type[_Size]
    | type[_Latency]
    | type[_Nothing]
)

FAULTS: dict[str, _Arguments] = {
    "respond": _Respond,
    "rate_limited": _RateLimited,
    "html": _Html,
    "malformed_json": _MalformedJson,
    "wrong_shape": _WrongShape,
    "redirect": _Redirect,
    "refuse": _Refuse,
    "drip": _Drip,
    "truncate": _Truncate,
    "wrong_length": _WrongLength,
    "huge": _Size,
    "gzip_bomb": _Size,
    "latency": _Latency,
    "reset_before_acting": _Nothing,
    "reset_after_acting": _Nothing,
    "hang": _Nothing,
    "hold": _Nothing,
}
"""The faults that the control API knows, and what each needs to be told."""


def place_fault(wanted: FaultRequest, anything: FaultBuilder) -> None:
    """Order a fault as told through the control API.

    Args:
        wanted: What to order.
        anything: The builder for the operations wanted.

    Raises:
        EmulatorUsageError: There is no such fault, or its arguments are wrong: the message says which.
    """
    if wanted.fault not in FAULTS:
        known = ", ".join(sorted(FAULTS))
        raise EmulatorUsageError(f"no fault {wanted.fault!r}: use one of {known}")
    arguments = read_value(wanted.arguments if wanted.arguments is not None else {}, FAULTS[wanted.fault])
    chosen = anything.skip(wanted.skip).sometimes(wanted.probability)
    if wanted.times is not None:
        chosen = chosen.times(wanted.times)
    if wanted.after_acting:
        chosen = chosen.after_acting()
    # The names in FAULTS are those of the builder's methods, and the classes have their parameters.
    order = getattr(chosen, wanted.fault)
    order(**{field.name: getattr(arguments, field.name) for field in attrs.fields(type(arguments))})
