"""dramatiq actors, and the functions that enqueue them.

Time limits are exceptions that dramatiq raises in the actor's thread.
"""

import contextlib
import os
from typing import Any

import caller
import dramatiq
from dramatiq.brokers.redis import RedisBroker
from dramatiq.middleware import TimeLimitExceeded
from dramatiq.results import ResultMissing, Results
from dramatiq.results.backends import RedisBackend

broker = RedisBroker(url=os.environ["HOSTS_REDIS"])
broker.add_middleware(Results(backend=RedisBackend(url=os.environ["HOSTS_REDIS"])))
dramatiq.set_broker(broker)


@dramatiq.actor(store_results=True, max_retries=0)
def names(account_id: str) -> list[str]:
    return caller.names(account_id)


@dramatiq.actor(store_results=True, max_retries=0, time_limit=1000)
def interrupted(account_id: str) -> list[str]:
    """Makes calls until dramatiq interrupts it, at any point, then makes another call."""
    expected = caller.names(account_id)
    try:
        while caller.names(account_id) == expected:
            pass
    except TimeLimitExceeded:
        return caller.names(account_id)
    return ["the result of another call"]


@dramatiq.actor(store_results=True, max_retries=0)
def long(account_id: str) -> list[str]:
    return caller.names_repeatedly(account_id)


@dramatiq.actor(store_results=True, max_retries=0)
def hanging(account_id: str) -> list[str]:
    return caller.hang()


def answers(accounts: list[str]) -> dict[str, object]:
    """Returns the result of an actor for each account."""
    return _answers(names, accounts)


def answers_after_interruption(accounts: list[str]) -> dict[str, object]:
    """Returns the results of actors that exceed their time limit."""
    return _answers(interrupted, accounts)


def send(name: str, accounts: list[str]) -> dict[str, object]:
    """Enqueues a message for each account; returns the argument for `results`."""
    return {account_id: globals()[name].send(account_id).asdict() for account_id in accounts}


def results(sent: dict[str, dict[str, Any]]) -> dict[str, object]:
    """Returns the available results."""
    found: dict[str, object] = {}
    for account_id, message in sent.items():
        with contextlib.suppress(ResultMissing):
            found[account_id] = dramatiq.Message(**message).get_result()
    return found


def _answers(actor: dramatiq.Actor, accounts: list[str]) -> dict[str, object]:
    messages = [actor.send(account_id) for account_id in accounts]
    return {
        account_id: message.get_result(block=True, timeout=60_000)
        for account_id, message in zip(accounts, messages, strict=True)
    }
