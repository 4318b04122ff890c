"""The command `demo`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from switchyard.cli.options import AppArgument


def demo(
    app: AppArgument = None,
    stop: Annotated[bool, typer.Option("--exit", help="Run until all has ended, then stop what this started.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as the last line, as JSON.")] = False,
    file: Annotated[Path | None, typer.Option("--input", help="Another input file, one record a line.")] = None,
    stateless: Annotated[bool, typer.Option("--stateless", help="The job in plain SQL around route_message.")] = False,
    kafka: Annotated[str | None, typer.Option(metavar="HOST:PORT", help="Use this Kafka, and start none.")] = None,
    flink: Annotated[
        str | None, typer.Option(metavar="http://HOST:PORT", help="Use this Flink, and start none.")
    ] = None,
) -> None:
    """Run an app end to end on a real broker, a real Flink and a model, and show what happens."""
    from switchyard.cli.app_choice import app_or_example
    from switchyard.cli.demo_run import run_demo
    from switchyard.environment import read_settings

    settings = read_settings(kafka=kafka, flink=flink)
    run_demo(app_or_example(app, settings), settings, stop, as_json, file, stateless)
