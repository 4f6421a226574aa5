"""Fixtures of the tests of the command line: the emulator as `api`, and a port that refuses connections."""

import socket
from collections.abc import Iterator

import pytest

from pagerduty_alerting.emulator import Emulator


@pytest.fixture
def api(emulator: Emulator) -> Emulator:
    return emulator


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A port that refuses connections while the test runs."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]
