"""One call of a synchronous caller: a coroutine, the thread that waits for it, and how far it has come.

The states of a call:

    NEW ──────> WAITING ──────> RUNNING ──────> OVER
     │ admitted    │  its task     │  the task     ^
     │             │  is made      │  is done, or the call was interrupted a second ago
     └─────────────┴───────────────┴───────────────┘
       the runner is closed, or the caller was interrupted
"""

import asyncio
import contextlib
import contextvars
import enum
import threading
import time
from collections.abc import Callable, Coroutine
from typing import Any, Generic, TypeVar

from attrs import define

T = TypeVar("T")

GRACE = 1.0
"""Seconds that an interrupted call has to end by itself."""


class State(enum.Enum):
    """How far a call has come; the module's docstring draws it."""

    NEW = enum.auto()
    WAITING = enum.auto()
    RUNNING = enum.auto()
    OVER = enum.auto()


# Looked up for every call, where the members of an enum class would take a look-up more.
NEW, WAITING, RUNNING, OVER = State


@define(eq=False, repr=False)
class SyncCall(Generic[T]):
    """One coroutine, and the caller who waits for it."""

    begin: Callable[[], Coroutine[Any, Any, T]]  # gives the coroutine
    context: contextvars.Context
    is_step: bool = False  # of a generator, which has to begin on the loop for the loop to know of it
    closes: bool = False  # it is the runner's own last call
    state: State = NEW
    task: asyncio.Task[T] | None = None
    alarm: "threading.Lock | None" = None  # a follower sleeps until another thread releases it
    is_attended: bool = False  # a thread waits for it, which can drive the loop
    is_begun: bool = False  # the coroutine belongs to a task
    is_refused: bool = False  # the runner was closed before it or under it
    interrupt: BaseException | None = None  # what to raise instead of the task's outcome, such as KeyboardInterrupt
    interrupted_at: float = 0.0
    timer: asyncio.TimerHandle | None = None  # gives the task up
    on_end: Callable[[asyncio.Task[T]], None] | None = None  # the task's callback

    def wake(self) -> None:
        """Wakes the follower, or keeps it from falling asleep."""
        if self.alarm is not None:
            with contextlib.suppress(RuntimeError):  # it is awake already
                self.alarm.release()

    def mark_over(self, task: asyncio.Task[T] | None) -> None:
        """Marks the call as over, perhaps with the task that ended it."""
        self.state = OVER
        if self.timer is not None:
            self.timer.cancel()
        if task is not None and not task.cancelled():
            task.exception()  # asyncio logs one that is not retrieved, as that of an interrupted call

    def has_raised(self, error: BaseException) -> bool:
        """Whether the task has ended with this exception."""
        task = self.task
        return task is not None and task.done() and not task.cancelled() and task.exception() is error

    def keep(self, error: BaseException) -> bool:
        """Keeps an exception for the call's end, in front of an earlier one.

        Returns:
            False if the call was to end a second ago and did not: something blocks, and only raising can end it.
        """
        former, now = self.interrupt, time.monotonic()
        if former is None:
            self.interrupted_at = now
        elif now - self.interrupted_at > GRACE and self.state is not OVER:
            return False
        self.interrupt = _chained(error, former)
        return True


def _chained(error: BaseException, former: BaseException | None) -> BaseException:
    """Returns an exception with one that it replaces as its context, as if that had been handled."""
    shown = error
    while shown.__context__ is not None and shown.__context__ is not former:
        shown = shown.__context__
    if former is not None and former is not error and shown is not former:
        shown.__context__ = former
    return error
