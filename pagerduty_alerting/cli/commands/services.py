"""`pagerduty-alerting services list`: the services that each account can notify."""

import asyncio
import json
from collections.abc import Iterable, Sequence

from attrs import frozen
from rich.table import Table
from rich.text import Text

from pagerduty_alerting import AsyncClient, PagerDutyAlertingError, Service
from pagerduty_alerting.cli.failures import DONE, show_error, status_for
from pagerduty_alerting.cli.options import Options
from pagerduty_alerting.cli.settings import find_account_id, find_settings
from pagerduty_alerting.cli.terminal import Stream, Terminal, printable


@frozen
class Row:
    """A service and whose it is."""

    account_id: str
    service: Service


def services_list(terminal: Terminal, options: Options, account_ids: Sequence[str], *, as_json: bool) -> int:
    """Runs the command and returns its exit status: that of the first account that failed."""
    given: Sequence[str | None] = account_ids or [None]
    accounts = [find_account_id(account_id)[0] for account_id in given]
    settings = find_settings(options, terminal.err)
    outcomes = asyncio.run(_list_all(settings.client(None), accounts))

    rows = [
        Row(account, service) for account, found in outcomes for service in (found if isinstance(found, list) else ())
    ]
    if as_json:
        terminal.out.raw(to_json(rows, is_unicode=terminal.out.is_unicode))
    else:
        show_services(terminal.out, rows, with_account=len(accounts) > 1)

    status = DONE
    for account, found in outcomes:
        if isinstance(found, Exception):
            status = status or status_for(found)
            show_error(terminal.err, found, verbose=options.verbose)
        elif not found and not as_json:
            terminal.err.paragraph(f"PagerDuty is not connected with the account {printable(account)}.")
    return status


async def _list_all(client: AsyncClient, accounts: Iterable[str]) -> list[tuple[str, list[Service] | Exception]]:
    """Asks for all accounts at the same time."""

    async def ask(account: str) -> tuple[str, list[Service] | Exception]:
        try:
            return account, await client.list_services(account_id=account)
        except PagerDutyAlertingError as error:
            return account, error

    async with client:
        return await asyncio.gather(*map(ask, accounts))


def show_services(out: Stream, rows: Sequence[Row], *, with_account: bool = False) -> None:
    """Writes services: a table for a person, tab-separated lines without a heading for a program."""
    if not out.is_terminal:
        for row in rows:
            out.raw(to_line(row, with_account=with_account))
    elif rows:
        out.show(to_table(rows, with_account=with_account))


def to_line(row: Row, *, with_account: bool) -> str:
    """Returns a service as one line. Tabs and line breaks in names are escaped, so that fields stay fields."""
    fields = [row.account_id] * with_account + [row.service.id, row.service.name]
    return "\t".join(map(printable, fields))


def to_table(rows: Iterable[Row], *, with_account: bool) -> Table:
    """Returns services as a table; names that are too long for the terminal are folded, not cut."""
    table = Table(header_style="bold")
    headings = ["Account"] * with_account + ["Id", "Name"]
    for heading in headings:
        table.add_column(heading, overflow="fold")
    for row in rows:
        fields = [row.account_id] * with_account + [row.service.id, row.service.name]
        table.add_row(*(Text(printable(text)) for text in fields))
    return table


def to_json(rows: Iterable[Row], *, is_unicode: bool) -> str:
    """Returns services as a JSON array."""
    objects = [{"account_id": row.account_id, "id": row.service.id, "name": row.service.name} for row in rows]
    return json_text(objects, is_unicode=is_unicode, indent=2)


def json_text(value: object, *, is_unicode: bool, indent: int | None = None) -> str:
    """Returns a value as JSON that is safe to show on a terminal."""
    text = json.dumps(value, indent=indent, ensure_ascii=not is_unicode)
    # JSON leaves some control characters as they are, U+009B for one, which begins commands of terminals.
    return "".join(
        character if character.isprintable() or character == "\n" else json.dumps(character)[1:-1] for character in text
    )
