"""`pagerduty-alerting services delete`: shows what will go, asks, and deletes it."""

import asyncio
import sys

from pagerduty_alerting import AsyncClient, Service
from pagerduty_alerting.cli.commands.services import Row, show_services
from pagerduty_alerting.cli.failures import DONE, Stopped
from pagerduty_alerting.cli.options import Options
from pagerduty_alerting.cli.settings import UsageError, find_account_id, find_settings
from pagerduty_alerting.cli.terminal import Stream, Terminal, printable

CONSEQUENCE = "Alerts that are routed only to PagerDuty will have no destination."


def services_delete(terminal: Terminal, options: Options, account_id: str | None, *, yes: bool, dry_run: bool) -> int:
    """Runs the command and returns its exit status."""
    account, _ = find_account_id(account_id)
    may_ask = sys.stdin is not None and sys.stdin.isatty()
    if not (yes or dry_run or may_ask):
        raise UsageError("There is no terminal to ask on whether to delete: pass --yes to do it, or --dry-run to look.")
    settings = find_settings(options, terminal.err)
    # Two runs, so that a question that nobody answers keeps no event loop from its work.
    found = asyncio.run(_list(settings.client(account)))
    if not found:
        terminal.err.paragraph(f"PagerDuty is not connected with the account {printable(account)}: nothing to delete.")
        return DONE
    rows = [Row(account, service) for service in found]
    if dry_run:
        terminal.err.paragraph(f"Would delete {_all_of(found, account)}. {CONSEQUENCE}")
        show_services(terminal.out, rows)
        return DONE
    if not yes:
        show_services(terminal.err, rows)
        terminal.err.paragraph(f"This deletes {_all_of(found, account)}. {CONSEQUENCE}")
        if not _agrees(terminal.err):
            raise Stopped("Nothing was deleted.")
    asyncio.run(_delete(settings.client(account)))
    terminal.out.line(f"Deleted {_all_of(found, account)}.")
    return DONE


async def _list(client: AsyncClient) -> list[Service]:
    async with client:
        return await client.list_services()


async def _delete(client: AsyncClient) -> None:
    async with client:
        await client.delete_services()


def _all_of(services: list[Service], account: str) -> str:
    count = {1: "the only PagerDuty service", 2: "both PagerDuty services"}.get(len(services))
    return f"{count or f'all {len(services)} PagerDuty services'} of the account {printable(account)}"


def _agrees(err: Stream) -> bool:
    """Asks on stderr, because stdout is for results; no answer is a no."""
    try:
        err.console.print("Delete? [y/N] ", end="")
        err.console.file.flush()
        answer = sys.stdin.readline()
    except KeyboardInterrupt:
        answer = ""
    if not answer.endswith("\n"):
        err.end_line()
    return answer.strip().lower() in {"y", "yes"}
