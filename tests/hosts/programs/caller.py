"""The calls that every host makes, with a client that is created and used when this module is imported.

In a host that imports its application before it forks or patches, the client is therefore used before that as well.
At the end of the program an exit handler and a finalizer make calls, the latter perhaps too late.
"""

import atexit
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path

from pagerduty_alerting import Client, ClientClosedError

CALLS = int(os.environ["HOSTS_CALLS"])
HANGING_ACCOUNT = "f" * 32

client = Client()
client.list_services()


def account_ids(calls: int = CALLS) -> list[str]:
    """Returns the account of each call."""
    return [f"{number:032x}" for number in range(1, calls + 1)]


def names(account_id: str) -> list[str]:
    """Returns the names of an account's services, and leaves a file that says that this process makes calls."""
    Path(f"calls-{os.getpid()}").touch()
    return [service.name for service in client.list_services(account_id=account_id)]


def names_or_error(account_id: str) -> object:
    """Returns the names of an account's services, or the text of the error that the call raised."""
    try:
        return names(account_id)
    except Exception as error:
        return f"{type(error).__name__}: {error}"


def report_beginning() -> None:
    """Reports to the test that a task has begun."""
    with Path(os.environ["HOSTS_BEGUN"]).open("wb", buffering=0) as begun:
        begun.write(b".")


def names_repeatedly(account_id: str) -> list[str]:
    """Returns the names of an account's services, if each of many calls returned them."""
    report_beginning()
    found = [names(account_id) for _ in range(50)]
    return found[0] if all(each == found[0] for each in found) else ["the result of another call"]


def hang() -> list[str]:
    """Waits for a response that never arrives."""
    report_beginning()
    return names(HANGING_ACCOUNT)


@atexit.register
def call_at_exit() -> None:
    """Makes a call; exceptions of exit handlers are written to standard error."""
    names(account_ids(1)[0])


class CallsWhenFinalized:
    """Makes a call when the module is taken down, with what is there even then."""

    def __del__(self, client: Client = client, late: type[Exception] = ClientClosedError) -> None:
        try:  # noqa: SIM105  # `contextlib` may be gone
            client.list_services()
        except late:
            pass


kept = CallsWhenFinalized()


def report(answers: Mapping[str, object]) -> None:
    """Prints the result for each account."""
    json.dump(answers, sys.stdout)
    sys.stdout.flush()
