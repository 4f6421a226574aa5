"""Calls with interruptions at random moments: none blocks, none is lost, and the client stays usable.

    python tests/runner/storm.py KIND COUNT SEED THREADS

KIND is "signal" (a handler that raises), "ctrl-c" (Python's handler), or "asynchronous" (`PyThreadState_SetAsyncExc`,
whose delivery CPython does not guarantee). COUNT interruptions occur in calls of the main thread, while THREADS other
threads make calls. The environment sets the base URL of the client.
"""

import ctypes
import faulthandler
import queue
import random
import signal
import sys
import threading
import time
from collections import Counter
from types import FrameType

from pagerduty_alerting import APITimeoutError, Client

HANG = 30.0
TIMEOUT = 10.0


class Interruption(BaseException):
    """Is raised by a handler or from another thread."""


raised = 0
may_raise = False
dropped: list[object] = []  # by Python: exceptions in finalizers and callbacks of weak references


def on_signal(number: int, frame: FrameType | None) -> None:
    """Raises, once for each call."""
    global raised, may_raise
    if may_raise:
        may_raise = False
        raised += 1
        if number == signal.SIGINT:
            signal.default_int_handler(number, frame)
        raise Interruption


class Others:
    """Threads that make calls until they are stopped."""

    def __init__(self, client: Client, count: int) -> None:
        self.calls = 0
        self.failed: list[BaseException] = []
        self._client = client
        self._is_over = threading.Event()
        self._threads = [threading.Thread(target=self._work, daemon=True) for _ in range(count)]
        for thread in self._threads:
            thread.start()

    def _work(self) -> None:
        while not self._is_over.is_set():
            try:
                self._client.list_services(timeout=TIMEOUT)
                self.calls += 1
            except BaseException as error:
                self.failed.append(error)

    def end(self) -> None:
        """Waits for the threads."""
        self._is_over.set()
        for thread in self._threads:
            thread.join()


class Sender:
    """A thread that raises in the main thread after a given time."""

    def __init__(self) -> None:
        self._asked: queue.SimpleQueue[float] = queue.SimpleQueue()
        self._sent = 0
        self._main = ctypes.c_ulong(threading.get_ident())
        threading.Thread(target=self._work, daemon=True).start()

    def send(self, seconds: float) -> None:
        """Raises after that time."""
        self._asked.put(seconds)

    def _work(self) -> None:
        while True:
            time.sleep(self._asked.get())
            ctypes.pythonapi.PyThreadState_SetAsyncExc(self._main, ctypes.py_object(Interruption))
            self._sent += 1

    def wait(self, count: int) -> None:
        """Waits until `count` were raised, and for the lines at which the last one can be delivered."""
        while self._sent < count:
            time.sleep(0.0001)
        for _ in range(1000):
            pass


def storm_of_signals(client: Client, kind: str, count: int, rng: random.Random, typical: float) -> Counter[str]:
    """Makes calls until `count` were interrupted; returns their outcomes."""
    global may_raise
    number = signal.SIGINT if kind == "ctrl-c" else signal.SIGALRM
    signal.signal(number, on_signal)
    if number == signal.SIGINT:
        # The timer sends Ctrl-C.
        signal.signal(signal.SIGALRM, lambda *_: signal.raise_signal(signal.SIGINT))
    outcomes: Counter[str] = Counter()
    while raised < count:
        faulthandler.dump_traceback_later(HANG, exit=True)
        before, dropped_before = raised, len(dropped)
        outcome = "answered"
        try:
            may_raise = True
            signal.setitimer(signal.ITIMER_REAL, rng.uniform(1e-6, 1.2 * typical))
            client.list_services(timeout=TIMEOUT)
            may_raise = False
        except BaseException as error:
            outcome = type(error).__name__
        signal.setitimer(signal.ITIMER_REAL, 0)
        outcomes[outcome] += 1
        was_raised = raised > before and len(dropped) == dropped_before
        if was_raised != (outcome in {"Interruption", "KeyboardInterrupt"}):
            outcomes[f"WRONG: {raised - before} raised, and the call ended with {outcome}"] += 1
        if signal.getsignal(number) is not on_signal:
            outcomes["WRONG: the handler was not restored"] += 1
            signal.signal(number, on_signal)
    return outcomes


def storm_of_exceptions(client: Client, count: int, rng: random.Random, typical: float) -> Counter[str]:
    """Like `storm_of_signals`, with asynchronous exceptions, each delivered before the next call."""
    outcomes: Counter[str] = Counter()
    sender = Sender()
    for number in range(1, count + 1):
        faulthandler.dump_traceback_later(HANG, exit=True)
        started, took = time.monotonic(), 0.0
        try:
            try:
                sender.send(rng.uniform(0, 1.2 * typical))
                client.list_services(timeout=TIMEOUT)
                outcomes["answered"] += 1
            except BaseException as error:
                outcomes[type(error).__name__] += 1
            took = time.monotonic() - started
            sender.wait(number)
        except Interruption:
            outcomes["Interruption"] += 1
        sender.wait(number)
        if took > TIMEOUT + 1.5:
            outcomes["WRONG: a call outlived its deadline"] += 1
    return outcomes


def main(kind: str, count: int, seed: int, threads: int) -> None:
    """Makes calls with interruptions and prints their outcomes."""
    sys.unraisablehook = dropped.append
    rng = random.Random(seed)
    client = Client()
    client.list_services()
    others = Others(client, threads)
    started = time.perf_counter()
    for _ in range(50):
        client.list_services()
    typical = (time.perf_counter() - started) / 50
    if kind == "asynchronous":
        import logging

        logging.disable()  # asyncio logs exceptions in its callbacks
        outcomes = storm_of_exceptions(client, count, rng, typical)
    else:
        outcomes = storm_of_signals(client, kind, count, rng, typical)
    faulthandler.dump_traceback_later(HANG, exit=True)
    others.end()
    client.list_services()
    runner = client._runner
    assert (runner._calls, runner._leader, runner._busy) == ({}, {}, set())
    client.close()
    faulthandler.cancel_dump_traceback_later()
    for error in others.failed:
        if kind == "asynchronous" and isinstance(error, Interruption | APITimeoutError):
            # It was raised while the main thread, the leader, ran a step of that call, or a callback that would pass
            # it what its socket had received. Python cannot defer it, as it can a signal handler.
            outcomes[f"{type(error).__name__} of another thread's call"] += 1
        else:
            outcomes[f"WRONG: another thread got {error!r}"] += 1
    print(dict(outcomes))
    sys.exit(any(name.startswith("WRONG") for name in outcomes))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
