"""RQ jobs, and the functions that enqueue them. The worker forks a child for each job, which makes several calls."""

import os

import caller
from redis import Redis
from rq import Queue
from rq.job import Job
from rq.timeouts import JobTimeoutException

CALLS_PER_JOB = 32  # jobs run one after the other, each in a fork of its own: on a busy machine a second each


def names_of_all(accounts: list[str]) -> list[list[str]]:
    return [caller.names(account_id) for account_id in accounts]


def interrupted(accounts: list[str]) -> list[list[str]]:
    """Waits for a response that never arrives until RQ interrupts it, then makes another call."""
    try:
        caller.names(caller.HANGING_ACCOUNT)
    except JobTimeoutException:
        return names_of_all(accounts)
    return [["was not interrupted"] for _ in accounts]


def long(account_id: str) -> list[str]:
    return caller.names_repeatedly(account_id)


def hanging(account_id: str) -> list[str]:
    return caller.hang()


def answers(accounts: list[str]) -> dict[str, object]:
    """Returns the result of a job for each account."""
    return _answers(names_of_all, accounts, job_timeout=60)


def answers_after_interruption(accounts: list[str]) -> dict[str, object]:
    """Returns the results of jobs that exceed their time limit."""
    return _answers(interrupted, accounts, job_timeout=1)


def send(name: str, accounts: list[str]) -> dict[str, object]:
    """Enqueues a job for each account; returns the argument for `results`."""
    with Redis.from_url(os.environ["HOSTS_REDIS"]) as redis:
        queue = Queue(connection=redis)
        return {account_id: queue.enqueue(globals()[name], account_id).id for account_id in accounts}


def results(sent: dict[str, str]) -> dict[str, object]:
    """Returns the available results."""
    with Redis.from_url(os.environ["HOSTS_REDIS"]) as redis:
        found = {account_id: Job.fetch(sent_id, redis).latest_result() for account_id, sent_id in sent.items()}
    return {account_id: result.return_value for account_id, result in found.items() if result and result.return_value}


def _answers(function: object, accounts: list[str], job_timeout: int) -> dict[str, object]:
    batches = [accounts[start : start + CALLS_PER_JOB] for start in range(0, len(accounts), CALLS_PER_JOB)]
    with Redis.from_url(os.environ["HOSTS_REDIS"]) as redis:
        queue = Queue(connection=redis)
        jobs = [queue.enqueue(function, batch, job_timeout=job_timeout) for batch in batches]
        found: dict[str, object] = {}
        for job, batch in zip(jobs, batches, strict=True):
            result = job.latest_result(timeout=30)
            failed = "no result" if result is None else str(result.exc_string)
            found.update(zip(batch, (result and result.return_value) or [failed] * len(batch), strict=True))
        return found
