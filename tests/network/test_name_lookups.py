"""Names that cannot be resolved: an error that says so, in time, and not a call that never ends."""

import socket
import threading
from collections.abc import Iterator
from typing import Any, NoReturn

import pytest

from pagerduty_alerting import APIConnectionError, APITimeoutError, RetryPolicy
from tests.support.callers import MakeCaller

UNKNOWN = "https://no-such-name.invalid/v4"


def no_such_name(*_: Any, **__: Any) -> NoReturn:
    raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")


@pytest.mark.parametrize("operation", ["list_services", "create_integration_token"])
def test_a_name_that_does_not_exist_is_a_connection_error(
    make_caller: MakeCaller, monkeypatch: pytest.MonkeyPatch, operation: str
) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", no_such_name)
    caller = make_caller(base_url=UNKNOWN, timeout=60.0, retry=RetryPolicy(initial_delay=0.001))
    with pytest.raises(APIConnectionError, match="the name no-such-name.invalid cannot be resolved") as caught:
        caller.call(operation)
    assert caught.value.attempts == 5
    assert caught.value.may_have_acted is False
    assert isinstance(caught.value.__cause__, OSError)


@pytest.fixture
def look_up_without_end(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Look-ups that hang, as they do without a network, until the end of the test.

    A test asks for it after `make_caller`, so that it ends before the threads that look names up are waited for.
    """
    ends = threading.Event()

    def hang(*_: Any, **__: Any) -> list[Any]:
        ends.wait(60)
        return []  # an error that comes after the call is over would be logged by newer Pythons

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    yield
    ends.set()


def test_a_look_up_that_hangs_is_ended_by_the_connect_timeout(
    make_caller: MakeCaller, look_up_without_end: None
) -> None:
    caller = make_caller(base_url=UNKNOWN, timeout=60.0, connect_timeout=0.05)
    with pytest.raises(APITimeoutError, match="within the connect_timeout of 0.05 s"):
        caller.call("create_integration_token")


def test_a_look_up_that_hangs_is_ended_by_the_deadline(make_caller: MakeCaller, look_up_without_end: None) -> None:
    caller = make_caller(base_url=UNKNOWN, timeout=0.5, connect_timeout=60.0)
    with pytest.raises(APITimeoutError, match="while connecting"):
        caller.call("create_integration_token")
