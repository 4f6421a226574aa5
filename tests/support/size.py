"""Sizes of tests: smaller every day, full in the sessions of nox that set `PAGERDUTY_ALERTING_FULL_SIZE`."""

import os
from collections.abc import Iterable
from typing import TypeVar

IS_FULL = "PAGERDUTY_ALERTING_FULL_SIZE" in os.environ

Case = TypeVar("Case")


def size(everyday: int, *, full: int) -> int:
    """Returns how much, or how many, a test is to use."""
    return full if IS_FULL else everyday


def sample(cases: Iterable[Case], *, every: int) -> list[Case]:
    """Returns the cases of a test: each `every`-th of them, or all in the full size.

    The step is to have no factor in common with the lengths of the lists that a product is made of: then elements of
    the last list are taken in turn, and each with others of the list before.
    """
    return list(cases)[:: 1 if IS_FULL else every]
