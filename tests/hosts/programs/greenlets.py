"""Makes calls in greenlets: `greenlets.py HOST CASE`, where the host is gevent or eventlet.

Each case is a function of this module that makes a call for each account and returns the results.
"""

import asyncio
import contextlib
import importlib
import json
import os
import sys
import warnings
from collections.abc import Callable, Iterable
from types import ModuleType
from typing import Any

AT_A_TIME = 32


class Gevent:
    """The functions of gevent that the cases use."""

    def __init__(self) -> None:
        self.module = importlib.import_module("gevent")
        self.Timeout = self.module.Timeout
        self.start_timeout = self.module.Timeout.start_new
        self.Killed = self.module.GreenletExit

    def patch(self) -> None:
        importlib.import_module("gevent.monkey").patch_all()

    def map(self, function: Callable[[Any], object], items: Iterable[Any]) -> list[object]:
        return list(importlib.import_module("gevent.pool").Pool(AT_A_TIME).map(function, items))

    def map_in_threads(self, function: Callable[[Any], object], items: Iterable[Any]) -> list[object]:
        return list(importlib.import_module("gevent.threadpool").ThreadPool(8).map(function, items))

    def spawn(self, function: Callable[[], object]) -> Any:
        return self.module.spawn(function)

    def outcome(self, greenlet: Any) -> object:
        return greenlet.get()

    def kill(self, greenlet: Any) -> None:
        greenlet.kill()

    def sleep(self) -> None:
        self.module.sleep(0)


class Eventlet:
    """The functions of eventlet that the cases use."""

    def __init__(self) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it is deprecated
            self.module = importlib.import_module("eventlet")
        self.Timeout = self.start_timeout = self.module.Timeout
        self.Killed = importlib.import_module("greenlet").GreenletExit

    def patch(self) -> None:
        self.module.monkey_patch()

    def map(self, function: Callable[[Any], object], items: Iterable[Any]) -> list[object]:
        return list(self.module.GreenPool(AT_A_TIME).imap(function, items))

    def map_in_threads(self, function: Callable[[Any], object], items: Iterable[Any]) -> list[object]:
        tpool = importlib.import_module("eventlet.tpool")
        return self.map(lambda item: tpool.execute(function, item), items)

    def spawn(self, function: Callable[[], object]) -> Any:
        return self.module.spawn(function)

    def outcome(self, greenlet: Any) -> object:
        return greenlet.wait()

    def kill(self, greenlet: Any) -> None:
        greenlet.kill()
        with contextlib.suppress(self.Killed):
            greenlet.wait()

    def sleep(self) -> None:
        self.module.sleep(0)


def patched_first(host: Gevent | Eventlet) -> dict[str, object]:
    """The program patches before it imports anything else, as recommended."""
    host.patch()
    return all_answers(host, import_caller())


def patched_late(host: Gevent | Eventlet) -> dict[str, object]:
    """The program patches after the client was created and used."""
    caller = import_caller()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # gevent warns that ssl was imported before
        host.patch()
    return all_answers(host, caller)


def patched_before_the_first_call(host: Gevent | Eventlet) -> dict[str, object]:
    """The client was made before, and not used."""
    from pagerduty_alerting import Client

    client = Client()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        host.patch()
    caller = import_caller()
    caller.client = client
    return all_answers(host, caller)


def not_patched(host: Gevent | Eventlet) -> dict[str, object]:
    """Without patching, a call blocks all other greenlets; every call still returns its own result."""
    return all_answers(host, import_caller())


def a_client_each(host: Gevent | Eventlet) -> dict[str, object]:
    """Every call uses a new client."""
    host.patch()
    caller = import_caller()

    def names(account_id: str) -> object:
        with caller.Client() as client:
            return [service.name for service in client.list_services(account_id=account_id)]

    accounts = caller.account_ids(64)
    return dict(zip(accounts, host.map(names, accounts), strict=True))


def from_threads_too(host: Gevent | Eventlet) -> dict[str, object]:
    """Native threads make calls at the same time."""
    host.patch()
    caller = import_caller()
    accounts = caller.account_ids()
    half = len(accounts) // 2
    in_greenlets = host.spawn(lambda: host.map(caller.names_or_error, accounts[:half]))
    in_threads = host.map_in_threads(caller.names_or_error, accounts[half:])
    found = [*host.outcome(in_greenlets), *in_threads]
    return dict(zip(accounts, found, strict=True))


def timed_out(host: Gevent | Eventlet) -> dict[str, object]:
    """Timeouts of the host end calls that hang, and no others."""
    host.patch()
    caller = import_caller()

    def names(account_id: str) -> object:
        timeout = host.start_timeout(0.3)
        try:
            caller.names(caller.HANGING_ACCOUNT)
        except host.Timeout as error:
            return caller.names_or_error(account_id) if error is timeout else "the timeout of another call"
        finally:
            timeout.cancel()
        return "no timeout"

    accounts = caller.account_ids(AT_A_TIME)
    return dict(zip(accounts, host.map(names, accounts), strict=True)) | all_answers(host, caller)


def killed(host: Gevent | Eventlet) -> dict[str, object]:
    """Greenlets are killed while they wait for a response."""
    host.patch()
    caller = import_caller()
    ends: list[str] = []

    def hang() -> None:
        try:
            caller.names(caller.HANGING_ACCOUNT)
        except BaseException as error:
            ends.append(type(error).__name__)
            raise

    greenlets = [host.spawn(hang) for _ in range(AT_A_TIME)]
    host.sleep()
    answers = all_answers(host, caller)
    for greenlet in greenlets:
        host.kill(greenlet)
    assert ends == [host.Killed.__name__] * AT_A_TIME, ends
    return answers | all_answers(host, caller)


def forked(host: Gevent | Eventlet) -> dict[str, object]:
    """The program forks after it has made calls; parent and child make half of the calls each."""
    host.patch()
    caller = import_caller()
    all_answers(host, caller)
    return answers_of_both_sides(host, caller)


def forked_during_calls(host: Gevent | Eventlet) -> dict[str, object]:
    """The program forks while greenlets wait for responses; parent and child make half of the calls each."""
    host.patch()
    caller = import_caller()
    waiting = [host.spawn(lambda: caller.names(caller.HANGING_ACCOUNT)) for _ in range(AT_A_TIME)]
    all_answers(host, caller)
    answers = answers_of_both_sides(host, caller)
    for greenlet in waiting:
        host.kill(greenlet)
    return answers


def answers_of_both_sides(host: Gevent | Eventlet, caller: ModuleType) -> dict[str, object]:
    """Forks; parent and child make half of the calls each."""
    accounts = caller.account_ids()
    reading, writing = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Python 3.12 warns where there are threads, as there are during calls
        pid = os.fork()
    if pid == 0:
        mine = accounts[::2]
        with os.fdopen(writing, "w") as pipe:
            json.dump(dict(zip(mine, host.map(caller.names_or_error, mine), strict=True)), pipe)
        os._exit(0)
    os.close(writing)
    mine = accounts[1::2]
    answers = dict(zip(mine, host.map(caller.names_or_error, mine), strict=True))
    with os.fdopen(reading) as pipe:
        answers.update(json.load(pipe))
    assert os.waitpid(pid, 0)[1] == 0
    return answers


class AtMost:
    """A limiter that admits eight attempts at a time."""

    def __init__(self) -> None:
        self._free = asyncio.Semaphore(8)
        self._now = self.most = 0

    async def __aenter__(self) -> None:
        await self._free.acquire()
        self._now += 1
        self.most = max(self.most, self._now)

    async def __aexit__(self, *_: object) -> None:
        self._now -= 1
        self._free.release()


def limited(host: Gevent | Eventlet) -> dict[str, object]:
    """The client's limiter waits on the event loop."""
    host.patch()
    caller = import_caller()
    limiter = AtMost()
    caller.client = caller.Client(limiter=limiter)
    answers = all_answers(host, caller)
    assert limiter.most == 8
    return answers


def import_caller() -> ModuleType:
    return importlib.import_module("caller")


def all_answers(host: Gevent | Eventlet, caller: ModuleType) -> dict[str, object]:
    accounts = caller.account_ids()
    return dict(zip(accounts, host.map(caller.names_or_error, accounts), strict=True))


if __name__ == "__main__":
    _, name, case = sys.argv
    host = {"gevent": Gevent, "eventlet": Eventlet}[name]()
    json.dump(globals()[case](host), sys.stdout)
