"""Runs the emulator as a process of its own, for clients in any language."""

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

    Prints the lines to paste into a shell, then one line for each request to the API.

    Args:
        echo: Called with each line to print, without a line break.
        host: The address to listen on; the loopback address by default.
        port: The port; 0 lets the system choose.
        seed: A JSON file with the initial accounts and credentials, in the format of `InitialState.from_json`.
        latency: Seconds that every request waits.
        fail_rate: The probability, 0 to 1, that a request gets a 503 response.
        dialect: The forms of the responses.

    Raises:
        EmulatorUsageError: The seed cannot be read, or a number is out of range.
        OSError: The address cannot be listened on.
    """
    initial = None if seed is None else InitialState.from_file(seed)
    emulator = Emulator(
        host=host, port=port, initial_state=initial, latency=latency, fail_rate=fail_rate, dialect=dialect
    )
    asyncio.run(_serve(emulator, echo))


async def _serve(emulator: Emulator, echo: Callable[[str], None]) -> None:
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
