"""The command line: its entry point, which says so where the extra that it needs is not installed."""

import sys
from importlib.util import find_spec

__all__ = ["main"]


def main() -> None:
    """Runs the command that `sys.argv` asks for, and exits with its status."""
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
