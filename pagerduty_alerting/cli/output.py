"""The forms of results: durations as text; services and ids as tables, lines or JSON.

With `--json`, stdout holds:

    services list    an array of `{account_id, id, name}`
    services delete  `{account_id, deleted, services}`
    connect          `{account_id, connected, services}`; with `--no-wait` `{account_id, token, authorize_url,
                     next_command}`, with `--dry-run` `{account_id, would, services}`
    doctor           `{ok, checks: [{name, ok, detail, advice}]}`
    audit            a line for each account: `{account_id, services, error}`

Errors are then lines of JSON on stderr, `{"error": {type, message, status, codes, ray_id, attempts, next_command}}`, as
are `{"warning": …}` and the `{"summary": …}` of `audit`. What `connect` asks of a person stays text.
"""

from collections.abc import Sequence

from pagerduty_alerting import Service
from pagerduty_alerting.cli.terminal import Stream, printable

_NARROWEST_NAME = 12
_BORDERS = 3  # characters around the text of each column; the table has one more


def milliseconds(seconds: float) -> str:
    """Returns a short duration as text."""
    return f"{seconds * 1000:.1f} ms"


def clock_time(seconds: float) -> str:
    """Returns a duration as `m:ss` or `h:mm:ss`, rounded up so that it is 0:00 only when it is over."""
    minutes, rest = divmod(max(0, -int(-seconds // 1)), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}" if minutes >= 60 else f"{minutes}:{rest:02d}"


def duration_in_words(seconds: float) -> str:
    """Returns a duration in words, such as `10 minutes`."""
    longer = (("hour", 3600), ("minute", 60))
    unit, length = next((it for it in longer if seconds >= it[1] and seconds % it[1] == 0), ("second", 1))
    count = seconds / length
    return f"{count:g} {unit}{'' if count == 1 else 's'}"


def counted(number: int, noun: str) -> str:
    """Returns a number with its noun, such as `1 account` and `8 accounts`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def show_services(out: Stream, rows: Sequence[tuple[str, Service]], *, with_account: bool = False) -> None:
    """Writes services, each with its account, as `show_table` does."""
    fields = [[account_id] * with_account + [service.id, service.name] for account_id, service in rows]
    show_table(out, ["Account"] * with_account + ["Id", "Name"], fields)


def show_table(out: Stream, headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Writes a table for a person, tab-separated lines without a heading for a program.

    The last column is wrapped if needed. Ids are never broken: on a terminal that is too narrow, each field is on its
    own line.
    """
    if not out.is_terminal:
        for row in rows:
            # Tabs and line breaks in names are escaped, because they separate fields and rows.
            out.raw("\t".join(map(printable, row)))
        return
    if not rows:
        return
    names = len(headings) > 1
    ids = [max(map(len, column)) for column in zip(headings, *rows, strict=True)]
    needed = sum(ids[:-1]) + min(ids[-1], _NARROWEST_NAME) if names else ids[-1]
    if needed + _BORDERS * len(headings) + 1 > out.console.width:
        for row in rows:
            for text in row[:-1]:
                out.line(printable(text))
            if names:
                out.paragraph(printable(row[-1]), indent=2)
            else:
                out.line(printable(row[-1]))
        return
    from rich.table import Table  # slow to import, and only needed on a terminal
    from rich.text import Text

    table = Table(header_style="bold")
    for heading in headings[:-1]:
        table.add_column(heading, no_wrap=True)
    table.add_column(headings[-1], overflow="fold", no_wrap=not names)
    for row in rows:
        table.add_row(*(Text(printable(text)) for text in row))
    out.console.print(table)
