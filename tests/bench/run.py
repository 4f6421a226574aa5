"""Measures this package beside other clients, in one run: `nox -s bench`, or `python tests/bench/run.py --quick`.

All clients take turns in every round, against a server in a separate process, so that other load on the machine affects
all of them. Values are medians with their quartiles; a ratio is the median of the ratios of the rounds. The report has
the time of a call and the CPU time of the client's process, which a busy machine changes less. Bounds are kept or
MISSED; with `--check` a missed one fails the run.
"""

import argparse
import datetime
import json
import os
import platform
import sys
import time
from pathlib import Path

if __package__ in {None, ""}:  # run as a script
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.bench import cold, readme, report
from tests.bench.contenders import LEFT_OUT, OURS_ASYNC
from tests.bench.rounds import measure
from tests.bench.server import LoopbackServer
from tests.bench.tails import measure as measure_tails

ROOT = Path(__file__).resolve().parents[2]
IMPORT_OF_OURS = "from pagerduty_alerting import AsyncClient"


def run(rounds: int, seconds: float, *, quick: bool) -> report.Results:
    """Measures everything."""
    started = time.monotonic()

    def progress(text: str) -> None:
        if sys.stderr.isatty():
            print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)

    calls = report.of_calls(measure(rounds, seconds, progress, quick=quick))
    tails = report.of_tails(measure_tails(rounds, progress))
    progress("imports")
    imports = report.of_values(cold.import_times(rounds), IMPORT_OF_OURS, scale=1e3)
    progress("processes")
    with LoopbackServer() as server:
        took, grown = cold.first_calls(server.url, min(rounds, 3))
        answers = cold.first_answers(server.url, rounds)
        commands = cold.command_line(server.url, rounds)
    sizes = {name: [value] for name, value in cold.installed_sizes().items()}
    progress("")
    date = datetime.datetime.now(datetime.UTC).date()
    machine = (
        f"{date}, Python {platform.python_version()}, {platform.system()} {platform.machine()}, {os.cpu_count()} CPUs,"
        f" {rounds} {'short ' if quick else ''}rounds, {time.monotonic() - started:.0f} s"
    )
    return {
        "machine": machine,
        "versions": cold.versions(),
        "left_out": LEFT_OUT,
        "tails": tails,
        "sections": {
            report.CALLS: calls,
            report.IMPORT: {"import": imports},
            report.FIRST: {
                "first answer": report.of_values(answers, "one call of AsyncClient", scale=1e3),
                "command line": report.of_values(commands, cold.SERVICES_LIST, scale=1e3),
                "one call": report.of_values(took, OURS_ASYNC, scale=1e3),
            },
            report.MEMORY: {"memory": report.of_values(grown, OURS_ASYNC)},
            report.SIZE: {"size": report.of_values(sizes, "pagerduty_alerting")},
        },
    }


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="fail if a bound is missed")
    parser.add_argument("--write", action="store_true", help="write the table of the README")
    parser.add_argument("--last", action="store_true", help="measure nothing, take the results of the last run")
    parser.add_argument("--quick", action="store_true", help="three short rounds, without the longest lists")
    parser.add_argument("--rounds", type=int, help="how often all take turns (11, or 3 with --quick)")
    parser.add_argument("--seconds", type=float, help="how long each client's part of a round takes (0.12, or 0.03)")
    parser.add_argument("--json", type=Path, default=ROOT / ".benchmarks" / "bench.json", help="where results are kept")
    options = parser.parse_args()
    if options.last:
        results = json.loads(options.json.read_text(encoding="utf-8"))
    else:
        rounds = options.rounds or (3 if options.quick else 11)
        results = run(rounds, options.seconds or (0.03 if options.quick else 0.12), quick=options.quick)
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(results, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    print("\n".join(report.table(results)))
    if options.write:
        readme.write(ROOT / "README.md", results)
    missed = [verdict.promise for verdict in report.verdicts(results) if not verdict.kept]
    if options.check and missed:
        sys.exit("missed: " + "; ".join(missed))


if __name__ == "__main__":
    main()
