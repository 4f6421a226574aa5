"""The emulator as a server of its own, for a terminal and for clients in any language."""

import asyncio
import contextlib
import signal
from collections.abc import Callable, Generator
from pathlib import Path

from pagerduty_alerting.emulator.control.api import is_loopback
from pagerduty_alerting.emulator.control.page import exports
from pagerduty_alerting.emulator.emulator import Emulator
from pagerduty_alerting.emulator.requests import RecordedRequest
from pagerduty_alerting.emulator.rules.answers import Dialect
from pagerduty_alerting.emulator.rules.initial_state import InitialState

DEFAULT_PORT = 8787


def serve(
    *,
    echo: Callable[[str], None],
    host: str = "127.0.0.1",
    port: int = DEFAULT_PORT,
    seed: Path | None = None,
    latency: float = 0.0,
    fail_rate: float = 0.0,
    dialect: Dialect | None = None,
) -> None:
    """Serves until SIGINT or SIGTERM, then closes everything and returns.

    First the lines to paste into a shell are printed, then one line for each request to the API.

    Args:
        echo: Called with each line to print, without a line break.
        host: The address to listen on; the loopback address by default.
        port: The port; 0 lets the system choose.
        seed: A JSON file with the accounts and credentials to start with, as `InitialState` reads it.
        latency: Seconds that every request waits.
        fail_rate: How likely every request is to be answered with 503, 0 to 1.
        dialect: The forms of the answers.

    Raises:
        EmulatorUsageError: The seed cannot be read, or a number is out of range; the message says which.
        OSError: The address cannot be listened on.
    """
    initial = None if seed is None else InitialState.from_file(seed)
    emulator = Emulator(
        host=host, port=port, initial_state=initial, latency=latency, fail_rate=fail_rate, dialect=dialect
    )
    asyncio.run(serve_until_signalled(emulator, echo))


async def serve_until_signalled(emulator: Emulator, echo: Callable[[str], None]) -> None:
    """Serves an emulator on the running event loop until SIGINT or SIGTERM.

    Args:
        emulator: What to serve; it is not serving yet.
        echo: Called with each line to print, without a line break.

    Raises:
        OSError: The address cannot be listened on.
    """
    with stop_signals() as stopped:
        async with emulator as api:
            for line in welcome(api):
                echo(line)
            api.listen(lambda request: echo(request_line(request)))
            await stopped.wait()
            api.listen(None)


def welcome(api: Emulator) -> list[str]:
    """Returns the lines that tell a person how to use a running emulator, ready to paste into a shell."""
    lines = [f"# Emulating Cloudflare's PagerDuty destinations at {api.url}"]
    if not is_loopback(f"http://{api.host}"):
        lines.append("# Anyone who reaches this address can use and control it.")
    lines.append(f"# Authorize tokens and see requests at {api.origin}/_emulator/ (stop with Ctrl-C)")
    return lines + exports({"PAGERDUTY_ALERTING_AUTHORIZE_URL": api.authorize_url} | api.environ)


def request_line(request: RecordedRequest) -> str:
    """Returns a line about a request that has ended, without secrets."""
    status = "---" if request.status is None else str(request.status)
    took = f"{(request.elapsed or 0.0) * 1000:.1f} ms"
    line = f"{request.received_at:%Y-%m-%dT%H:%M:%SZ} {request.method} {request.masked_path} {status} {took}"
    return f"{line} ({request.fault})" if request.fault else line


@contextlib.contextmanager
def stop_signals() -> Generator[asyncio.Event]:
    """Turns SIGINT and SIGTERM into an event on the running event loop while the context lasts."""
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
