"""`pagerduty-alerting emulator`: runs the emulator as a server for any client."""

import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path

from pagerduty_alerting.cli.failures import DONE, stop_writing
from pagerduty_alerting.cli.settings import UsageError, usage_errors
from pagerduty_alerting.cli.terminal import Terminal, printable
from pagerduty_alerting.emulator import Dialect, Emulator, InitialState
from pagerduty_alerting.emulator.standalone import serve


def emulator(
    terminal: Terminal,
    host: str,
    port: int,
    *,
    seed: Path | None,
    latency: float,
    fail_rate: float,
    dialect: Sequence[str],
) -> int:
    """Runs the command until SIGINT or SIGTERM and returns its exit status."""

    def echo(line: str) -> None:
        try:
            terminal.out.raw(printable(line))
            sys.stdout.flush()
        except BrokenPipeError:
            stop_writing()  # a closed pipe, such as `| head`, does not stop the server

    with usage_errors():
        initial = None if seed is None else InitialState.from_file(seed)
        forms = Dialect.of(*dialect)
        api = Emulator(host=host, port=port, initial_state=initial, latency=latency, fail_rate=fail_rate, dialect=forms)
    try:
        asyncio.run(serve(api, echo))
    except OSError as error:
        raise UsageError(
            f"The emulator cannot listen on {host}, port {port}: {error.strerror}. Try --port=0."
        ) from None
    return DONE
