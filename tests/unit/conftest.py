"""What the tests of pure functions start with."""

import os

import pytest

from pagerduty_alerting._protocol import codec, endpoints, rate_limit


@pytest.fixture(autouse=True)
def nothing_is_cached() -> None:
    """Forgets what earlier tests have made, under `nox -s mutation`: it asks which tests run which functions."""
    if "MUTANT_UNDER_TEST" in os.environ:
        for cached in (
            codec._envelope_hook,
            codec._make_converter,
            endpoints._destinations_path,
            rate_limit._policies,
        ):
            cached.cache_clear()
