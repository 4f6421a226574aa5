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


def answers(accounts: list[str]) -> dict[str, object]:
    """Returns the result of a task for each account."""
    return _answers(names, accounts)


def answers_after_interruption(accounts: list[str]) -> dict[str, object]:
    """Returns the results of tasks that exceed their time limit."""
    return _answers(interrupted, accounts)


def _answers(task: object, accounts: list[str]) -> dict[str, object]:
    result = group(task.s(account_id) for account_id in accounts).apply_async()
    return dict(zip(accounts, result.get(timeout=60, propagate=False), strict=True))
