"""python -m benchmarks inference [--quick] [--json]: measure, with all that is needed started and stopped."""

from __future__ import annotations

import argparse
import signal
import sys

from rich.console import Console
from rich.table import Table

from benchmarks import inference
from benchmarks.figures import CAPACITY_PER_S, Figures, as_json
from benchmarks.ways import WAYS
from switchyard.core.errors import SwitchyardError


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    command = commands.add_parser("inference", help="three ways to have a model decide about each message")
    command.add_argument("--quick", action="store_true", help="one short run instead of three")
    command.add_argument("--json", action="store_true", help="print the results as one line of JSON, the last one")
    command.add_argument("--only", action="append", choices=list(WAYS), metavar="WAY", help="leave the others out")
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    progress = Console(stderr=True, highlight=False)
    plan = inference.QUICK if given.quick else inference.Plan()
    try:
        results = inference.run(
            plan, given.only or list(WAYS), lambda line: progress.print(line, markup=False, soft_wrap=True)
        )
    except SwitchyardError as error:
        sys.exit(str(error))
    if given.json:
        sys.stdout.write(as_json(results) + "\n")
    else:
        Console().print(_table(results))


def _table(results: dict[str, Figures]) -> Table:
    table = Table()
    for title in ("way", "messages/s", f"of {CAPACITY_PER_S:.0f}", "p50 overhead", "p99 overhead"):
        table.add_column(title, justify="left" if title == "way" else "right")
    for way, figures in results.items():
        table.add_row(
            way,
            f"{figures.throughput_per_s:.1f}",
            f"{figures.throughput_ratio:.0%}",
            f"{figures.p50_overhead_ms:.0f} ms",
            f"{figures.p99_overhead_ms:.0f} ms",
        )
    return table


if __name__ == "__main__":
    main()
