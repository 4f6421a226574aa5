"""`Value` has the repr, equality and hash that attrs would generate."""

from typing import Any

import pytest
from attrs import field, frozen

from pagerduty_alerting._values import Value


def _masked(_: object) -> str:
    return "<masked>"


@frozen
class OfAttrs:
    shown: str
    masked: str = field(default="b", repr=_masked)
    left_out: object = field(default="c", repr=False)


@frozen(eq=False, repr=False)
class Ours(Value):
    shown: str
    masked: str = field(default="b", repr=_masked)
    left_out: object = field(default="c", repr=False)


class Derived(Ours):
    __slots__ = ()


def test_the_repr_is_that_of_attrs() -> None:
    assert repr(Ours("a'")) == repr(OfAttrs("a'")).replace("OfAttrs", "Ours")
    assert repr(Derived("a")).startswith("Derived(shown='a', masked=<masked>)")


@pytest.mark.parametrize("changes", [{}, {"shown": "x"}, {"masked": "x"}, {"left_out": "x"}], ids=str)
def test_every_field_is_compared_and_hashed(changes: dict[str, Any]) -> None:
    one, other = Ours("a"), Ours(**{"shown": "a", **changes})

    assert (one == other) is (OfAttrs("a") == OfAttrs(**{"shown": "a", **changes})) is (not changes)
    assert (hash(one) == hash(other)) is (not changes)


def test_values_of_different_classes_are_different() -> None:
    assert Ours("a") != Derived("a")
    assert Ours("a") != OfAttrs("a")
    assert Ours("a") != "a"


def test_a_value_with_an_unhashable_field_has_no_hash() -> None:
    with pytest.raises(TypeError, match="unhashable"):
        hash(Ours("a", left_out=[]))
