"""Measures this package beside other clients, in one run: `nox -s bench`, or `python tests/bench/run.py --quick`.

All clients take turns in every round, against a server in a process of its own, so that whatever else the machine does
hits all of them. Values are medians, with the quarters of the rounds below and above as their spread; a ratio is the
median of the rounds' ratios. Beside the time that a call takes stands the CPU time that the client's process spends on
it, which tells the same on a busy machine. `--readme` prints the tables of the README from the last run.
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

from tests.bench import cold, report
from tests.bench.contenders import LEFT_OUT, OURS_ASYNC
from tests.bench.rounds import measure
from tests.bench.server import LoopbackServer

ROOT = Path(__file__).resolve().parents[2]
IMPORT_OF_OURS = "from pagerduty_alerting import AsyncClient"


def run(rounds: int, seconds: float, *, quick: bool) -> report.Results:
    """Measures everything."""
    started = time.monotonic()

    def progress(text: str) -> None:
        if sys.stderr.isatty():
            print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)

    calls = report.of_calls(measure(rounds, seconds, progress, quick=quick))
    progress("imports")
    imports = report.of_values(cold.import_times(rounds), IMPORT_OF_OURS, scale=1e3)
    progress("memory")
    with LoopbackServer() as server:
        memory = report.of_values(cold.memory(server.url, 3), OURS_ASYNC)
    sizes = {name: [value] for name, value in cold.installed_sizes().items()}
    progress("")
    date = datetime.datetime.now(datetime.UTC).date()
    machine = (
        f"{date}, Python {platform.python_version()}, {platform.system()} {platform.machine()}, {os.cpu_count()} CPUs,"
        f" {rounds} rounds, {time.monotonic() - started:.0f} s"
    )
    return {
        "machine": machine,
        "versions": cold.versions(),
        "left_out": LEFT_OUT,
        "sections": {
            report.CALLS: calls,
            report.IMPORT: {"import": imports},
            report.MEMORY: {"memory": memory},
            report.SIZE: {"size": report.of_values(sizes, "pagerduty_alerting")},
        },
    }


def main() -> None:
    """Measures and prints, or prints what was measured last."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="five short rounds, without the largest scenarios")
    parser.add_argument("--rounds", type=int, help="how often all take turns (11, or 5 with --quick)")
    parser.add_argument("--seconds", type=float, help="how long each client's part of a round takes (0.2, or 0.04)")
    parser.add_argument("--json", type=Path, default=ROOT / ".benchmarks" / "bench.json", help="where results are kept")
    parser.add_argument("--readme", action="store_true", help="measure nothing; print the README's tables")
    options = parser.parse_args()
    if options.readme:
        print("\n".join(report.readme(json.loads(options.json.read_text(encoding="utf-8")))))
        return
    rounds = options.rounds or (5 if options.quick else 11)
    results = run(rounds, options.seconds or (0.04 if options.quick else 0.2), quick=options.quick)
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps(results, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    print("\n".join(report.table(results)))


if __name__ == "__main__":
    main()
