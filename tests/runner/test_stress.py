"""Many threads and calls, and a server that fails in every way: each call gets its own response.

`nox -s soak` makes more calls; STRESS_SEED seeds the random numbers.
"""

import asyncio
import json
import os
import random
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pagerduty_alerting import APIConnectionError, APITimeoutError, Client, InternalServerError, RetryPolicy
from tests.support import stress_server
from tests.support.scripts import program_of, script
from tests.support.size import size
from tests.support.threads import InThread

THREADS = 32
CALLS = size(60, full=500)  # of each thread
SEED = int(os.environ.get("STRESS_SEED", "20261123"))

KINDS = {"good": 50, "late": 20, "edge": 8, "reset": 4, "truncated": 4, "unavailable": 6, "closes": 4, "hangs": 4}

LONG_TIMEOUT = 100.0  # seconds, longer than any call takes on a busy machine


@contextmanager
def counting_server() -> Iterator[tuple[str, Callable[[], Counter[str]]]]:
    """Yields the URL of a server in a separate process, and a function that ends it and returns its counts."""
    with script(program_of(Path(stress_server.__file__)), {}, preamble="") as server:
        yield f"http://127.0.0.1:{server.read_line()}/client/v4", lambda: Counter(json.loads(server.end().output))


def plan(rng: random.Random, thread: int, number: int) -> tuple[str, str, float]:
    """Returns the kind of a call, its account id, and its timeout in seconds."""
    (kind,) = rng.choices(list(KINDS), list(KINDS.values()))
    late = rng.randint(0, 15)
    match kind:
        case "late":
            return kind, f"late.{late}-{thread}-{number}", LONG_TIMEOUT
        case "edge":  # the response arrives at about the time of the timeout
            return kind, f"late.{late}-{thread}-{number}", max(0.001, late / 1000)
        case "hangs":
            return kind, f"hangs-{thread}-{number}", rng.uniform(0.001, 0.03)
        case _:
            return kind, f"{kind}-{thread}-{number}", LONG_TIMEOUT


def outcome(client: Client, account: str, timeout: float) -> str:
    """Makes a call and returns its outcome as a word."""
    try:
        services = client.list_services(account_id=account, timeout=timeout)
    except APITimeoutError:
        return "timeout"
    except APIConnectionError:
        return "broken"
    except InternalServerError as error:
        return "unavailable" if [info.message for info in error.errors] == [account] else "another's response"
    return "answered" if [service.name for service in services] == [account] else "another's response"


EXPECTED = {
    "good": {"answered"},
    "late": {"answered"},
    "closes": {"answered"},
    "edge": {"answered", "timeout"},
    "hangs": {"timeout"},
    "reset": {"broken"},
    "truncated": {"broken"},
    "unavailable": {"unavailable"},
}


@pytest.mark.timeout(600)
def test_every_response_belongs_to_its_request_and_nothing_is_lost_doubled_or_leaked(
    leaks: Callable[[], dict[str, int]],
) -> None:
    planned: Counter[str] = Counter()
    wrong: list[str] = []

    def work(thread: int) -> None:
        rng = random.Random(f"{SEED} {thread}")
        for number in range(CALLS):
            kind, account, timeout = plan(rng, thread, number)
            planned[account] = 1
            found = outcome(client, account, timeout)
            if found not in EXPECTED[kind]:
                wrong.append(f"{account}: {found}")

    with counting_server() as (url, counts):
        client = Client(
            base_url=url,
            api_token="stress",
            account_id="none",
            retry=RetryPolicy(max_attempts=1),
            respect_rate_limits=False,
            connect_timeout=LONG_TIMEOUT,
        )
        for caller in [InThread(lambda thread=thread: work(thread)) for thread in range(THREADS)]:
            caller.result(LONG_TIMEOUT * 5)
        loop = client._runner._loop
        assert loop is not None
        tasks = asyncio.all_tasks(loop)
        client.close()
        received = counts()

    assert wrong == []
    assert len(planned) == THREADS * CALLS
    assert {account: count for account, count in received.items() if count > 1} == {}
    # Calls may time out before they are sent.
    unsent = {account for account in set(planned) - set(received) if not account.startswith(("hangs", "late"))}
    assert unsent == set()
    assert (tasks, client._runner._calls, leaks()) == (set(), {}, {})
