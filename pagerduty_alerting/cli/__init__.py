"""The command line: its entry point, which reports a missing `cli` extra.

app        the commands with their options and help texts
options    the options that several commands share
settings   credentials, account, base URL and timeout, from options, files and environment
terminal   the output streams: text, paragraphs, warnings, the log
output     services, ids and durations as tables, lines and JSON
failures   exit statuses and error messages
commands/  what the commands do, one file for each
"""

import sys
from importlib.util import find_spec

__all__ = ["main"]


def main() -> None:
    """Runs the command that `sys.argv` asks for, and exits with its status."""
    try:
        missing = [name for name in ("typer", "rich") if find_spec(name) is None]
        if missing:
            print(
                f"pagerduty-alerting: {' and '.join(missing)} not found. The command line is an extra, installed from a"
                " checkout of the project, as nothing is on a package index yet: pip install '.[cli]'",
                file=sys.stderr,
            )
            sys.exit(2)
        from pagerduty_alerting.cli.app import run

        run()
    except KeyboardInterrupt:  # while modules are imported, before a command runs
        sys.exit(130)
