"""The command `trace`."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from switchyard import terminal
from switchyard.cli.options import AppName, Json, Kafka, Namespace
from switchyard.core.errors import SwitchyardError


def trace(
    workflow: Annotated[str, typer.Argument(metavar="WORKFLOW", help="Its id, as `switchyard workflows` lists it.")],
    app: AppName = None,
    namespace: Namespace = None,
    kafka: Kafka = None,
    as_json: Json = False,
) -> None:
    """Show one workflow step by step: which event, which agent, decided by what, why, at what cost."""
    from switchyard.cli import reading
    from switchyard.cli.options import AppOnKafka
    from switchyard.cli.rendering import render_trace
    from switchyard.cli.workflows import all_workflows
    from switchyard.core.ledger.effective import FirstRecords

    target = AppOnKafka.find(app, namespace, kafka)
    records = reading.decisions(target, workflow)
    if as_json:
        terminal.say_json(json.loads(record.json()) for record in FirstRecords(records).records)
        if records:
            return
    status = next((item for item in all_workflows(target) if item["workflow_id"] == workflow), None)
    letters = [item.letter for item in reading.dead_letters(target, workflow)]
    if not records and status is None and not letters:
        raise SwitchyardError(
            f"nothing is known of workflow {workflow!r} in {target.topics.namespace}; "
            f"list them: switchyard workflows {target.options}"
        )
    if as_json:
        return
    terminal.show(render_trace(records, status, letters))
    if status is not None and not reading.has_ended(status):
        agents = {name for record in records for name in record.agents if name in target.app.registry.agents}
        for topic in target.cluster.unread(target.topics.inboxes(sorted(agents))):
            terminal.say(f"nobody reads this inbox: {topic}; is its worker up? switchyard status")
