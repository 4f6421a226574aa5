"""Runs the emulator as a process of its own, for clients in any language."""

import asyncio
import contextlib
import signal
from collections.abc import Callable, Generator

from pagerduty_alerting.emulator.control.api import is_loopback
from pagerduty_alerting.emulator.control.page import exports
from pagerduty_alerting.emulator.emulator import Emulator
from pagerduty_alerting.emulator.requests import RecordedRequest


async def serve(emulator: Emulator, echo: Callable[[str], None]) -> None:
    """Serves until SIGINT or SIGTERM, then closes everything and returns.

    Passes `echo` the lines to paste into a shell, then one line for each request to the API, without line breaks.
    """
    with stop_signals() as stopped:
        async with emulator as api:
            for line in welcome(api):
                echo(line)
            api.listen(lambda request: echo(request_line(request)))
            await stopped.wait()
            api.listen(None)


def welcome(api: Emulator) -> list[str]:
    """Returns the lines that explain how to use a running emulator, ready to paste into a shell."""
    lines = [f"# Emulating Cloudflare's PagerDuty destinations at {api.url}"]
    if not is_loopback(api.host):
        lines.append("# Anyone who reaches this address can use and control it.")
    lines.append(f"# Authorize tokens and see requests at {api.origin}/_emulator/ (stop with Ctrl-C)")
    return lines + exports({"PAGERDUTY_ALERTING_AUTHORIZE_URL": api.authorize_url} | api.environ)


def request_line(request: RecordedRequest) -> str:
    """Returns the log line of a request that has ended, without secrets."""
    status = "---" if request.status is None else str(request.status)
    took = f"{(request.elapsed or 0.0) * 1000:.1f} ms"
    line = f"{request.received_at:%Y-%m-%dT%H:%M:%SZ} {request.method} {request.masked_path} {status} {took}"
    return f"{line} ({request.fault})" if request.fault else line


@contextlib.contextmanager
def stop_signals() -> Generator[asyncio.Event]:
    """Yields an event of the running event loop that SIGINT and SIGTERM set."""
    loop = asyncio.get_running_loop()
    stopped = asyncio.Event()
    signals = (signal.SIGINT, signal.SIGTERM)

    def stop(*_: object) -> None:
        loop.call_soon_threadsafe(stopped.set)

    before = {number: signal.signal(number, stop) for number in signals}
    try:
        yield stopped
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
