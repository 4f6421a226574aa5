"""What the tests of pure functions start with."""

import os

import pytest

from pagerduty_alerting import _codec, _endpoints, _rate_limit


@pytest.fixture(autouse=True)
def nothing_is_cached() -> None:
    """Forgets what earlier tests have made, under `nox -s mutation`: it asks which tests run which functions."""
    if "MUTANT_UNDER_TEST" in os.environ:
        for cached in (
            _codec._envelope_hook,
            _codec._make_converter,
            _endpoints._destinations_path,
            _rate_limit._policies,
        ):
            cached.cache_clear()
