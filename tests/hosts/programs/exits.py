"""Makes calls while the interpreter exits, or in a finalizer, and prints the outcome of each: `exits.py CASE`."""

import atexit
import gc
import os
import signal
import sys
import threading
import warnings
from collections.abc import Callable

import aiohttp

ACCOUNT_ID = f"{1:032x}"


class CallsWhenFinalized:
    """Makes a call when it is finalized. It is part of a reference cycle, so the garbage collector finalizes it."""

    def __init__(self, call: Callable[[], None]) -> None:
        self.call = call
        self.cycle = self

    def __del__(self) -> None:
        self.call()


def prints(names: Callable[[], object]) -> Callable[[], None]:
    """Returns a function that makes a call and prints its outcome, without names that are gone at interpreter exit."""

    def call(write: Callable[[int, bytes], int] = os.write) -> None:
        try:
            outcome = str(names())
        except Exception as error:
            outcome = type(error).__name__
        write(1, f"{outcome}\n".encode())

    return call


def tracing(hook: Callable[[], object]) -> aiohttp.TraceConfig:
    """Returns a trace hook that runs a function during each call, after the request was sent."""

    async def on_request(*_: object) -> None:
        hook()

    made = aiohttp.TraceConfig()
    made.on_request_headers_sent.append(on_request)
    return made


def exit_handler_before_the_clients_own() -> None:
    import caller

    atexit.register(prints(lambda: caller.names(ACCOUNT_ID)))


def exit_handler_that_resolves_a_name() -> None:
    import caller

    client = caller.Client(base_url=os.environ["CLOUDFLARE_BASE_URL"].replace("127.0.0.1", "localhost"))
    atexit.register(prints(lambda: [it.name for it in client.list_services(account_id=ACCOUNT_ID)]))


def exit_handler_with_gevent() -> None:
    from gevent import monkey

    warnings.simplefilter("ignore")  # gevent warns that aiohttp was imported before
    monkey.patch_all()
    exit_handler_before_the_clients_own()


def exit_handler_with_eventlet() -> None:
    warnings.simplefilter("ignore")  # eventlet warns that it is deprecated
    import eventlet

    eventlet.monkey_patch()
    exit_handler_before_the_clients_own()


def exit_handler_after_the_clients_own() -> None:
    atexit.register(prints(lambda: sys.modules["caller"].names(ACCOUNT_ID)))
    import caller  # noqa: F401  # registers the handler of the client


def finalizer_at_exit() -> None:
    import caller

    client = caller.client
    caller.kept = CallsWhenFinalized(prints(lambda: [it.name for it in client.list_services(account_id=ACCOUNT_ID)]))


def finalizer_in_a_call() -> None:
    import caller

    def collect() -> None:
        CallsWhenFinalized(prints(lambda: [it.name for it in client.list_services(account_id=ACCOUNT_ID)]))
        gc.collect()

    client = caller.Client(trace_configs=[tracing(collect)])
    prints(lambda: [it.name for it in client.list_services(account_id=ACCOUNT_ID)])()


def daemon_thread_in_a_call() -> None:
    import caller

    has_begun = threading.Event()
    client = caller.Client(trace_configs=[tracing(has_begun.set)])
    threading.Thread(target=client.list_services, kwargs={"account_id": caller.HANGING_ACCOUNT}, daemon=True).start()
    assert has_begun.wait(30)
    atexit.register(prints(lambda: caller.names(ACCOUNT_ID)))


def finalizer_at_exit_during_a_call_of_a_daemon_thread() -> None:
    import caller

    has_begun = threading.Event()
    client = caller.Client(trace_configs=[tracing(has_begun.set)])
    threading.Thread(target=client.list_services, kwargs={"account_id": caller.HANGING_ACCOUNT}, daemon=True).start()
    assert has_begun.wait(30)
    caller.kept = CallsWhenFinalized(prints(lambda: [it.name for it in client.list_services(account_id=ACCOUNT_ID)]))


def exit_by_a_signal_handler_in_a_call() -> None:
    import caller

    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    client = caller.Client(trace_configs=[tracing(lambda: signal.raise_signal(signal.SIGTERM))])
    atexit.register(prints(lambda: caller.names(ACCOUNT_ID)))
    client.list_services(account_id=caller.HANGING_ACCOUNT)


if __name__ == "__main__":
    globals()[sys.argv[1]]()
