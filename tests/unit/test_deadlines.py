"""Deadlines: the semantics of asyncio.timeout_at, with one timer for all."""

import asyncio
from typing import Any

import pytest

from pagerduty_alerting._loop.deadlines import Deadlines, Expired


def now() -> float:
    return asyncio.get_running_loop().time()


class ScheduledTimers:
    """Records the timers that are scheduled on the running loop."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.scheduled: list[float] = []
        loop = asyncio.get_running_loop()
        call_at = loop.call_at

        def counting(when: float, *arguments: Any, **options: Any) -> asyncio.TimerHandle:
            self.scheduled.append(when)
            return call_at(when, *arguments, **options)

        monkeypatch.setattr(loop, "call_at", counting)


async def test_a_body_that_ends_in_time_is_not_disturbed() -> None:
    with Deadlines().limit(now() + 60):
        await asyncio.sleep(0)


async def test_a_body_that_waits_beyond_its_deadline_expires() -> None:
    with pytest.raises(Expired), Deadlines().limit(now()):
        await asyncio.Event().wait()


async def test_the_task_is_not_cancelled_after_a_timeout() -> None:
    task = asyncio.current_task()
    assert task is not None

    with pytest.raises(Expired), Deadlines().limit(now()):
        await asyncio.Event().wait()

    assert task.cancelling() == 0
    await asyncio.sleep(0)


async def test_a_cancellation_from_outside_does_not_become_a_timeout() -> None:
    entered = asyncio.Event()

    async def body() -> None:
        with Deadlines().limit(now() + 60):
            entered.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(body())
    await entered.wait()
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_cancellation_from_outside_has_priority_over_a_deadline_at_the_same_moment() -> None:
    entered = asyncio.Event()
    deadlines = Deadlines()

    async def body() -> None:
        limit = deadlines.limit(now() + 60)
        with limit:
            entered.set()
            asyncio.get_running_loop().call_soon(limit.expire)
            await asyncio.Event().wait()

    task = asyncio.create_task(body())
    await entered.wait()
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task


async def test_an_exception_of_the_body_is_raised_unchanged() -> None:
    with pytest.raises(LookupError), Deadlines().limit(now() + 60):
        raise LookupError


async def test_a_hundred_consecutive_calls_need_one_timer(monkeypatch: pytest.MonkeyPatch) -> None:
    deadlines = Deadlines()
    timers = ScheduledTimers(monkeypatch)

    for _ in range(100):
        with deadlines.limit(now() + 60):
            pass

    assert len(timers.scheduled) == 1


async def test_an_earlier_deadline_reschedules_the_timer(monkeypatch: pytest.MonkeyPatch) -> None:
    deadlines = Deadlines()
    timers = ScheduledTimers(monkeypatch)

    with deadlines.limit(now() + 60), pytest.raises(Expired), deadlines.limit(now()):
        await asyncio.Event().wait()

    assert len(timers.scheduled) == 3  # the later, the earlier, and the later again


async def test_calls_at_the_same_time_end_at_their_own_deadlines() -> None:
    deadlines = Deadlines()
    outcomes: list[str] = []
    released = asyncio.Event()

    async def body(name: str, when: float) -> None:
        try:
            with deadlines.limit(when):
                await released.wait()
            outcomes.append(f"{name} done")
        except Expired:
            outcomes.append(f"{name} timed out")
            released.set()

    await asyncio.gather(body("late", now() + 60), body("early", now()))

    assert outcomes == ["early timed out", "late done"]


def test_a_timer_of_a_closed_loop_does_not_affect_another_loop() -> None:
    deadlines = Deadlines()

    async def time_out() -> None:
        with pytest.raises(Expired), deadlines.limit(now()):
            await asyncio.Event().wait()

    async def leave_a_timer() -> None:
        with deadlines.limit(now() + 0.5):
            pass

    asyncio.run(leave_a_timer())
    asyncio.run(time_out())
