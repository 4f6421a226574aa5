"""Native threads for programs that gevent or eventlet has monkey-patched, and greenlets that wait for them.

Greenlets share one thread, and with it asyncio's running loop: while one drives the loop, no other can. In such a
program a native thread drives, with a native selector, and the greenlet waits on a socket, which lets others run.
Everything is looked up when it is needed, because programs are patched before or after the client is imported.

The native thread uses no patched socket. Each would make a hub in that thread, with an epoll descriptor of its own and
a greenlet whose parent is the thread's main greenlet. When such a thread ends while another one collects garbage,
greenlet frees the main greenlet too early (it asks `gc.get_referrers`, which does not see what is being collected), and
the process crashes.
"""

import _socket
import asyncio
import builtins
import contextlib
import functools
import importlib.util
import os
import socket
import sys
import threading
import time
import weakref
from collections.abc import Callable
from types import FunctionType, SimpleNamespace
from typing import Any

_LONGEST_WAIT = 1.0  # seconds; the threads that are waited for need microseconds


def is_patched() -> bool:
    """Whether waiting for a socket lets other greenlets run."""
    modules = sys.modules
    is_possible = "gevent.monkey" in modules or "eventlet.patcher" in modules
    return is_possible and (_gevent() is not None or _eventlet() is not None)


def _gevent() -> Any:
    monkey: Any = sys.modules.get("gevent.monkey")
    return monkey if monkey is not None and monkey.is_module_patched("socket") else None


def _eventlet() -> Any:
    patcher: Any = sys.modules.get("eventlet.patcher")
    return patcher if patcher is not None and patcher.is_monkey_patched("socket") else None


def original(module: str, name: str) -> Any:
    """Returns the value that a name of the standard library had before patching."""
    monkey, patcher = _gevent(), _eventlet()
    if monkey is not None:
        return monkey.get_original(module, name)
    return getattr(sys.modules[module] if patcher is None else patcher.original(module), name)


def new_lock() -> "threading.Lock":
    """Returns a lock for native threads."""
    lock: threading.Lock = original("_thread", "allocate_lock")()
    return lock


def new_event_loop() -> asyncio.AbstractEventLoop:
    """Returns an event loop that waits as native threads do; in a program that is not patched, asyncio's usual one.

    Tests may stop `time.monotonic`, as freezegun does, which would stop its timers: it uses another clock if it can.
    """
    loop: asyncio.AbstractEventLoop
    monkey, patcher = _gevent(), _eventlet()
    if monkey is not None:
        loop = _NativeLoop(monkey.get_original("selectors", "DefaultSelector")())
    elif patcher is not None:
        loop = _NativeLoop(_selectors_on(patcher.original("select")).DefaultSelector())
    else:
        loop = asyncio.new_event_loop()
    if type(loop).time is asyncio.BaseEventLoop.time and hasattr(time, "clock_gettime"):
        # Not by `vars`: Python 3.11 finds attributes of an object whose dict was asked for more slowly, 4 % of a call.
        loop.time = functools.partial(time.clock_gettime, time.CLOCK_MONOTONIC)  # type: ignore[method-assign]
    return loop


class _NativeLoop(asyncio.SelectorEventLoop):
    """An event loop that is woken through native sockets, also in a patched program."""

    if sys.platform != "win32":  # Windows has no native socket pairs
        _asyncios: Any = vars(asyncio.SelectorEventLoop.__mro__[1])["_make_self_pipe"]
        # The same function, with another object as the module `socket`.
        _make_self_pipe = FunctionType(
            _asyncios.__code__,
            {**_asyncios.__globals__, "socket": SimpleNamespace(socketpair=_socket.socketpair)},
            closure=_asyncios.__closure__,
        )


def _selectors_on(select: Any) -> Any:
    """Returns a new module `selectors` that uses this `select`; that of eventlet's `original` uses the patched one."""
    spec = importlib.util.find_spec("selectors")
    if spec is None or spec.loader is None:
        raise ImportError("selectors")
    module: Any = importlib.util.module_from_spec(spec)

    def import_original(name: str, *how: Any) -> Any:
        return select if name == "select" else __import__(name, *how)

    # Only for this module; a change of `sys.modules` would affect other threads.
    module.__builtins__ = {**vars(builtins), "__import__": import_original}
    spec.loader.exec_module(module)
    return module


def in_hub() -> bool:
    """Whether the program is patched and this is the greenlet that runs the others, which must not wait."""
    if _gevent() is not None:
        gevent: Any = sys.modules["gevent"]
        return gevent.getcurrent() is gevent.get_hub()
    if _eventlet() is not None:
        eventlet: Any = sys.modules["eventlet"]
        return eventlet.getcurrent() is eventlet.hubs.get_hub().greenlet
    return False


def native_thread(function: Callable[[], None]) -> tuple[Callable[[], object], Callable[[], object]]:
    """Makes a native thread, which is not joined at program exit.

    Returns:
        A function that starts it, and one that waits, at most a second, until it has released the interpreter's lock
        for the last time. If a host that runs no fork hooks (uWSGI) forks before that, nobody ever releases it in the
        child.
    """
    if not is_patched():
        thread = threading.Thread(target=function, name="pagerduty-alerting-job", daemon=True)
        return thread.start, functools.partial(thread.join, _LONGEST_WAIT)
    of_thread = _thread_local()
    over: Any = new_lock()  # `__exit__` takes any arguments
    over.acquire()

    def work() -> None:
        # The set is destroyed with the thread's state, the last that a thread does with the interpreter. The callback
        # is written in C: between two lines of Python the thread could be suspended. There is no local variable for the
        # set: tracebacks keep frames, and frames their variables.
        of_thread.set = set[None]()
        of_thread.reference = weakref.ref(of_thread.set, over.__exit__)
        function()

    start = functools.partial(original("_thread", "start_new_thread"), work, ())
    return start, functools.partial(over.acquire, True, _LONGEST_WAIT)


@functools.cache
def _thread_local() -> Any:
    """Returns an object with attributes for each native thread; those of a patched one are a greenlet's."""
    return original("_thread", "_local")()


class NativeThread:
    """The part of `threading.Thread` that a greenlet needs to run a function in a native thread."""

    def __init__(self, target: Callable[[], None]) -> None:
        self._target = target
        self._is_over = self._is_joined = False

    def start(self) -> None:
        """Starts the thread."""
        self._reading, writing = socket.socketpair()
        # A bare file descriptor: socket objects belong to the hub of the thread that made them.
        self._writing = writing.detach()
        try:
            start, self._wait = native_thread(self._work)
            start()
        except BaseException:
            os.close(self._writing)
            self._reading.close()
            raise

    def is_alive(self) -> bool:
        """Whether the thread was not joined yet."""
        return not self._is_joined

    def join(self) -> None:
        """Waits for the end of the thread, while other greenlets run."""
        if not self._is_over:
            self._reading.recv(1)
        self._reading.close()
        if not self._is_joined:
            self._is_joined = True
            self._wait()  # a few microseconds

    def _work(self) -> None:
        try:
            self._target()
        finally:
            self._is_over = True
            # Closing alone would not wake the greenlet if a forked child has the other end too.
            with contextlib.suppress(OSError):
                original("os", "write")(self._writing, b"\0")
            os.close(self._writing)
