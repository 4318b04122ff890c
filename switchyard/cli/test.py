"""The command `test`."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from switchyard import terminal
from switchyard.cli.options import AppArgument
from switchyard.core.errors import SwitchyardError


def test(
    app: AppArgument = None,
    case: Annotated[str | None, typer.Option("--case", metavar="NAME", help="Run this case only.")] = None,
) -> None:
    """Run the app's cases (sql/tests/*.yaml) on an in-process Flink, without Kafka. Exit 1 if one fails."""
    import os

    from switchyard.cli.app_choice import app_argument
    from switchyard.core.app import App
    from switchyard.core.model.access import REMOTE_SWITCH
    from switchyard.environment import read_settings
    from switchyard.local.java import java
    from switchyard.testing.cases import load
    from switchyard.testing.runner import run_cases

    begun = time.monotonic()
    loaded = App.load(app_argument(app, read_settings()))
    os.environ[REMOTE_SWITCH] = "0"
    cases = load(loaded)
    chosen = [item for item in cases if case in (None, item.name)]
    if not chosen:
        raise SwitchyardError(f"there is no case {case!r}; there are {', '.join(item.name for item in cases)}")
    java()
    report = run_cases(loaded, chosen, terminal.say)
    failed = 0
    for outcome in report.outcomes:
        differences = outcome.differences()
        failed += bool(differences)
        terminal.say(f"{'FAILED' if differences else 'ok':<7} {outcome.case.name}")
        for line in differences:
            terminal.say(f"        {line}")
    for stray in report.unmatched:
        terminal.say(f"FAILED  {stray}")
    passed = len(chosen) - failed
    terminal.say(f"{passed} of {len(chosen)} cases passed in {time.monotonic() - begun:.0f} s.")
    if not report.passed:
        raise typer.Exit(1)
