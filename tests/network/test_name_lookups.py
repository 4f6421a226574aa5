"""A host name that cannot be resolved raises an error in time, and never blocks a call."""

import socket
import threading
from collections.abc import Iterator
from typing import Any, NoReturn

import pytest

from pagerduty_alerting import APIConnectionError, APITimeoutError, RetryPolicy
from pagerduty_alerting.emulator import Emulator
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


def test_a_name_that_exists_is_resolved(make_caller: MakeCaller, emulator: Emulator) -> None:
    known = emulator.environ
    caller = make_caller(
        base_url=emulator.url.replace("127.0.0.1", "localhost"),
        api_token=known["CLOUDFLARE_API_TOKEN"],
        account_id=known["CLOUDFLARE_ACCOUNT_ID"],
    )
    assert caller.call("list_services") == emulator.services()


@pytest.fixture
def hanging_lookups(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Makes name lookups hang, as without a network, until the end of the test.

    A test requests it after `make_caller`, so that the lookups end before the clients wait for their threads.
    """
    end = threading.Event()

    def hang(*_: Any, **__: Any) -> list[Any]:
        end.wait(60)
        return []  # newer Pythons log an error that is raised after the end of the call

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    yield
    end.set()


def test_the_connect_timeout_ends_a_hanging_name_lookup(make_caller: MakeCaller, hanging_lookups: None) -> None:
    caller = make_caller(base_url=UNKNOWN, timeout=60.0, connect_timeout=0.05)
    with pytest.raises(APITimeoutError, match="within the connect_timeout of 0.05 s"):
        caller.call("create_integration_token")


def test_the_deadline_ends_a_hanging_name_lookup(make_caller: MakeCaller, hanging_lookups: None) -> None:
    caller = make_caller(base_url=UNKNOWN, timeout=0.5, connect_timeout=60.0)
    with pytest.raises(APITimeoutError, match="while connecting"):
        caller.call("create_integration_token")
