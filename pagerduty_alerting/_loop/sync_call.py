"""One call of a synchronous caller (a coroutine, the thread that waits for it, its state), and items that it supplies.

The states of a call:

    NEW ──────> WAITING ──────> RUNNING ──────> OVER
     │ admitted    │  its task     │  the task     ^
     │             │  is created   │  is done, or the call was interrupted a second ago
     └─────────────┴───────────────┴───────────────┘
       the runner is closed, or the caller was interrupted
"""

import asyncio
import contextlib
import contextvars
import enum
import threading
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Iterator
from typing import Any, Generic, Self, TypeVar

from attrs import define

T = TypeVar("T")

GRACE = 1.0
"""Seconds that an interrupted call has to end by itself."""


class State(enum.Enum):
    """The state of a call; see the module's docstring."""

    NEW = enum.auto()
    WAITING = enum.auto()
    RUNNING = enum.auto()
    OVER = enum.auto()


# Used in every call; as attributes of the enum they would need one more lookup.
NEW, WAITING, RUNNING, OVER = State


@define(eq=False, repr=False)
class SyncCall(Generic[T]):
    """One coroutine, and the caller that waits for it."""

    begin: Callable[[], Coroutine[Any, Any, T]]  # returns the coroutine
    context: contextvars.Context
    is_step: bool = False  # of a generator, which must start on the loop, so that the loop knows it
    closes: bool = False  # it is the call that closes the runner
    state: State = NEW
    task: asyncio.Task[T] | None = None
    alarm: "threading.Lock | None" = None  # a follower sleeps until another thread releases it
    is_attended: bool = False  # a thread that can drive the loop waits for it
    is_begun: bool = False  # the coroutine belongs to a task
    is_refused: bool = False  # the runner was closed before or during it
    interrupt: BaseException | None = None  # raised instead of the task's outcome, such as KeyboardInterrupt
    interrupted_at: float = 0.0
    timer: asyncio.TimerHandle | None = None  # abandons the task
    on_end: Callable[[asyncio.Task[T]], None] | None = None  # the callback of the task

    def wake(self) -> None:
        """Wakes the follower, or prevents it from sleeping."""
        if self.alarm is not None:
            with contextlib.suppress(RuntimeError):  # it is awake already
                self.alarm.release()

    def mark_over(self, task: asyncio.Task[T] | None) -> None:
        """Marks the call as over; `task` is the task that ended it, if one did."""
        self.state = OVER
        if self.timer is not None:
            self.timer.cancel()
        if task is not None and not task.cancelled():
            task.exception()  # otherwise asyncio logs the unretrieved exception of an interrupted call

    def has_raised(self, error: BaseException) -> bool:
        """Whether the task has ended with this exception."""
        task = self.task
        return task is not None and task.done() and not task.cancelled() and task.exception() is error

    def keep(self, error: BaseException) -> bool:
        """Keeps an exception until the call's end; an earlier one becomes its context.

        Returns False if the call has not ended a second after its cancellation, so that only raising can end it.
        """
        former, now = self.interrupt, time.monotonic()
        if former is None:
            self.interrupted_at = now
        elif now - self.interrupted_at > GRACE and self.state is not OVER:
            return False
        self.interrupt = _chained(error, former)
        return True


def _chained(error: BaseException, former: BaseException | None) -> BaseException:
    """Returns an exception with a former one at the end of its chain of contexts, as if that had been handled."""
    shown = error
    while shown.__context__ is not None and shown.__context__ is not former:
        shown = shown.__context__
    if former is not None and former is not error and shown is not former:
        shown.__context__ = former
    return error


class CallersItems(AsyncIterator[T]):
    """Items of an iterable that the caller's thread reads between two steps of a generator, outside of the event loop.

    The iterable may be code that must not run inside of one: Django refuses its database there, or would query it on
    another connection. The generator yields this object itself whenever it needs the next item.
    """

    def __init__(self, items: Iterable[T]) -> None:
        self._items = items
        self._iterator: Iterator[T] | None = None
        self._outcome: tuple[T] | Exception | None = None  # one item, or what ended the iterable

    def read(self) -> None:
        """Reads the next item, in the caller's thread."""
        try:
            if self._iterator is None:
                self._iterator = iter(self._items)
            self._outcome = (next(self._iterator),)
        except StopIteration:
            self._outcome = StopAsyncIteration()
        except Exception as error:
            self._outcome = error

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> T:
        outcome, self._outcome = self._outcome, None
        if isinstance(outcome, tuple):
            return outcome[0]
        raise StopAsyncIteration if outcome is None else outcome


# Reading these runs no code of the caller's, and would take a step of the runner for each item. A str is refused.
_BUILT_IN = frozenset({dict, frozenset, list, set, str, bytes, tuple})


def callers_items(items: Iterable[T]) -> CallersItems[T] | Iterable[T]:
    """Returns an iterable whose items are read in the caller's thread, if it may run code; otherwise the given one."""
    is_iterable = hasattr(items, "__iter__")  # otherwise the generator refuses it
    return CallersItems(items) if is_iterable and type(items) not in _BUILT_IN else items
