"""`pagerduty-alerting audit`: lists the services of many accounts, and reports the accounts without services."""

import asyncio
import contextlib
import json
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import SimpleNamespace

import aiohttp
from attrs import Factory, asdict, define
from rich.console import RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from pagerduty_alerting import AccountServices, AsyncClient, PagerDutyAlertingError
from pagerduty_alerting._protocol.answer import RawResponse
from pagerduty_alerting._protocol.rate_limit import Quotas, hold_back, observe, seconds_for
from pagerduty_alerting.cli.failures import DONE, REFUSED, Stopped, error_fields, explanation, status_for
from pagerduty_alerting.cli.options import Options
from pagerduty_alerting.cli.output import clock_time, counted, show_table
from pagerduty_alerting.cli.settings import UsageError, find_settings, standard_input
from pagerduty_alerting.cli.terminal import Terminal, printable

STDIN = "-"
MOST_ERRORS = 10
_RATE_PERIOD = 15.0


@define
class Findings:
    """The results so far."""

    total: int  # accounts
    done: int = 0  # accounts with a result, from this or an earlier run
    empty: list[str] = Factory(list[str])  # the accounts with nothing connected
    failed: int = 0
    errors: list[tuple[str, Exception]] = Factory(list[tuple[str, Exception]])  # the first ones, with their accounts
    status: int = DONE  # the exit status of the first error

    def add(self, account_id: str, error: Exception | None, *, is_empty: bool) -> None:
        """Counts one account."""
        self.done += 1
        if error is not None:
            self.failed += 1
            self.status = self.status or status_for(error)
            if len(self.errors) < MOST_ERRORS:
                self.errors.append((account_id, error))
        elif is_empty:
            self.empty.append(account_id)

    def counts(self) -> dict[str, int]:
        """Returns the JSON fields of the summary."""
        empty, asked = len(self.empty), self.done
        return {
            "accounts": self.total,
            "connected": asked - empty - self.failed,
            "empty": empty,
            "failed": self.failed,
            "not_asked": self.total - asked,
        }

    def summary(self) -> str:
        """Returns the summary as a sentence."""
        counts = self.counts()
        parts = [f"{counts['connected']:,} connected", f"{counts['empty']:,} with nothing connected"]
        if self.failed:
            parts.append(f"{self.failed:,} failed")
        if counts["not_asked"]:
            parts.append(f"{counts['not_asked']:,} not asked")
        return f"{counted(self.total, 'account')}: {', '.join(parts)}."


def audit(
    terminal: Terminal, options: Options, file: str, *, resume: str | None, fail_empty: bool, concurrency: int
) -> int:
    """Runs the command and returns its exit status: that of the first account that failed."""
    sources = {"the accounts": file, "the API token": options.api_token_file, "the results": resume}
    on_stdin = [name for name, source in sources.items() if source == STDIN]
    if len(on_stdin) > 1:
        both = " and ".join(on_stdin[:2])
        raise UsageError(f"Standard input cannot hold both {both}: put one of them in a file.")
    accounts = read_accounts(file)
    findings = Findings(len(accounts))
    if resume is not None:
        for account_id, is_empty in read_earlier(resume, terminal).items():
            if account_id in accounts:
                del accounts[account_id]
                findings.add(account_id, None, is_empty=is_empty)
    settings = find_settings(options, terminal)
    progress = RunProgress(findings)
    client = settings.client(trace_configs=[progress.trace_config()])
    try:
        asyncio.run(_ask(client, terminal, accounts, concurrency, progress))
    except KeyboardInterrupt:
        _report(terminal, findings)
        raise Stopped(_resume_advice(terminal)) from None
    except PagerDutyAlertingError:  # which concerns all accounts
        _report(terminal, findings)
        raise
    _report(terminal, findings)
    return findings.status or (REFUSED if fail_empty and findings.empty else DONE)


async def _ask(
    client: AsyncClient, terminal: Terminal, accounts: Iterable[str], concurrency: int, progress: "RunProgress"
) -> None:
    # Lines on a terminal already show the progress.
    shows_lines = terminal.as_json and terminal.out.is_terminal
    async with client, contextlib.aclosing(client.list_services_in(accounts, concurrency=concurrency)) as found:
        is_shown = terminal.err.is_terminal and not shows_lines
        with terminal.err.live(progress.line) if is_shown else contextlib.nullcontext():
            async for result in found:
                if terminal.as_json:
                    terminal.out.json(account_fields(result))
                progress.findings.add(result.account_id, result.error, is_empty=not result.services)


def _report(terminal: Terminal, findings: Findings) -> None:
    """Writes the accounts with nothing connected to stdout, and the rest to stderr."""
    if terminal.as_json:  # the lines of the accounts have the errors
        terminal.err.json({"summary": findings.counts()})
        return
    show_table(terminal.out, ["Accounts with nothing connected"], [[account_id] for account_id in findings.empty])
    for account_id, error in findings.errors:
        terminal.err.paragraph(f"{printable(account_id)}: {explanation(error)}", "red")
    if findings.failed > len(findings.errors):
        terminal.err.paragraph(f"{findings.failed - len(findings.errors):,} more failed.", "red")
    terminal.err.paragraph(findings.summary())


def _resume_advice(terminal: Terminal) -> str:
    if terminal.as_json:
        return "Stopped. To resume, pass the printed lines as --resume=FILE, and append to that file."
    return "Stopped. With --json, a later run can resume from the printed lines with --resume=FILE."


def account_fields(result: AccountServices) -> dict[str, object]:
    """Returns the JSON fields of a result; `services` is null if there is an `error`."""
    error = result.error
    return {
        "account_id": result.account_id,
        "services": None if error is not None else list(map(asdict, result.services or ())),
        "error": None if error is None else error_fields(error),
    }


def read_accounts(file: str) -> dict[str, None]:
    """Returns the distinct ids in a file with one id per line, without empty lines and lines that begin with #."""
    lines = (line.strip() for line in _lines(file, "--accounts", errors="strict"))
    accounts = dict.fromkeys(line for line in lines if line and not line.startswith("#"))
    if not accounts:
        raise UsageError(f"There is no account in {_name(file)}: write one id per line.")
    return accounts


def read_earlier(file: str, terminal: Terminal) -> dict[str, bool]:
    """Returns the accounts with a result in an earlier run, and whether they have nothing connected."""
    earlier: dict[str, bool] = {}
    unreadable = 0
    # A line that the earlier run did not finish may end within a character.
    for line in _lines(file, "--resume", errors="replace"):
        try:
            match json.loads(line):
                case {"account_id": str(account_id), "services": []}:
                    earlier[account_id] = True
                case {"account_id": str(account_id), "services": [_, *_]}:
                    earlier[account_id] = False
                case {"account_id": str(account_id)}:  # it failed, and is retried
                    earlier.pop(account_id, None)
                case _:
                    unreadable += 1
        except (ValueError, RecursionError):
            unreadable += 1
    if unreadable:
        terminal.warn(f"skipped {counted(unreadable, 'line')} of {_name(file)} that cannot be read as a result.")
    return earlier


def _lines(file: str, option: str, *, errors: str) -> Iterator[str]:
    """Yields the lines of a file, without the byte order marks that Windows and Excel put before its first one."""
    try:
        with contextlib.ExitStack() as stack:
            if file == STDIN:
                opened = standard_input()
            else:
                opened = stack.enter_context(Path(file).open(encoding="utf-8", errors=errors))
            for line in opened:
                yield line.removeprefix("\ufeff")
    except OSError as error:
        raise UsageError(f"The file {printable(file)} of {option} cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise UsageError(f"The file {printable(file)} of {option} holds something other than text.") from None


def _name(file: str) -> str:
    return "standard input" if file == STDIN else printable(file)


class RunProgress:
    """The progress of a run, its rate, and the time left."""

    def __init__(self, findings: Findings, clock: Callable[[], float] = time.monotonic) -> None:
        self.findings = findings
        self.quotas: Quotas = {}
        self._clock = clock
        self._done = deque([(clock(), findings.done)])

    def trace_config(self) -> aiohttp.TraceConfig:
        """Returns hooks that read the quota in each response."""
        config = aiohttp.TraceConfig()
        config.on_request_end.append(self._on_request_end)
        return config

    async def _on_request_end(
        self, _session: aiohttp.ClientSession, _context: SimpleNamespace, end: aiohttp.TraceRequestEndParams
    ) -> None:
        self.observe_response(RawResponse(end.response.status, end.response.headers, b""))

    def observe_response(self, response: RawResponse) -> None:
        """Updates the quota from a response, as the client does."""
        self.quotas = observe(self.quotas, response, self._clock())

    def line(self) -> RenderableType:
        """Returns a progress bar with its text."""
        grid = Table.grid(padding=(0, 1), expand=True)
        grid.add_column(ratio=1)
        grid.add_column(no_wrap=True)
        grid.add_row(ProgressBar(self.findings.total, self.findings.done), Text(self.words()))
        return grid

    def words(self) -> str:
        """Returns the progress as text: accounts done, rate, time left, and delays by the quota."""
        now, done = self._clock(), self.findings.done
        self._done.append((now, done))
        while len(self._done) > 2 and self._done[1][0] < now - _RATE_PERIOD:
            self._done.popleft()
        then, done_then = self._done[0]
        rate = (done - done_then) / (now - then) if now > then else 0.0
        parts = [f"{done:,} of {self.findings.total:,}", f"{rate:.1f}/s"]
        left = self.findings.total - done
        # Without an effect of the quota, the rate so far decides.
        needed = seconds_for(self.quotas, left, now) or (left / rate if rate else None)
        if needed is not None:
            parts.append(f"{clock_time(needed)} left")
        held_back = hold_back(self.quotas, 0, now)
        if held_back:
            parts.append(f"held back for {clock_time(held_back)}")
        if self.findings.failed:
            parts.append(f"{self.findings.failed:,} failed")
        return "  ".join(parts)
