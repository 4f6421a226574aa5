"""Defers exceptions of signal handlers until the end of code that they must not interrupt."""

import asyncio
import signal
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any, ParamSpec

P = ParamSpec("P")

Handler = Callable[[int, FrameType | None], Any]
Keep = Callable[[BaseException], bool]

# The C functions below `signal`, whose wrappers try to make enum members of handlers: before Python 3.13 that alone is
# four per cent of a call.
_signal: Any = getattr(signal, "_signal", signal)
_get_handler: Callable[[int], Any] = _signal.getsignal

_NUMBERS = sorted(signal.valid_signals() - {getattr(signal, name, None) for name in ("SIGKILL", "SIGSTOP")})

# asyncio's own: it does nothing, and setting it again would take SA_RESTART from it.
_NOOP = getattr(getattr(asyncio, "unix_events", None), "_sighandler_noop", None)


class _Deferring:
    """Replaces a signal handler while deferred work runs."""

    __slots__ = ("_keep", "handler", "is_over")

    def __init__(self, handler: Handler, keep: Keep) -> None:
        self.handler = handler
        self.is_over = False  # the work has ended: exceptions are no longer deferred
        self._keep = keep

    def __call__(self, number: int, frame: FrameType | None) -> None:
        try:
            self.handler(number, frame)
        except BaseException as error:
            traceback = error.__traceback__
            if self.is_over or not self._keep(error.with_traceback(traceback and traceback.tb_next)):
                raise


def defer(keep: Keep, work: Callable[P, None], *args: P.args, **kwargs: P.kwargs) -> None:
    """Runs work in the main thread, and passes exceptions of signal handlers to `keep` meanwhile.

    Args:
        keep: Takes an exception, with the handler's frames in its traceback, and returns True; or returns False, and
            the exception is raised where the signal arrived.
        work: The function to run.
        args: Its positional arguments.
        kwargs: Its keyword arguments.
    """
    replaced: list[tuple[int, Handler, _Deferring]] = []
    try:
        try:
            _replace(keep, replaced)
            work(*args, **kwargs)
        finally:
            _restore(replaced)
    except BaseException:  # perhaps of a handler that has just been restored
        _restore(replaced)
        raise


def restore_after_fork() -> None:
    """Puts the handlers back in a forked child, which does not have the thread that would do so."""
    for number, handler in zip(_NUMBERS, map(_get_handler, _NUMBERS), strict=True):
        if isinstance(handler, _Deferring):
            _signal.signal(number, handler.handler)


_last_time: dict[str, list[Any]] = {"looked at": [], "found": []}


def _python_handlers() -> list[tuple[int, Handler]]:
    """Returns the signals that have a handler which may raise; in few steps if they are those of the last time."""
    handlers = list(map(_get_handler, _NUMBERS))
    if handlers == _last_time["looked at"]:
        return _last_time["found"]
    # uWSGI handles SIGINT below Python, which does not know. Setting Python's default would replace that handler, by
    # which a worker stops.
    below_python = signal.default_int_handler if "uwsgi" in sys.modules else None
    pairs = zip(_NUMBERS, handlers, strict=True)
    found: list[tuple[int, Handler]] = [
        (number, handler)
        for number, handler in pairs
        if callable(handler) and handler is not _NOOP and handler is not below_python
    ]
    if not any(isinstance(handler, _Deferring) for handler in handlers):
        _last_time.update({"looked at": handlers, "found": found})
    return found


def _replace(keep: Keep, replaced: list[tuple[int, Handler, _Deferring]]) -> None:
    for number, handler in _python_handlers():
        # Inside a handler that itself makes a call, there are those of the call that it struck. One that an exception
        # has kept from being taken down is done with.
        original = handler.handler if isinstance(handler, _Deferring) else handler
        former = original if isinstance(handler, _Deferring) and handler.is_over else handler
        deferring = _Deferring(original, keep)
        replaced.append((number, former, deferring))
        try:
            _signal.signal(number, deferring)
        except ValueError:  # the main thread of a subinterpreter, which gets no signals
            return


def _restore(replaced: list[tuple[int, Handler, _Deferring]]) -> None:
    for _, _, deferring in replaced:
        deferring.is_over = True
    for number, former, deferring in replaced:
        if _get_handler(number) is deferring:  # a hook of the caller's may have set another
            _signal.signal(number, former)
