"""Fixtures for the runner: clients of the emulator, runners for coroutines of the tests, and leaks."""

import os
import ssl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import trustme

from pagerduty_alerting import Client
from pagerduty_alerting._loop.runner import LoopRunner
from pagerduty_alerting.emulator import Emulator


@pytest.fixture
def client(emulator: Emulator) -> Iterator[Client]:
    """A client of the emulator, closed after the test."""
    with Client(base_url=emulator.url, api_token=emulator.api_token, account_id=emulator.account_id) as made:
        yield made


async def nothing() -> None:
    """Closes nothing."""


@pytest.fixture
def runner() -> Iterator[LoopRunner]:
    """A runner for coroutines of the test."""
    made = LoopRunner(nothing)
    yield made
    made.close()


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    """A certificate authority that only the tests trust."""
    return trustme.CA()


@pytest.fixture(scope="session")
def server_tls(authority: trustme.CA) -> ssl.SSLContext:
    """The SSL context of a server on this machine."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    return context


@pytest.fixture(scope="session")
def client_tls(authority: trustme.CA) -> ssl.SSLContext:
    """The SSL context of a client of that server."""
    return ssl.create_default_context(cadata=authority.cert_pem.bytes().decode())


@pytest.fixture
def leaks() -> Callable[[], dict[str, int]]:
    """Returns the change in the number of threads, and on Linux of file descriptors, since the start of the test."""
    descriptors = Path("/proc/self/fd")

    def count() -> dict[str, int]:
        found = {"threads": threading.active_count()}
        if descriptors.exists():
            found["descriptors"] = len(os.listdir(descriptors))  # noqa: PTH208  # opens fewer descriptors than pathlib
        return found

    before = count()
    return lambda: {name: now - before[name] for name, now in count().items() if now != before[name]}
