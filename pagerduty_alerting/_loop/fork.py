"""Separates a forked child from its parent's event loops and connections, and ends threads that hinder forks."""

import contextlib
import os
import socket
import threading
import weakref
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import ParamSpec, Protocol, TypeVar

from pagerduty_alerting._loop import greenlets

P = ParamSpec("P")
T = TypeVar("T")


class ForkAware(Protocol):
    """An object with resources that a child must not share with its parent."""

    def after_fork_in_child(self) -> None:
        """Drops references to the parent's resources without changing them."""


_aware: "weakref.WeakSet[ForkAware]" = weakref.WeakSet()


def register(holder: ForkAware) -> None:
    """Calls `after_fork_in_child` in every child that is forked while the holder exists."""
    _aware.add(holder)


def never_finalize(*things: object) -> None:
    """Prevents objects of the parent from being finalized in this process, even at exit.

    Their finalizers would affect the parent: closing a loop removes file descriptors from the epoll set that both
    processes share, and closing a TLS connection sends a close message on the parent's connection.
    """
    import ctypes  # needed in forked children only

    for thing in things:
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(thing))


class ThreadPerJob(ThreadPoolExecutor):
    """An executor that ends each thread with its job, for event loops of processes that fork.

    asyncio resolves host names in threads that it keeps, and a process with threads cannot be forked safely; Python
    3.12 and later warn about it.
    """

    def __init__(self) -> None:
        """Creates no queue of jobs, which in a program patched by gevent would create a hub in this thread."""
        self._ending: deque[Callable[[], object]] = deque()  # functions that wait for threads whose job is done

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Starts a job. Neither closing the loop nor the exit of the program waits for it."""
        future: Future[T] = Future()
        # The version patched by gevent or eventlet would switch to other greenlets, of which this thread has none.
        function = greenlets.original("socket", "getaddrinfo") if fn is socket.getaddrinfo else fn

        def work() -> None:
            if future.set_running_or_notify_cancel():
                try:
                    future.set_result(function(*args, **kwargs))
                except BaseException as error:
                    future.set_exception(error)

        start, wait = greenlets.native_thread(work)
        try:
            start()
        except RuntimeError:  # exit handlers can start no thread since Python 3.12
            work()
        else:
            future.add_done_callback(lambda _: self._ending.append(wait))
        return future

    def wait_for_ended_jobs(self) -> None:
        """Waits until the threads of jobs that are done have ended, which takes microseconds."""
        while self._ending:
            with contextlib.suppress(IndexError):  # another thread was faster
                self._ending.popleft()()

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Does nothing: every thread ends by itself."""


_process = [os.getpid()]
_changing = threading.Lock()


def check() -> None:
    """Runs the fork hooks if they have not run in this process: uWSGI forks without running them."""
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
