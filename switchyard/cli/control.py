"""The commands `cancel`, `pause` and `resume`."""

from __future__ import annotations

from typing import Annotated

import typer

from switchyard import terminal
from switchyard.cli import formatting
from switchyard.cli.options import AppArgument, AppName, Kafka, Namespace, OwnNamespace
from switchyard.core.errors import SwitchyardError


def cancel(
    workflow: Annotated[str, typer.Argument(metavar="WORKFLOW", help="Its id, as `switchyard workflows` lists it.")],
    reason: Annotated[str, typer.Option("--reason", help="Why; it stands in the ledger.")] = "",
    app: AppName = None,
    namespace: Namespace = None,
    kafka: Kafka = None,
) -> None:
    """End a workflow: no agent gets anything more of it, and what agents still answer counts no more.

    Which shard it is on follows from the ledger, and from SWITCHYARD_SHARDS where nothing stands there yet.
    """
    from switchyard.cli import control_client, reading
    from switchyard.cli.options import AppOnKafka

    target = AppOnKafka.find(app, namespace, kafka)
    latest = reading.latest_statuses(target).get(workflow)
    if latest is None:
        raise SwitchyardError(
            f"no status of workflow {workflow!r} stands in {target.topics.workflow_status}; "
            f"list the workflows: switchyard workflows {target.options}"
        )
    status = latest.summary
    if reading.has_ended(status):
        raise SwitchyardError(
            f"workflow {workflow} ended already: {status['status']} at {formatting.clock(status['ended_at'])}"
        )
    control = control_client.new(target, "cancel", reason, workflow)
    control_client.send(target, control)
    ended = control_client.wait_for(target, control, latest, reading.has_ended)
    if ended["status"] != "cancelled":
        raise SwitchyardError(f"workflow {workflow} came to its end before: it is {ended['status']}")
    terminal.say(f"Workflow {workflow} is cancelled.")


def pause(app: AppArgument = None, namespace: OwnNamespace = None, kafka: Kafka = None) -> None:
    """Hold an app: nothing is decided and no agent gets anything until `resume`. Nothing is lost.

    How many shards there are follows from the ledger, and from SWITCHYARD_SHARDS where nothing stands there yet.
    """
    from switchyard.cli import control_client
    from switchyard.cli.namespace_choice import changed_namespace
    from switchyard.cli.options import AppOnKafka

    target = AppOnKafka.find(app, namespace, kafka, changed_namespace)
    shards = control_client.send(target, control_client.new(target, "pause"))
    terminal.say(
        f"Told {formatting.counted(shards, 'shard')} of {target.topics.namespace} to pause: what comes is kept. "
        f"Go on: switchyard resume {target.again}"
    )


def resume(app: AppArgument = None, namespace: OwnNamespace = None, kafka: Kafka = None) -> None:
    """Let an app that is paused go on with all that has come meanwhile."""
    from switchyard.cli import control_client
    from switchyard.cli.namespace_choice import changed_namespace
    from switchyard.cli.options import AppOnKafka

    target = AppOnKafka.find(app, namespace, kafka, changed_namespace)
    shards = control_client.send(target, control_client.new(target, "resume"))
    terminal.say(f"Told {formatting.counted(shards, 'shard')} of {target.topics.namespace} to go on.")
