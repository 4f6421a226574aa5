"""Sizes of tests: reduced by default, full in the sessions of nox that set `PAGERDUTY_ALERTING_FULL_SIZE`."""

import os
from collections.abc import Iterable
from typing import TypeVar

IS_FULL = "PAGERDUTY_ALERTING_FULL_SIZE" in os.environ

Case = TypeVar("Case")


def size(everyday: int, *, full: int) -> int:
    """Returns the size of a test."""
    return full if IS_FULL else everyday


def sample(cases: Iterable[Case], *, every: int) -> list[Case]:
    """Returns the cases of a test: each `every`-th of them, or all in the full size.

    For a product of lists, the step should have no factor in common with their lengths, so that every element occurs in
    varying combinations.
    """
    return list(cases)[:: 1 if IS_FULL else every]
