"""Fixture of the tests of the documentation: an emulator that the environment names."""

from collections.abc import Iterator

import pytest

from pagerduty_alerting.emulator import Emulator


@pytest.fixture
def named_api(monkeypatch: pytest.MonkeyPatch) -> Iterator[Emulator]:
    """An emulator with one service, named by the variables that clients read."""
    with Emulator() as api:
        api.add_service("Primary on-call")
        for name, value in api.environ.items():
            monkeypatch.setenv(name, value)
        yield api
