"""Celery tasks, and the functions that enqueue them."""

import os

import caller
from celery import Celery, group
from celery.exceptions import SoftTimeLimitExceeded

redis = os.environ["HOSTS_REDIS"].replace("unix://", "redis+socket://")
app = Celery("celery_tasks", broker=redis, backend=redis)
app.conf.broker_connection_retry_on_startup = True


@app.task
def names(account_id: str) -> list[str]:
    return caller.names(account_id)


@app.task(soft_time_limit=1, time_limit=20)
def interrupted(account_id: str) -> list[str]:
    """Waits for a response that never arrives until Celery interrupts it, then makes another call."""
    try:
        caller.names(caller.HANGING_ACCOUNT)
    except SoftTimeLimitExceeded:
        return caller.names(account_id)
    return ["was not interrupted"]


@app.task
def long(account_id: str) -> list[str]:
    return caller.names_repeatedly(account_id)


@app.task
def hanging(account_id: str) -> list[str]:
    return caller.hang()


@app.task(time_limit=1)
def killed(account_id: str) -> list[str]:
    return caller.hang()


def answers(accounts: list[str]) -> dict[str, object]:
    """Returns the result of a task for each account."""
    return _answers(names, accounts)


def answers_after_interruption(accounts: list[str]) -> dict[str, object]:
    """Returns the results of tasks that exceed their time limit."""
    return _answers(interrupted, accounts)


def send(name: str, accounts: list[str]) -> dict[str, object]:
    """Enqueues a task for each account; returns the argument for `results`."""
    return {account_id: globals()[name].delay(account_id).id for account_id in accounts}


def results(sent: dict[str, str]) -> dict[str, object]:
    """Returns the available results."""
    found = {account_id: app.AsyncResult(sent_id) for account_id, sent_id in sent.items()}
    return {account_id: result.result for account_id, result in found.items() if result.successful()}


def _answers(task: object, accounts: list[str]) -> dict[str, object]:
    result = group(task.s(account_id) for account_id in accounts).apply_async()
    return dict(zip(accounts, result.get(timeout=60, propagate=False), strict=True))
