"""Task queues whose workers use one module-level `Client`, with Redis for a broker.

A new one is an entry of `QUEUES`, and a module in `programs/` that has the functions of the others.
"""

import shlex
import signal
from collections.abc import Mapping
from pathlib import Path

import pytest
from attrs import frozen

from tests.hosts.harness import CALLS, account_ids, answers_of, check, needs, running


@frozen
class Queue:
    """How a worker is started.

    Attributes:
        needs: The modules and programs without which it cannot run.
        module: The module with its tasks.
        command: Its command, with the URL of Redis for {redis}.
        interrupts: Whether it interrupts a task that takes too long.
        chatter: What it always writes to standard error, as a regular expression.
    """

    needs: tuple[str, ...]
    module: str
    command: str
    interrupts: bool = True
    chatter: str = ""


CELERY = "celery --quiet --app celery_tasks worker --loglevel WARNING --concurrency"
# The module of the jobs is imported before the worker forks.
RQ = "python -c 'import rq_jobs, rq.cli; rq.cli.main()' worker --url {redis} --quiet"
DRAMATIQ = "dramatiq dramatiq_actors --processes 2 --threads 8"

QUEUES = {
    "celery prefork": Queue(
        ("celery", "redis"),
        "celery_tasks",
        f"{CELERY} 4 --pool prefork",
        chatter=r"^\[[^\n]*Soft time limit \(1s\) exceeded[^\n]*\n",
    ),
    "celery threads": Queue(("celery", "redis"), "celery_tasks", f"{CELERY} 16 --pool threads", interrupts=False),
    "celery gevent": Queue(
        ("celery", "gevent", "redis"), "celery_tasks", f"{CELERY} 16 --pool gevent", interrupts=False
    ),
    "rq": Queue(("rq",), "rq_jobs", RQ),
    "dramatiq": Queue(
        ("dramatiq", "redis"),
        "dramatiq_actors",
        DRAMATIQ,
        chatter=r"^\[[^\n]*(\[INFO\]|\[WARNING\] Time limit exceeded)[^\n]*\n",
    ),
}

# Celery remarks that it runs as root.
QUIET = {"PYTHONWARNINGS": "ignore:You're running the worker"}

INTERRUPTED = 8  # calls that exceed a time limit of a second


def worker(queue: Queue, redis_url: str) -> list[str]:
    """Returns the command that starts a worker."""
    return shlex.split(queue.command.format(redis=redis_url))


@pytest.mark.parametrize("queue", [pytest.param(it, id=name, marks=needs(*it.needs)) for name, it in QUEUES.items()])
def test_every_answer_is_that_of_its_account_and_the_worker_stops_without_a_word(
    queue: Queue, api: Mapping[str, str], redis_url: str, tmp_path: Path
) -> None:
    environ = {**api, "HOSTS_REDIS": redis_url}

    def answers(function: str, calls: int) -> Mapping[str, object]:
        return answers_of("submit", queue.module, function, str(calls), environ=environ, directory=tmp_path / function)

    with running(worker(queue, redis_url), {**environ, **QUIET}, tmp_path / "worker") as process:
        check(answers("answers", CALLS), account_ids(CALLS))
        if queue.interrupts:
            check(answers("answers_after_interruption", INTERRUPTED), account_ids(INTERRUPTED))
        assert process.stop(signal.SIGTERM, queue.chatter) == (0, "")
