"""Task queues whose workers use one module-level `Client`, with Redis as the broker.

To add one, add an entry to `QUEUES` and a module to `programs/` with the same functions as the others.
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
        command: Its command; {redis} stands for the URL of Redis.
        interrupts: Whether it interrupts a task that exceeds its time limit.
        usual_stderr: Regular expression for what it always writes to standard error.
    """

    needs: tuple[str, ...]
    module: str
    command: str
    interrupts: bool = True
    usual_stderr: str = ""


CELERY = "celery --quiet --app celery_tasks worker --loglevel WARNING --concurrency"
# Imports the module of the jobs before the worker forks.
RQ = "python -c 'import rq_jobs, rq.cli; rq.cli.main()' worker --url {redis} --quiet"
DRAMATIQ = "dramatiq dramatiq_actors --processes 2 --threads 8"

QUEUES = {
    "celery prefork": Queue(
        ("celery", "redis"),
        "celery_tasks",
        f"{CELERY} 4 --pool prefork",
        usual_stderr=r"^\[[^\n]*Soft time limit \(1s\) exceeded[^\n]*\n",
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
        usual_stderr=r"^\[[^\n]*(\[INFO\]|\[WARNING\] Time limit exceeded)[^\n]*\n",
    ),
}

# Celery warns that it runs as root.
QUIET = {"PYTHONWARNINGS": "ignore:You're running the worker"}

INTERRUPTED = 8  # calls that exceed the time limit of one second


def worker(queue: Queue, redis_url: str) -> list[str]:
    """Returns the command that starts a worker."""
    return shlex.split(queue.command.format(redis=redis_url))


@pytest.mark.parametrize("queue", [pytest.param(it, id=name, marks=needs(*it.needs)) for name, it in QUEUES.items()])
def test_every_call_returns_the_services_of_its_account_and_the_worker_stops_without_messages(
    queue: Queue, api: Mapping[str, str], redis_url: str, tmp_path: Path
) -> None:
    environ = {**api, "HOSTS_REDIS": redis_url}

    def answers(function: str, calls: int) -> Mapping[str, object]:
        return answers_of("submit", queue.module, function, str(calls), environ=environ, directory=tmp_path / function)

    with running(worker(queue, redis_url), {**environ, **QUIET}, tmp_path / "worker") as process:
        check(answers("answers", CALLS), account_ids(CALLS))
        if queue.interrupts:
            check(answers("answers_after_interruption", INTERRUPTED), account_ids(INTERRUPTED))
        assert process.stop(signal.SIGTERM, queue.usual_stderr) == (0, "")
