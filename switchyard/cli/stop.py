"""The command `stop`."""

from __future__ import annotations

from typing import Annotated

import typer

from switchyard.cli.options import Namespace


def stop(
    app: Annotated[str, typer.Argument(help="Name or folder of the app.")],
    savepoint: Annotated[bool, typer.Option("--savepoint", help="Write the job's state to a savepoint first.")] = False,
    namespace: Namespace = None,
    flink: Annotated[str | None, typer.Option(help="Flink, http://HOST:PORT; the local stack's if not given.")] = None,
) -> None:
    """Stop an app's job, and say how to continue from where it was. Nothing in Kafka is touched."""
    from switchyard.cli.options import namespaced
    from switchyard.core.app import App
    from switchyard.deployment import stop as stopping
    from switchyard.environment import read_settings
    from switchyard.local.stack import Stack

    name = namespaced(namespace or App.load(app).name).namespace
    settings = read_settings(flink=flink)
    flink_target = stopping.FlinkTarget.find(settings, Stack.of(settings).info())
    for done in stopping.stop(name, savepoint, flink_target, typer.echo):
        if done.state is None:
            typer.echo(f"{done.name} is stopped; it had written no state yet. Start it anew: switchyard submit {app}")
            continue
        command = stopping.continuing(app, done.state, namespace=namespace, stateless=done.stateless, flink=flink)
        typer.echo(f"{done.name} is stopped. Its {'savepoint' if savepoint else 'newest checkpoint'}: {done.state}")
        typer.echo(f"Continue from it: {command}")
