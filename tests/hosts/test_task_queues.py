"""Task queues whose workers use one module-level `Client`, with Redis as the broker.

To add one, add an entry to `QUEUES` and a module to `programs/` with the same functions as the others.
"""

import contextlib
import json
import os
import select
import shlex
import signal
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from attrs import frozen

from tests.hosts.harness import CALLS, PATIENCE, account_ids, answers_of, check, needs, running


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

# Celery's message about tasks that it had fetched but not started when it was stopped.
REQUEUED = r"^\[[^\n]*Requeuing undeliverable message[^\n]*\n"

QUEUES = {
    "celery prefork": Queue(
        ("celery", "redis"),
        "celery_tasks",
        f"{CELERY} 4 --pool prefork",
        usual_stderr=rf"^\[[^\n]*Soft time limit \(1s\) exceeded[^\n]*\n|{REQUEUED}",
    ),
    "celery threads": Queue(
        ("celery", "redis"), "celery_tasks", f"{CELERY} 16 --pool threads", interrupts=False, usual_stderr=REQUEUED
    ),
    "celery gevent": Queue(
        ("celery", "gevent", "redis"),
        "celery_tasks",
        f"{CELERY} 16 --pool gevent",
        interrupts=False,
        usual_stderr=REQUEUED,
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


# Workers that are stopped during a task.


@contextlib.contextmanager
def beginnings(directory: Path) -> Iterator[tuple[str, Callable[[], None]]]:
    """Yields the path of a pipe to which tasks write when they begin, and a function that waits for that."""
    path = directory / "begun"
    os.mkfifo(path)
    pipe = os.open(path, os.O_RDWR)  # so that writers do not wait for a reader

    def wait() -> None:
        assert select.select([pipe], [], [], PATIENCE)[0], "no task has begun"
        os.read(pipe, 1)

    yield str(path), wait
    os.close(pipe)


def submit(queue: Queue, *arguments: str, environ: Mapping[str, str], directory: Path) -> Any:
    """Enqueues tasks with a queue's module, or returns their results."""
    return answers_of("submit", queue.module, *arguments, environ=environ, directory=directory)


@pytest.mark.parametrize("queue", [pytest.param(it, id=name, marks=needs(*it.needs)) for name, it in QUEUES.items()])
def test_a_worker_that_is_stopped_completes_its_tasks_with_their_own_results(
    queue: Queue, api: Mapping[str, str], redis_url: str, tmp_path: Path
) -> None:
    with beginnings(tmp_path) as (begun, wait_for_a_task):
        environ = {**api, "HOSTS_REDIS": redis_url, "HOSTS_BEGUN": begun}
        sent = submit(queue, "send", "long", "64", environ=environ, directory=tmp_path / "send")
        with running(worker(queue, redis_url), {**environ, **QUIET}, tmp_path / "worker") as process:
            wait_for_a_task()
            assert process.stop(signal.SIGTERM, queue.usual_stderr) == (0, "")
        results = submit(queue, "results", json.dumps(sent), environ=environ, directory=tmp_path / "results")
    assert 1 <= len(results) <= 64
    check(results, list(results))


@pytest.mark.parametrize("queue", [pytest.param(it, id=name, marks=needs(*it.needs)) for name, it in QUEUES.items()])
def test_a_worker_that_is_interrupted_repeatedly_ends(
    queue: Queue, api: Mapping[str, str], redis_url: str, tmp_path: Path
) -> None:
    """Its tasks wait for a response that never arrives."""
    with beginnings(tmp_path) as (begun, wait_for_a_task):
        environ = {**api, "HOSTS_REDIS": redis_url, "HOSTS_BEGUN": begun}
        sent = submit(queue, "send", "hanging", "4", environ=environ, directory=tmp_path / "send")
        with running(worker(queue, redis_url), {**environ, **QUIET}, tmp_path / "worker") as process:
            wait_for_a_task()
            ended = process.interrupt_until_it_ends(signal.SIGINT)
            assert "pagerduty_alerting" not in ended.stderr  # whatever the host itself writes
        assert submit(queue, "results", json.dumps(sent), environ=environ, directory=tmp_path / "results") == {}


@needs("celery", "redis")
def test_a_worker_continues_after_celery_killed_a_process_during_a_call(
    api: Mapping[str, str], redis_url: str, tmp_path: Path
) -> None:
    queue = QUEUES["celery prefork"]
    with beginnings(tmp_path) as (begun, wait_for_a_task):
        environ = {**api, "HOSTS_REDIS": redis_url, "HOSTS_BEGUN": begun}
        sent = submit(queue, "send", "killed", "4", environ=environ, directory=tmp_path / "send")
        with running(worker(queue, redis_url), {**environ, **QUIET}, tmp_path / "worker") as process:
            wait_for_a_task()
            check(submit(queue, "answers", "40", environ=environ, directory=tmp_path / "answers"), account_ids(40))
            ended = process.stop(signal.SIGTERM)
        results = submit(queue, "results", json.dumps(sent), environ=environ, directory=tmp_path / "results")
    assert (ended.status, results) == (0, {})
    assert ended.stderr.count("Hard time limit (1s) exceeded") == 4
    assert "pagerduty_alerting" not in ended.stderr
