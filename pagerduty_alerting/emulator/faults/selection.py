"""Orders say which requests get which fault, and count them; they must not carry a fault out."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Self, TypeAlias

import attrs

from pagerduty_alerting.emulator.faults.gates import Gate
from pagerduty_alerting.emulator.faults.kinds import OF_THE_ANSWER, Fault, describe
from pagerduty_alerting.emulator.requests import RecordedRequest
from pagerduty_alerting.emulator.rules.contract import Operation

Predicate: TypeAlias = Callable[[RecordedRequest], bool]
Dice: TypeAlias = Callable[[float], bool]


@attrs.frozen
class Latency:
    """Wait before going on.

    Attributes:
        seconds: How long, in real time.
    """

    seconds: float = attrs.field(validator=attrs.validators.ge(0))


@attrs.frozen
class Selection:
    """Which requests an order is for.

    Attributes:
        operations: The operations; none for every request.
        skip: How many of the requests to leave alone first.
        times: For how many the order is good; None for all.
        probability: How likely each of them is to be chosen, 0 to 1.
        predicates: What must hold of a request.
        acting: Whether the request is carried out before its fault.
    """

    operations: frozenset[Operation] = frozenset()
    skip: int = attrs.field(default=0, validator=attrs.validators.ge(0))
    times: int | None = attrs.field(default=None, validator=attrs.validators.optional(attrs.validators.ge(1)))
    probability: float = attrs.field(default=1.0, validator=[attrs.validators.ge(0), attrs.validators.le(1)])
    predicates: tuple[Predicate, ...] = ()
    acting: bool = False


Effect: TypeAlias = Fault | Latency | Gate


class Order:
    """A fault that was ordered. As a context manager it is cancelled on leaving.

    Attributes:
        selection: Which requests it is for.
        effect: What happens to them.
    """

    def __init__(self, selection: Selection, effect: Effect) -> None:
        self.selection = selection
        self.effect = effect
        self._met = 0
        self._used = 0
        self._cancelled = False

    @property
    def used(self) -> int:
        """How many requests it was carried out on."""
        return self._used

    @property
    def spent(self) -> bool:
        """Whether no further request will get it."""
        times = self.selection.times
        return self._cancelled or (times is not None and self._used >= times)

    def cancel(self) -> None:
        """Leave all further requests alone."""
        self._cancelled = True

    def takes(self, request: RecordedRequest, dice: Dice) -> bool:
        """Say whether a request gets this fault, and count it."""
        wanted = self.selection
        if self.spent or (wanted.operations and request.operation not in wanted.operations):
            return False
        if not all(predicate(request) for predicate in wanted.predicates):
            return False
        self._met += 1
        if self._met <= wanted.skip or not (wanted.probability >= 1 or dice(wanted.probability)):
            return False
        self._used += 1
        return True

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.cancel()

    def __repr__(self) -> str:
        return f"<Order: {self.description}, used {self._used} times>"

    @property
    def description(self) -> str:
        """What happens to which requests, in words."""
        operations = ", ".join(sorted(self.selection.operations)) or "every request"
        return f"{effect_name(self.effect)} for {operations}"


def effect_name(effect: Effect) -> str:
    """Say in a word or two what an effect is."""
    if isinstance(effect, Latency):
        return f"latency of {effect.seconds:g} s"
    return "hold" if isinstance(effect, Gate) else describe(effect)


@attrs.frozen
class Plan:
    """What is to happen to one request.

    Attributes:
        before: Latencies and gates before it is carried out.
        acting: Whether it is carried out.
        after: Latencies and gates after that.
        fault: What happens in place of its answer, or to it; None for the plain answer.
    """

    before: tuple[Latency | Gate, ...] = ()
    acting: bool = True
    after: tuple[Latency | Gate, ...] = ()
    fault: Fault | None = None

    @property
    def description(self) -> str:
        """What is to happen, in words."""
        steps = [*self.before, *self.after, *([] if self.fault is None else [self.fault])]
        return ", ".join(map(effect_name, steps))


def make_plan(orders: list[Order], request: RecordedRequest, dice: Dice) -> Plan | None:
    """Say what is to happen to a request.

    Args:
        orders: The orders in force, oldest first.
        request: The request.
        dice: Tosses a coin that comes up true with the given probability.

    Returns:
        All latencies and gates that are for it and the first fault that is, or None where nothing is.
    """
    before: list[Latency | Gate] = []
    after: list[Latency | Gate] = []
    fault: Fault | None = None
    acting = True
    for order in orders:
        effect = order.effect
        if isinstance(effect, (Latency, Gate)):
            if order.takes(request, dice):
                (after if order.selection.acting else before).append(effect)
        elif fault is None and order.takes(request, dice):
            fault = effect
            acting = order.selection.acting or isinstance(effect, OF_THE_ANSWER)
    if not before and not after and fault is None:
        return None
    return Plan(tuple(before), acting or bool(after), tuple(after), fault)
