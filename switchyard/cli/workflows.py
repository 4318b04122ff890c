"""The command `workflows`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, get_args

import typer

from switchyard import terminal
from switchyard.cli import formatting
from switchyard.cli.options import AppName, Json, Kafka, Namespace
from switchyard.core.errors import SwitchyardError
from switchyard.core.orchestrator.workflow import WorkflowStatus

if TYPE_CHECKING:
    from switchyard.cli.options import AppOnKafka

FIELDS = (
    *("workflow_id", "app", "status", "code", "hops", "model_calls", "started_at", "ended_at", "reason"),
    *("dispatches", "duplicates", "dead_letters", "tokens", "cost", "approvals"),
)


def workflows(
    app: AppName = None,
    status: Annotated[
        str | None, typer.Option("--status", help="Only " + ", ".join(get_args(WorkflowStatus)) + ".")
    ] = None,
    namespace: Namespace = None,
    kafka: Kafka = None,
    as_json: Json = False,
) -> None:
    """List the workflows of an app: how each stands, what it took, why it ended."""
    from switchyard.cli.options import AppOnKafka

    if status is not None and status not in get_args(WorkflowStatus):
        raise SwitchyardError(f"--status {status}: there are {', '.join(get_args(WorkflowStatus))}")
    target = AppOnKafka.find(app, namespace, kafka)
    every = all_workflows(target)
    chosen = [item for item in every if status in (None, item["status"])]
    if as_json:
        terminal.say_json(line(item) for item in chosen)
    elif chosen:
        _show(chosen)
    elif every:
        terminal.say(f"None of the {len(every)} workflows of {target.topics.namespace} is {status}.")
    else:
        terminal.say(
            f"There are no workflows in {target.topics.namespace} yet. Start one: switchyard send FILE {target.options}"
        )
    if not as_json:
        _say_paused(target)


def all_workflows(target: AppOnKafka) -> list[dict[str, Any]]:
    """All workflows of an app: from their status events, or from the ledger where a stateless job wrote none."""
    from switchyard.cli import reading
    from switchyard.core.orchestrator.ledger_view import derive

    summaries = reading.summaries(target)
    if not summaries:
        summaries = list(derive(reading.decisions(target), target.app.name).values())
    return sorted(summaries, key=lambda item: (item["started_at"], item["workflow_id"]))


def line(summary: Mapping[str, Any]) -> dict[str, Any]:
    """One workflow as an object of `--json`."""
    times = {name: formatting.iso(summary.get(name)) for name in ("started_at", "ended_at")}
    return {name: times.get(name, summary.get(name)) for name in FIELDS}


def status_of(summary: Mapping[str, Any]) -> str:
    """How it stands, in words: with the code of what stopped it, and how many approvals it waits for."""
    waiting = len(summary.get("approvals") or ())
    if waiting:
        return f"{summary['status']} ({formatting.counted(waiting, 'approval')})"
    return f"{summary['status']} ({summary['code']})" if summary.get("code") else str(summary["status"])


def _say_paused(target: AppOnKafka) -> None:
    from switchyard.cli import control_client

    paused = control_client.paused(target)
    if paused is not None:
        since = f"since {formatting.clock(paused.since)} by {paused.by}"
        terminal.say(f"{target.topics.namespace} is paused {since}. Go on: switchyard resume {target.again}")


def _show(summaries: Sequence[Mapping[str, Any]]) -> None:
    with_cost = any(item.get("cost") is not None for item in summaries)
    headings = ["workflow", "status", "hops>", "model>", "tokens>", *(["cost>"] if with_cost else [])]
    headings += ["again>", "dead>", "started", "took>", "reason"]
    rows = []
    for item in summaries:
        took = formatting.lasted(item["ended_at"] - item["started_at"]) if item.get("ended_at") else None
        cost = [None if item.get("cost") is None else f"{item['cost']:.4f}"] if with_cost else []
        counted = [item.get(name) for name in ("hops", "model_calls", "tokens")]
        after = [item.get("duplicates"), item.get("dead_letters"), formatting.clock(item["started_at"]), took]
        rows.append([item["workflow_id"], status_of(item), *counted, *cost, *after, item.get("reason") or ""])
    formatting.table(headings, rows)
    counts = {name: sum(item["status"] == name for item in summaries) for name in ("running", "queued")}
    queued = f", {counts['queued']} queued" if counts["queued"] else ""
    listed = formatting.counted(len(summaries), "workflow")
    terminal.say(f"{listed}, {counts['running']} running{queued}. One in detail: switchyard trace WORKFLOW")
    if any(item.get("approvals") for item in summaries):
        terminal.say("What waits for approval: switchyard approvals list")
