"""`pagerduty-alerting audit`: asks for the services of many accounts, and tells which have none."""

import asyncio
import contextlib
import json
import sys
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace

import aiohttp
from attrs import Factory, define, frozen
from rich.console import RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from pagerduty_alerting import AccountServices, APIStatusError, AsyncClient, PagerDutyAlertingError
from pagerduty_alerting._protocol.answer import ReceivedHeaders
from pagerduty_alerting._protocol.rate_limit import parse_rate_limits, parse_retry_after
from pagerduty_alerting.cli.commands._forecast import Forecast
from pagerduty_alerting.cli.commands.services import json_text
from pagerduty_alerting.cli.failures import DONE, REFUSED, Stopped, explanation, status_for
from pagerduty_alerting.cli.options import Options
from pagerduty_alerting.cli.settings import UsageError, find_settings
from pagerduty_alerting.cli.terminal import Stream, Terminal, printable

STDIN = "-"
MOST_ERRORS = 10
_RATE_PERIOD = 15.0


@frozen(kw_only=True)
class Wishes:
    """What was asked for. Meanings are those of the options.

    Attributes:
        accounts: File with the ids, or `-`.
        as_json: Whether to print a line for each account as it comes.
        resume: File with such lines of an earlier run.
        fail_empty: Whether an account with nothing connected is a failure.
        concurrency: Calls under way at the same time.
    """

    accounts: str
    as_json: bool = False
    resume: str | None = None
    fail_empty: bool = False
    concurrency: int = 16


@define
class Findings:
    """What was found so far.

    Attributes:
        total: Accounts in all.
        done: Those that were asked for, now or earlier.
        empty: Those that have nothing connected.
        failed: Those that could not be asked.
        errors: The errors of the first of these.
        status: The exit status of the first of these.
    """

    total: int
    done: int = 0
    empty: list[str] = Factory(list[str])
    failed: int = 0
    errors: list[tuple[str, Exception]] = Factory(list[tuple[str, Exception]])
    status: int = DONE

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

    def summary(self) -> str:
        """Returns it all in a sentence."""
        connected = self.done - len(self.empty) - self.failed
        parts = [f"{connected:,} connected", f"{len(self.empty):,} with nothing connected"]
        if self.failed:
            parts.append(f"{self.failed:,} failed")
        if self.done < self.total:
            parts.append(f"{self.total - self.done:,} not asked")
        return f"{self.total:,} account{'' if self.total == 1 else 's'}: {', '.join(parts)}."


def audit(terminal: Terminal, options: Options, wishes: Wishes) -> int:
    """Runs the command and returns its exit status."""
    if wishes.accounts == STDIN == options.api_token_file:
        raise UsageError("Standard input cannot hold both the accounts and the API token: put one of them in a file.")
    accounts = read_accounts(wishes.accounts)
    findings = Findings(len(accounts))
    if wishes.resume is not None:
        for account_id, is_empty in read_earlier(wishes.resume, terminal.err).items():
            if account_id in accounts:
                del accounts[account_id]
                findings.add(account_id, None, is_empty=is_empty)
    settings = find_settings(options, terminal.err)
    progress = Progress(findings)
    client = settings.client(None, trace_configs=[progress.trace_config()])
    try:
        asyncio.run(_ask(client, terminal, accounts, wishes, progress))
    except KeyboardInterrupt:
        _report(terminal, findings, wishes)
        raise Stopped(_how_to_go_on(wishes)) from None
    except PagerDutyAlertingError:  # which concerns all accounts
        _report(terminal, findings, wishes)
        raise
    _report(terminal, findings, wishes)
    return findings.status or (REFUSED if wishes.fail_empty and findings.empty else DONE)


async def _ask(
    client: AsyncClient, terminal: Terminal, accounts: Iterable[str], wishes: Wishes, progress: "Progress"
) -> None:
    # Lines on a terminal are a progress of their own.
    shows_lines = wishes.as_json and terminal.out.is_terminal
    async with client, contextlib.aclosing(client.list_services_in(accounts, concurrency=wishes.concurrency)) as found:
        with progress.shown(terminal.err, wanted=terminal.err.is_terminal and not shows_lines):
            async for result in found:
                if wishes.as_json:
                    terminal.out.raw(to_line(result, is_unicode=terminal.out.is_unicode))
                    terminal.out.console.file.flush()
                progress.findings.add(result.account_id, result.error, is_empty=not result.services)


def _report(terminal: Terminal, findings: Findings, wishes: Wishes) -> None:
    """Writes the accounts with nothing connected to stdout, and the rest to stderr."""
    if not wishes.as_json:
        show_empty(terminal.out, findings.empty)
    for account_id, error in findings.errors:
        terminal.err.paragraph(f"{printable(account_id)}: {explanation(error)}", "red")
    if findings.failed > len(findings.errors):
        terminal.err.paragraph(f"{findings.failed - len(findings.errors):,} more failed.", "red")
    terminal.err.paragraph(findings.summary())


def _how_to_go_on(wishes: Wishes) -> str:
    if wishes.as_json:
        return "Stopped. To go on, pass the lines that were printed so far as --resume=FILE, and append to that file."
    return "Stopped. With --json the lines that were printed can be given to --resume=FILE, which goes on from there."


def show_empty(out: Stream, accounts: Sequence[str]) -> None:
    """Writes accounts: a table for a person, lines for a program."""
    if not out.is_terminal:
        for account_id in accounts:
            out.raw(printable(account_id))
    elif accounts:
        table = Table(header_style="bold")
        table.add_column("Accounts with nothing connected", overflow="fold")
        for account_id in accounts:
            table.add_row(Text(printable(account_id)))
        out.show(table)


def to_line(result: AccountServices, *, is_unicode: bool) -> str:
    """Returns a result as a JSON object on one line."""
    services = [{"id": service.id, "name": service.name} for service in result.services or ()]
    error = result.error
    return json_text(
        {
            "account_id": result.account_id,
            "services": None if error is not None else services,
            "error": None
            if error is None
            else {
                "type": type(error).__name__,
                "status": error.status if isinstance(error, APIStatusError) else None,
                "message": str(error),
            },
        },
        is_unicode=is_unicode,
    )


def read_accounts(file: str) -> dict[str, None]:
    """Returns the ids in a file, one a line, each once; empty lines and those that begin with # are left out.

    Raises:
        UsageError: The file cannot be read, or holds no id.
    """
    lines = (line.strip() for line in _lines(file, "--accounts"))
    accounts = dict.fromkeys(line for line in lines if line and not line.startswith("#"))
    if not accounts:
        raise UsageError(f"There is no account in {_name(file)}: write one id a line.")
    return accounts


def read_earlier(file: str, err: Stream) -> dict[str, bool]:
    """Returns the accounts that an earlier run has an answer for, and whether they have nothing connected.

    Raises:
        UsageError: The file cannot be read.
    """
    earlier: dict[str, bool] = {}
    unreadable = 0
    for line in _lines(file, "--resume"):
        try:
            match json.loads(line):
                case {"account_id": str(account_id), "services": []}:
                    earlier[account_id] = True
                case {"account_id": str(account_id), "services": [_, *_]}:
                    earlier[account_id] = False
                case {"account_id": str(account_id)}:  # it failed, and is asked again
                    earlier.pop(account_id, None)
                case _:
                    unreadable += 1
        except (ValueError, RecursionError):  # such as a line in the midst of which the earlier run was ended
            unreadable += 1
    if unreadable:
        err.paragraph(f"Warning: {unreadable:,} lines of {_name(file)} are no results; they are passed over.", "yellow")
    return earlier


def _lines(file: str, option: str) -> Iterator[str]:
    try:
        if file == STDIN:
            yield from sys.stdin
        else:
            with Path(file).open(encoding="utf-8") as opened:
                yield from opened
    except OSError as error:
        raise UsageError(f"The file {printable(file)} of {option} cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise UsageError(f"The file {printable(file)} of {option} holds something else than text.") from None


def _name(file: str) -> str:
    return "standard input" if file == STDIN else printable(file)


class Progress:
    """How far the run is, how fast it goes, and how long it will take."""

    def __init__(self, findings: Findings, clock: Callable[[], float] = time.monotonic) -> None:
        self.findings = findings
        self.forecast = Forecast()
        self._clock = clock
        self._done = deque([(clock(), findings.done)])

    def trace_config(self) -> aiohttp.TraceConfig:
        """Returns hooks that read in each answer what is left of the quota."""
        config = aiohttp.TraceConfig()
        config.on_request_end.append(self._learn)
        return config

    async def _learn(
        self, _session: aiohttp.ClientSession, _context: SimpleNamespace, end: aiohttp.TraceRequestEndParams
    ) -> None:
        headers, now = ReceivedHeaders(end.response.headers), self._clock()
        self.forecast = self.forecast.after(parse_rate_limits(headers), now)
        if end.response.status == 429:
            seconds = parse_retry_after(headers.get("Retry-After"), time.time())
            self.forecast = self.forecast.blocked(seconds or 0.0, now)

    @contextlib.contextmanager
    def shown(self, err: Stream, *, wanted: bool) -> Generator[None]:
        """Shows it on a terminal for as long as the context lasts."""
        if not wanted:
            yield
            return
        with Live(
            get_renderable=self.line,
            console=err.console,
            transient=True,
            refresh_per_second=4,
            redirect_stdout=False,
            redirect_stderr=False,
        ):
            yield

    def line(self) -> RenderableType:
        """Returns a bar, and in words what it cannot say."""
        grid = Table.grid(padding=(0, 1), expand=True)
        grid.add_column(ratio=1)
        grid.add_column(no_wrap=True)
        grid.add_row(ProgressBar(self.findings.total, self.findings.done), Text(self.words()))
        return grid

    def words(self) -> str:
        """Returns how far it is, how fast, for how long, and whether the quota holds it back."""
        now, done = self._clock(), self.findings.done
        self._done.append((now, done))
        while len(self._done) > 2 and self._done[1][0] < now - _RATE_PERIOD:
            self._done.popleft()
        then, done_then = self._done[0]
        rate = (done - done_then) / (now - then) if now > then else 0.0
        parts = [f"{done:,} of {self.findings.total:,}", f"{rate:.1f}/s"]
        left = self.findings.total - done
        # Where the quota does not matter, the pace so far tells.
        needed = self.forecast.seconds_for(left, now) or (left / rate if rate else None)
        if needed is not None:
            parts.append(f"{hours(needed)} left")
        held_back = self.forecast.held_back(now)
        if held_back:
            parts.append(f"held back for {hours(held_back)}")
        if self.findings.failed:
            parts.append(f"{self.findings.failed:,} failed")
        return "  ".join(parts)


def hours(seconds: float) -> str:
    """Returns a duration as hours, minutes and seconds, without hours where there are none."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}" if minutes >= 60 else f"{minutes}:{rest:02d}"
