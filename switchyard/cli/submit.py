"""The command `submit`."""

from __future__ import annotations

from typing import Annotated

import typer

from switchyard import terminal
from switchyard.cli.options import AppArgument, OwnNamespace


def submit(
    app: AppArgument = None,
    namespace: OwnNamespace = None,
    start: Annotated[
        str | None,
        typer.Option(
            "--from", metavar="PATH", help="Continue from this savepoint or checkpoint, in place of what runs."
        ),
    ] = None,
    stateless: Annotated[bool, typer.Option("--stateless", help="The job in plain SQL around route_message.")] = False,
    kafka: Annotated[
        str | None, typer.Option(metavar="HOST:PORT", help="Kafka; the local stack's if not given.")
    ] = None,
    flink: Annotated[
        str | None, typer.Option(metavar="http://HOST:PORT", help="Flink; the local stack's if not given.")
    ] = None,
    ship_python: Annotated[
        bool, typer.Option("--ship-python", help="Send our Python packages; the cluster's has only apache-flink.")
    ] = False,
    python: Annotated[
        str | None,
        typer.Option(metavar="PATH", help="Python on the TaskManagers of an existing Flink; python3 if not given."),
    ] = None,
) -> None:
    """Check everything, create missing topics, and run an app's job on Flink in place of the one that runs."""
    from switchyard.cli.app_choice import app_argument
    from switchyard.cli.options import namespaced
    from switchyard.core.app import App
    from switchyard.deployment import submit
    from switchyard.deployment.target import Target
    from switchyard.environment import read_settings
    from switchyard.local.stack import Stack

    settings = read_settings(kafka=kafka, flink=flink, flink_python=python)
    argument = app_argument(app, settings)
    loaded = App.load(argument)
    name = namespaced(namespace or loaded.name).namespace
    target = Target.find(settings, Stack.of(settings).info())
    wanted = submit.Submission(argument, name, stateless, ship_python, start)
    done = submit.submit(wanted, target, settings, terminal.say)
    terminal.say(f"{done.name} runs as {done.job_id}. Look at it: {target.flink}/#/job/{done.job_id}/overview")
    inputs = loaded.registry.file.inputs
    if inputs:
        again = argument if name == loaded.name else f"{argument} --namespace {name}"
        terminal.say(f"Send it something: switchyard send FILE --app {again} --topic {inputs[0].topic}")
