"""python -m benchmarks NAME [--quick] [--json]: measure, with all that is needed started and stopped."""

from __future__ import annotations

import argparse
import json
import signal
import sys
from collections.abc import Callable, Mapping
from typing import Any, Literal

from rich.console import Console
from rich.table import Table

from benchmarks import fanout, hang, inference, rules, state, workflows
from benchmarks.figures import rounded
from benchmarks.stage import Report, Stage, stage
from switchyard.core.errors import SwitchyardError

Size = Literal["whole", "quick", "smallest"]
Results = dict[str, Any]
"""Figures by name, or by way and name."""


def _inference(there: Stage, size: Size, report: Report) -> Results:
    return {way: rounded(found) for way, found in inference.run(there, inference.PLANS[size], report).items()}


def _fanout(there: Stage, size: Size, report: Report) -> Results:
    return rounded(fanout.run(there, fanout.PLANS[size], report))


def _rules(there: Stage, size: Size, report: Report) -> Results:
    return {way: rounded(found) for way, found in rules.run(there, rules.PLANS[size], report).items()}


def _hang(there: Stage, size: Size, report: Report) -> Results:
    return rounded(hang.run(there, hang.PLANS[size], report))


def _state(there: Stage, size: Size, report: Report) -> Results:
    return rounded(state.run(there, state.PLANS[size], report))


def _workflows(there: Stage, size: Size, report: Report) -> Results:
    return rounded(workflows.run(there, workflows.PLANS[size], report))


BENCHMARKS: dict[str, tuple[str, Callable[[Stage, Size, Report], Results]]] = {
    "inference": ("three ways to have a model decide about each message", _inference),
    "rules": ("a rule in SQL decides about each event, beside PyFlink's ceiling and a plain loop", _rules),
    "hang": ("what a call that is never answered costs the others", _hang),
    "state": ("what open workflows hold, how long checkpoints take, and what is left", _state),
    "workflows": ("whole workflows of the SDR app, and the CPU time that each takes", _workflows),
    "fanout": ("from a question to the gathered answers of three agents", _fanout),
}


def main() -> None:
    given = _parser().parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    progress = Console(stderr=True, highlight=False)

    def report(line: str) -> None:
        progress.print(line, markup=False, soft_wrap=True)

    names = list(BENCHMARKS) if given.name == "all" else [given.name]
    try:
        with stage(report) as there:
            results = {name: BENCHMARKS[name][1](there, given.size, report) for name in names}
    except SwitchyardError as error:
        sys.exit(str(error))
    if given.json:
        sys.stdout.write(json.dumps(results if given.name == "all" else results[given.name]) + "\n")
    else:
        for name, found in results.items():
            Console().print(_table(name, found))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    commands = parser.add_subparsers(dest="name", required=True)
    described = {**{name: text for name, (text, _) in BENCHMARKS.items()}, "all": "each of them, one after the other"}
    for name, text in described.items():
        command = commands.add_parser(name, help=text)
        size = command.add_mutually_exclusive_group()
        size.add_argument("--quick", dest="size", action="store_const", const="quick", help="one short run, not three")
        size.add_argument(
            "--smallest", dest="size", action="store_const", const="smallest", help="only to see that it runs"
        )
        command.set_defaults(size="whole")
        command.add_argument("--json", action="store_true", help="print the results as one line of JSON, the last one")
    return parser


def _table(title: str, results: Results) -> Table:
    """Ways down and figures across, or one figure a row."""
    table = Table(title=title)
    if not all(isinstance(found, Mapping) for found in results.values()):
        table.add_column("figure")
        table.add_column("value", justify="right")
        for name, value in results.items():
            table.add_row(name, str(value))
        return table
    table.add_column("way")
    for name in next(iter(results.values())):
        table.add_column(name, justify="right")
    for way, figures in results.items():
        table.add_row(way, *(str(value) for value in figures.values()))
    return table


if __name__ == "__main__":
    main()
