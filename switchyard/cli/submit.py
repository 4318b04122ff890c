"""The command `submit`."""

from __future__ import annotations

from typing import Annotated

import typer


def submit(
    app: Annotated[str, typer.Argument(help="Name or folder of the app.")],
    namespace: Annotated[str | None, typer.Option(help="Prefix of its topics; the app's name if not given.")] = None,
    start: Annotated[
        str | None,
        typer.Option(
            "--from", metavar="PATH", help="Continue from this savepoint or checkpoint, in place of what runs."
        ),
    ] = None,
    stateless: Annotated[bool, typer.Option("--stateless", help="The job in plain SQL around route_message.")] = False,
    kafka: Annotated[str | None, typer.Option(help="Kafka, HOST:PORT; the local stack's if not given.")] = None,
    flink: Annotated[str | None, typer.Option(help="Flink, http://HOST:PORT; the local stack's if not given.")] = None,
    ship_python: Annotated[
        bool, typer.Option("--ship-python", help="Send our Python packages; the cluster's has only apache-flink.")
    ] = False,
    python: Annotated[
        str | None, typer.Option(help="Python on the TaskManagers of an existing Flink; python3 if not given.")
    ] = None,
) -> None:
    """Check everything, create missing topics, and run an app's job on Flink in place of the one that runs."""
    from switchyard.cli.options import namespaced
    from switchyard.core.app import App
    from switchyard.deployment import submit
    from switchyard.deployment.target import Target
    from switchyard.environment import read_settings
    from switchyard.local.stack import Stack

    settings = read_settings(kafka=kafka, flink=flink, flink_python=python)
    name = namespaced(namespace or App.load(app).name).namespace
    target = Target.find(settings, Stack.of(settings).info())
    wanted = submit.Submission(app, name, stateless, ship_python, start)
    done = submit.submit(wanted, target, settings, typer.echo)
    typer.echo(f"{done.name} runs as {done.job_id}. Look at it: {target.flink}/#/job/{done.job_id}/overview")
    inputs = App.load(app).registry.file.inputs
    if inputs:
        typer.echo(f"Send it something: switchyard send FILE --app {app} --topic {inputs[0].topic}")
