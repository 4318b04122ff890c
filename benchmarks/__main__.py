"""python -m benchmarks NAME [--quick] [--json]: measure, with all that is needed started and stopped."""

from __future__ import annotations

import argparse
import json
import signal
import sys

from rich.console import Console
from rich.table import Table

from benchmarks import fanout, inference
from benchmarks.figures import CAPACITY_PER_S, Figures, as_json, rounded
from benchmarks.passages import FanOut
from benchmarks.stage import Report
from benchmarks.ways import WAYS
from switchyard.core.errors import SwitchyardError


def main() -> None:
    given = _parser().parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    progress = Console(stderr=True, highlight=False)

    def report(line: str) -> None:
        progress.print(line, markup=False, soft_wrap=True)

    try:
        line, table = _fanout(given, report) if given.command == "fanout" else _inference(given, report)
    except SwitchyardError as error:
        sys.exit(str(error))
    if given.json:
        sys.stdout.write(line + "\n")
    else:
        Console().print(table)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    ways = commands.add_parser("inference", help="three ways to have a model decide about each message")
    fan = commands.add_parser("fanout", help="from a question to the gathered answers of three agents")
    for command in (ways, fan):
        command.add_argument("--quick", action="store_true", help="one short run instead of three")
        command.add_argument("--json", action="store_true", help="print the results as one line of JSON, the last one")
    ways.add_argument("--only", action="append", choices=list(WAYS), metavar="WAY", help="leave the others out")
    return parser


def _inference(given: argparse.Namespace, report: Report) -> tuple[str, Table]:
    plan = inference.QUICK if given.quick else inference.Plan()
    results = inference.run(plan, given.only or list(WAYS), report)
    return as_json(results), _ways_table(results)


def _fanout(given: argparse.Namespace, report: Report) -> tuple[str, Table]:
    figures = fanout.run(fanout.QUICK if given.quick else fanout.Plan(), report)
    return json.dumps(rounded(figures)), _fanout_table(figures)


def _ways_table(results: dict[str, Figures]) -> Table:
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


def _fanout_table(figures: FanOut) -> Table:
    table = Table()
    table.add_column("figure")
    table.add_column("value", justify="right")
    for name, value in rounded(figures).items():
        table.add_row(name.removesuffix("_ms"), f"{value:.2f}" if name.endswith("_ratio") else f"{value:.0f} ms")
    return table


if __name__ == "__main__":
    main()
