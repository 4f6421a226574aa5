"""Defers exceptions of signal handlers until the end of code that they must not interrupt."""

import asyncio
import signal
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any, TypeVar

A = TypeVar("A")

Handler = Callable[[int, FrameType | None], Any]
Keep = Callable[[A, BaseException], bool]

# The C functions below `signal`, whose wrappers try to make enum members of handlers: before Python 3.13 that alone is
# four per cent of a call.
_signal: Any = getattr(signal, "_signal", signal)
_get_handler: Callable[[int], Any] = _signal.getsignal

_NUMBERS = sorted(signal.valid_signals() - {getattr(signal, name, None) for name in ("SIGKILL", "SIGSTOP")})

# The handler that asyncio sets. It does nothing, and setting it again would remove its flag SA_RESTART.
_NOOP = getattr(getattr(asyncio, "unix_events", None), "_sighandler_noop", None)


class _Deferring:
    """Replaces a signal handler while deferred work runs."""

    __slots__ = ("_keep", "_subject", "handler", "is_over")

    def __init__(self, handler: Handler, keep: Keep[Any], subject: Any) -> None:
        self.handler = handler
        self.is_over = False  # the work has ended: exceptions are no longer deferred
        self._keep = keep
        self._subject = subject

    def __call__(self, number: int, frame: FrameType | None) -> None:
        try:
            self.handler(number, frame)
        except BaseException as error:
            traceback = error.__traceback__
            if self.is_over or not self._keep(self._subject, error.with_traceback(traceback and traceback.tb_next)):
                raise


_Replaced = list[tuple[int, Handler, _Deferring]]


def defer(keep: Keep[A], work: Callable[[A, int], None], subject: A, thread: int) -> None:
    """Runs `work(subject, thread)` in the main thread, and passes exceptions of signal handlers to `keep` meanwhile.

    `keep` takes the subject and an exception, with the handler's frames in its traceback, and returns True; if it
    returns False, the exception is raised where the signal arrived.
    """
    replaced: _Replaced = []
    try:
        try:
            _replace(keep, subject, replaced)
            work(subject, thread)
        finally:
            _restore(replaced)
    except BaseException:  # perhaps of a handler that has just been restored
        _restore(replaced)
        raise


def restore_after_fork() -> None:
    """Restores the handlers in a forked child, where the thread that would do it does not exist."""
    for number, handler in zip(_NUMBERS, map(_get_handler, _NUMBERS), strict=True):
        if isinstance(handler, _Deferring):
            _signal.signal(number, handler.handler)


# The handlers of all signals at the last call, and those of them that may raise. Replaced in one step, because a signal
# handler may make a call in between.
_known: list[tuple[list[Any], list[tuple[int, Handler]]]] = [([], [])]


def _python_handlers() -> list[tuple[int, Handler]]:
    """Returns the signals with a handler that may raise; quickly if no handler has changed since the last call."""
    handlers = list(map(_get_handler, _NUMBERS))
    known, may_raise = _known[0]
    if handlers == known:
        return may_raise
    # uWSGI handles SIGINT in C, and `getsignal` still returns Python's default. Setting that would replace uWSGI's
    # handler, which stops the worker.
    shown_for_uwsgi = signal.default_int_handler if "uwsgi" in sys.modules else None
    found: list[tuple[int, Handler]] = [
        (number, handler)
        for number, handler in zip(_NUMBERS, handlers, strict=True)
        if callable(handler) and handler is not _NOOP and handler is not shown_for_uwsgi
    ]
    if not any(isinstance(handler, _Deferring) for _, handler in found):  # one keeps its call in memory
        _known[0] = handlers, found
    return found


def _replace(keep: Keep[A], subject: A, replaced: _Replaced) -> None:
    for number, handler in _python_handlers():
        original = former = handler
        if isinstance(handler, _Deferring):
            # A signal handler makes a call during another call; or an exception prevented the removal of this one,
            # which is over and is not restored.
            original = handler.handler
            former = original if handler.is_over else handler
        deferring = _Deferring(original, keep, subject)
        replaced.append((number, former, deferring))
        try:
            _signal.signal(number, deferring)
        except ValueError:  # the main thread of a subinterpreter, which gets no signals
            return


def _restore(replaced: _Replaced) -> None:
    for _, _, deferring in replaced:
        deferring.is_over = True
    for number, former, deferring in replaced:
        if _get_handler(number) is deferring:  # the caller's code may have set another one
            _signal.signal(number, former)
