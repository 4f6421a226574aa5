"""Keeps a forked child off its parent's event loops and connections, and threads out of the way of forks."""

import os
import socket
import threading
import weakref
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import ParamSpec, Protocol, TypeVar

from pagerduty_alerting._loop import greenlets

P = ParamSpec("P")
T = TypeVar("T")


class ForkAware(Protocol):
    """Something that holds what a child must not share with its parent."""

    def after_fork_in_child(self) -> None:
        """Lets go of all that is the parent's, without touching it."""


_aware: "weakref.WeakSet[ForkAware]" = weakref.WeakSet()


def register(holder: ForkAware) -> None:
    """Has `after_fork_in_child` called in every child that is forked while the holder lives."""
    _aware.add(holder)


def never_finalize(*things: object) -> None:
    """Keeps objects of the parent's from ever being finalized in this process, not even when it exits.

    Their finalizers would reach the parent: a loop that is closed takes its file descriptors out of the epoll set that
    both processes share, and a TLS connection that is closed says goodbye to the server in the parent's name.
    """
    import ctypes  # only a forked child needs it

    for thing in things:
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(thing))


class ThreadPerJob(ThreadPoolExecutor):
    """Ends each thread with its job, for event loops of processes that fork.

    asyncio looks host names up in threads and keeps these for good, and a process that has threads cannot be forked
    safely: Python 3.12 and later warn of it.
    """

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Starts a job. Nothing waits for its end: not the closing of the loop, nor that of the program."""
        future: Future[T] = Future()
        # Patched by gevent or eventlet, it would want to let other greenlets run, of which this thread has none.
        function = greenlets.original("socket", "getaddrinfo") if fn is socket.getaddrinfo else fn

        def work() -> None:
            if future.set_running_or_notify_cancel():
                try:
                    future.set_result(function(*args, **kwargs))
                except BaseException as error:
                    future.set_exception(error)

        greenlets.start_native(work)
        return future


_process = [os.getpid()]
_changing = threading.Lock()


def check() -> None:
    """Does what the hooks of a fork would have done, where there were none: uWSGI forks without running them."""
    if os.getpid() != _process[0]:
        with _changing:
            if os.getpid() != _process[0]:
                _after_fork_in_child()


def _after_fork_in_child() -> None:
    for holder in list(_aware):
        holder.after_fork_in_child()
    _process[0] = os.getpid()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
