"""Selects the faults for a request from the orders in force."""

from collections.abc import Callable
from typing import Self, TypeAlias

from attrs import field, frozen

from pagerduty_alerting.emulator.errors import EmulatorUsageError, at_least
from pagerduty_alerting.emulator.faults.gates import Gate
from pagerduty_alerting.emulator.faults.kinds import Fault, Latency
from pagerduty_alerting.emulator.requests import RecordedRequest
from pagerduty_alerting.emulator.rules.contract import Operation

Predicate: TypeAlias = Callable[[RecordedRequest], bool]
Effect: TypeAlias = Fault | Latency | Gate


def _check_probability(_: object, __: object, value: float) -> None:
    if not 0 <= value <= 1:
        raise EmulatorUsageError(f"a probability is >= 0 and <= 1, not {value}")


@frozen
class Selection:
    """The requests that an order applies to; the fields are described by the methods of `FaultBuilder`."""

    operations: frozenset[Operation] = frozenset()  # empty for every request
    skip: int = field(default=0, validator=at_least(0))
    times: int | None = field(default=None, validator=at_least(1))  # None for all
    probability: float = field(default=1.0, validator=_check_probability)
    predicates: tuple[Predicate, ...] = ()
    acting: bool = False


class Order:
    """A fault that was ordered. As a context manager, it is cancelled on exit.

    Attributes:
        selection: The requests that it applies to.
        effect: The fault, latency or gate.
        used: The number of requests that it was applied to.
    """

    def __init__(self, selection: Selection, effect: Effect) -> None:
        self.selection = selection
        self.effect = effect
        self.used: int = 0
        self._met = 0
        self._cancelled = False

    @property
    def spent(self) -> bool:
        """Whether it applies to no further request."""
        times = self.selection.times
        return self._cancelled or (times is not None and self.used >= times)

    @property
    def description(self) -> str:
        """The effect and the operations, as text."""
        return f"{self.effect} for {', '.join(sorted(self.selection.operations)) or 'every request'}"

    def cancel(self) -> None:
        """Applies the fault to no further request."""
        self._cancelled = True

    def takes(self, request: RecordedRequest, chance: Callable[[float], bool]) -> bool:
        """Returns whether a request gets this fault, and counts it."""
        wanted = self.selection
        if self.spent or (wanted.operations and request.operation not in wanted.operations):
            return False
        if not all(predicate(request) for predicate in wanted.predicates):
            return False
        self._met += 1
        if self._met <= wanted.skip or not (wanted.probability >= 1 or chance(wanted.probability)):
            return False
        self.used += 1
        return True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.cancel()

    def __repr__(self) -> str:
        return f"<Order: {self.description}, used {self.used} times>"


@frozen
class Plan:
    """The faults for one request."""

    before: tuple[Latency | Gate, ...]
    acting: bool  # whether the operation is carried out, between `before` and `after`
    after: tuple[Latency | Gate, ...]
    fault: Fault | None  # None for the plain response

    def __str__(self) -> str:
        return ", ".join(map(str, [*self.before, *self.after, *([self.fault] if self.fault is not None else [])]))


def make_plan(orders: list[Order], request: RecordedRequest, chance: Callable[[float], bool]) -> Plan | None:
    """Returns all latencies and gates for a request and the first fault for it, or None if no order applies."""
    before: list[Latency | Gate] = []
    after: list[Latency | Gate] = []
    fault: Fault | None = None
    acting = True
    for order in orders:
        effect = order.effect
        if isinstance(effect, (Latency, Gate)):
            if order.takes(request, chance):
                (after if order.selection.acting else before).append(effect)
        elif fault is None and order.takes(request, chance):
            fault = effect
            acting = order.selection.acting or effect.spoils_answer
    if not before and not after and fault is None:
        return None
    return Plan(tuple(before), acting or bool(after), tuple(after), fault)
