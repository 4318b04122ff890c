"""The command `stop`."""

from __future__ import annotations

from typing import Annotated

import typer

from switchyard import terminal
from switchyard.cli.options import AppArgument, OwnNamespace


def stop(
    app: AppArgument = None,
    savepoint: Annotated[bool, typer.Option("--savepoint", help="Write the job's state to a savepoint first.")] = False,
    namespace: OwnNamespace = None,
    flink: Annotated[
        str | None, typer.Option(metavar="http://HOST:PORT", help="Flink; the local stack's if not given.")
    ] = None,
) -> None:
    """Stop an app's job, and say how to continue from where it was. Nothing in Kafka is touched."""
    from switchyard.cli.app_choice import app_argument
    from switchyard.cli.options import namespaced
    from switchyard.core.app import App
    from switchyard.deployment import stop as stopping
    from switchyard.environment import read_settings
    from switchyard.local.stack import Stack

    settings = read_settings(flink=flink)
    argument = app_argument(app, settings)
    name = namespaced(namespace or App.load(argument).name).namespace
    flink_target = stopping.FlinkTarget.find(settings, Stack.of(settings).info())
    for done in stopping.stop(name, savepoint, flink_target, terminal.say):
        if done.state is None:
            terminal.say(
                f"{done.name} is stopped; it had written no state yet. Start it anew: switchyard submit {argument}"
            )
            continue
        command = stopping.continuing(argument, done.state, namespace=namespace, stateless=done.stateless, flink=flink)
        terminal.say(f"{done.name} is stopped. Its {'savepoint' if savepoint else 'newest checkpoint'}: {done.state}")
        terminal.say(f"Continue from it: {command}")
