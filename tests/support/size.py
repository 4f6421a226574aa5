"""Sizes of tests that are about floods and crowds: smaller every day, full in `nox -s soak`."""

import os

IS_FULL = "PAGERDUTY_ALERTING_FULL_SIZE" in os.environ


def size(everyday: int, *, full: int) -> int:
    """Returns how much, or how many, a test is to use."""
    return full if IS_FULL else everyday
