"""`pagerduty-alerting services`: lists the services of accounts, and deletes all services of an account."""

import asyncio
import sys
from collections.abc import Iterable, Sequence

from attrs import asdict

from pagerduty_alerting import AsyncClient, PagerDutyAlertingError, Service
from pagerduty_alerting.cli.failures import DONE, Stopped, show_error, status_for
from pagerduty_alerting.cli.options import Options
from pagerduty_alerting.cli.output import show_services
from pagerduty_alerting.cli.settings import UsageError, find_settings
from pagerduty_alerting.cli.terminal import Stream, Terminal, printable

CONSEQUENCE = "Alerts that are routed only to PagerDuty will have no destination."


def services_list(terminal: Terminal, options: Options, account_ids: Sequence[str]) -> int:
    """Runs `services list` and returns its exit status: that of the first account that failed."""
    settings = find_settings(options, terminal, account_ids or [None])
    outcomes = asyncio.run(_list_all(settings.client(), settings.accounts))

    rows = [(account, service) for account, found in outcomes for service in (found if isinstance(found, list) else ())]
    if terminal.as_json:
        fields = [{"account_id": account, **asdict(service)} for account, service in rows]
        terminal.out.json(fields, indent=2)
    else:
        show_services(terminal.out, rows, with_account=len(outcomes) > 1)

    status = DONE
    for account, found in outcomes:
        if isinstance(found, Exception):
            status = status or status_for(found)
            show_error(terminal, found, verbose=options.verbose, account_id=account)
        elif not found and not terminal.as_json:
            option = f" --account-id={printable(account)}" if account_ids else ""
            terminal.err.paragraph(
                f"PagerDuty is not connected with the account {printable(account)}."
                f" `pagerduty-alerting connect{option}` connects it."
            )
    return status


async def _list_all(client: AsyncClient, accounts: Iterable[str]) -> list[tuple[str, list[Service] | Exception]]:
    """Lists all accounts concurrently."""

    async def ask(account: str) -> tuple[str, list[Service] | Exception]:
        try:
            return account, await client.list_services(account_id=account)
        except PagerDutyAlertingError as error:
            return account, error

    async with client:
        return await asyncio.gather(*map(ask, accounts))


def services_delete(terminal: Terminal, options: Options, account_id: str | None, *, yes: bool, dry_run: bool) -> int:
    """Runs `services delete` and returns its exit status."""
    may_ask = sys.stdin is not None and sys.stdin.isatty()
    if not (yes or dry_run or may_ask):
        raise UsageError("There is no terminal to confirm the deletion: pass --yes to delete, or --dry-run to preview.")
    settings = find_settings(options, terminal, [account_id])
    # Two runs, so that an open question does not block an event loop.
    found = asyncio.run(_list(settings.client()))
    rows = [(settings.account, service) for service in found]
    all_of_them = _all_of(found, settings.account)
    if not found and not terminal.as_json:
        terminal.err.paragraph(
            f"PagerDuty is not connected with the account {printable(settings.account)}: nothing to delete."
        )
    elif dry_run and not terminal.as_json:
        terminal.err.paragraph(f"Would delete {all_of_them}. {CONSEQUENCE}")
        show_services(terminal.out, rows)
    deletes = bool(found) and not dry_run
    if deletes:
        if not yes:
            show_services(terminal.err, rows)
            terminal.err.paragraph(f"This deletes {all_of_them}. {CONSEQUENCE}")
            if not _agrees(terminal.err):
                raise Stopped("Nothing was deleted.")
        asyncio.run(_delete(settings.client()))
    if terminal.as_json:
        services = list(map(asdict, found))
        terminal.out.json({"account_id": settings.account, "deleted": deletes, "services": services}, indent=2)
    elif deletes:
        terminal.out.line(f"Deleted {all_of_them}.")
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
    """Asks for confirmation on stderr, because stdout is for results; no answer means no."""
    try:
        err.console.print("Delete? [y/N] ", end="")
        err.console.file.flush()
        answer = sys.stdin.readline()
    except KeyboardInterrupt:
        answer = ""
    if not answer.endswith("\n"):
        err.end_line()
    return answer.strip().lower() in {"y", "yes"}
