"""Makes calls in APScheduler's jobs: in the background and on an event loop, in threads and in processes."""

import asyncio
import itertools
import threading

import caller
from apscheduler.events import EVENT_JOB_ERROR, EVENT_JOB_EXECUTED, EVENT_JOB_MISSED, JobExecutionEvent
from apscheduler.executors.pool import ProcessPoolExecutor, ThreadPoolExecutor
from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.schedulers.base import BaseScheduler

EXECUTORS = {"default": ThreadPoolExecutor(16), "processes": ProcessPoolExecutor(2)}


class Answers:
    """Collects the results of jobs; `are_complete` is set when all have ended."""

    def __init__(self, expected: int) -> None:
        self.found: dict[str, object] = {}
        self.are_complete = threading.Event()
        self._expected = expected

    def take(self, event: JobExecutionEvent) -> None:
        self.found[event.job_id] = repr(event.exception) if event.exception else event.retval
        if len(self.found) == self._expected:
            self.are_complete.set()


def schedule(scheduler: BaseScheduler, accounts: list[str], *executors: str) -> Answers:
    """Adds a job for each account, to each executor in turn."""
    answers = Answers(len(accounts))
    scheduler.add_listener(answers.take, EVENT_JOB_EXECUTED | EVENT_JOB_ERROR | EVENT_JOB_MISSED)
    for account_id, executor in zip(accounts, itertools.cycle(executors), strict=False):
        scheduler.add_job(caller.names, args=[account_id], id=account_id, executor=executor, misfire_grace_time=None)
    scheduler.start()
    return answers


def in_the_background(accounts: list[str]) -> dict[str, object]:
    scheduler = BackgroundScheduler(executors=EXECUTORS)
    answers = schedule(scheduler, accounts, "default", "processes")
    answers.are_complete.wait(30)
    scheduler.shutdown()
    return answers.found


async def on_a_loop(accounts: list[str]) -> dict[str, object]:
    scheduler = AsyncIOScheduler()
    answers = schedule(scheduler, accounts, "default")
    await asyncio.to_thread(answers.are_complete.wait, 30)
    scheduler.shutdown()
    return answers.found


if __name__ == "__main__":
    half = caller.CALLS // 2
    accounts = caller.account_ids()
    caller.report(in_the_background(accounts[:half]) | asyncio.run(on_a_loop(accounts[half:])))
