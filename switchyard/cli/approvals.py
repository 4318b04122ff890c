"""The commands `approvals list`, `show`, `approve` and `reject`."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from switchyard import terminal
from switchyard.cli import formatting
from switchyard.cli.options import AppName, Json, Kafka, Namespace
from switchyard.core.errors import SwitchyardError

if TYPE_CHECKING:
    from switchyard.cli.options import AppOnKafka
    from switchyard.cli.reading import LatestStatus
    from switchyard.core.ledger.record import Decision

SHOWN = 8

Identity = Annotated[str, typer.Argument(metavar="ID", help="As `list` shows it; as much of it as is needed.")]

approvals = typer.Typer(
    help="What waits for a person's approval: list it, show one, approve or reject it.",
    no_args_is_help=True,
    add_completion=False,
)


@dataclass(frozen=True)
class Approval:
    """A dispatch of `type` to `agent` that waits. Times are milliseconds since 1970; `until` may be None, for ever.

    `content` is the hash of its event; `latest` is the status that tells of it.
    """

    id: str
    workflow_id: str
    agent: str
    type: str
    content: str
    since: int
    until: int | None
    latest: LatestStatus


@approvals.command("list")
def list_all(app: AppName = None, namespace: Namespace = None, kafka: Kafka = None, as_json: Json = False) -> None:
    """List what waits for approval, the oldest first."""
    waiting_now = waiting(_find(app, namespace, kafka))
    if as_json:
        terminal.say_json(_line(item) for item in waiting_now)
    elif not waiting_now:
        terminal.say("Nothing waits for approval.")
    else:
        short = _shortest([item.id for item in waiting_now])
        rows = [
            [item.id[:short], item.agent, item.type, formatting.clock(item.since), _until(item), item.workflow_id]
            for item in waiting_now
        ]
        formatting.table(["id", "agent", "event", "since", "until", "workflow"], rows)
        terminal.say(
            "See one: switchyard approvals show ID. Then: switchyard approvals approve ID, "
            "or switchyard approvals reject ID --reason TEXT"
        )


@approvals.command()
def show(
    identity: Identity, app: AppName = None, namespace: Namespace = None, kafka: Kafka = None, as_json: Json = False
) -> None:
    """Show one: the event that the agent would get, and why it was chosen."""
    target = _find(app, namespace, kafka)
    item = one(waiting(target), identity)
    record = _record(target, item)
    event = None if record is None else record.parsed_event().object()
    why = None if record is None else {"decided_by": record.decided_by, "reason": record.reason}
    if as_json:
        terminal.say_json([{**_line(item), **(why or {}), "event": event}])
        return
    heading = {"id": item.id, "agent": item.agent, "workflow": item.workflow_id, "since": formatting.clock(item.since)}
    for name, value in {**heading, "until": _until(item), **(why or {})}.items():
        terminal.say(f"{name.replace('_', ' '):<11} {formatting.one_line(value)}")
    if event is None:
        terminal.say("The ledger no longer has the decision, so the event cannot be shown.")
    else:
        terminal.say_text(formatting.readable(json.dumps(event, indent=2, ensure_ascii=False).encode()))


@approvals.command()
def approve(
    identity: Identity,
    reason: Annotated[str, typer.Option("--reason", help="Why; it stands in the ledger.")] = "",
    app: AppName = None,
    namespace: Namespace = None,
    kafka: Kafka = None,
) -> None:
    """Let the agent have the event."""
    _decide("approve", _find(app, namespace, kafka), identity, reason)


@approvals.command()
def reject(
    identity: Identity,
    reason: Annotated[str, typer.Option("--reason", help="Why; it stands in the ledger and in the status.")],
    app: AppName = None,
    namespace: Namespace = None,
    kafka: Kafka = None,
) -> None:
    """Refuse: the workflow is stopped."""
    if not reason.strip():
        raise SwitchyardError("say why with --reason TEXT; whoever began the workflow will read it")
    _decide("reject", _find(app, namespace, kafka), identity, reason)


def waiting(target: AppOnKafka) -> list[Approval]:
    """What waits by the newest statuses, the oldest first."""
    from switchyard.cli import reading

    approvals = [
        Approval(
            item["id"], workflow, item["agent"], item["type"], item["content"], item["since"], item["until"], latest
        )
        for workflow, latest in reading.latest_statuses(target).items()
        if not reading.has_ended(latest.summary)
        for item in latest.summary.get("approvals") or ()
    ]
    return sorted(approvals, key=lambda item: (item.since, item.id))


def one(approvals: list[Approval], identity: str) -> Approval:
    """The one whose id begins so. Raises SwitchyardError where there is none, or more."""
    matching = [item for item in approvals if item.id.startswith(identity)]
    if len(matching) == 1:
        return matching[0]
    if matching:
        length = _shortest([item.id for item in matching])
        raise SwitchyardError(f"{identity!r} begins several: {', '.join(item.id[:length] for item in matching)}")
    raise SwitchyardError(
        f"nothing that waits for approval has an id that begins with {identity!r}; see `approvals list`"
    )


def _decide(kind: Literal["approve", "reject"], target: AppOnKafka, identity: str, reason: str) -> None:
    from switchyard.cli import control_client, reading

    item = one(waiting(target), identity)
    content = _content(target, item)
    control = control_client.new(target, kind, reason, item.workflow_id, approval=item.id, content=content)
    control_client.send(target, control)

    def gone(summary: control_client.Summary) -> bool:
        return reading.has_ended(summary) or item.id not in [other["id"] for other in summary.get("approvals") or ()]

    after = control_client.wait_for(target, control, item.latest, gone)
    if kind == "approve" and after["status"] in ("stopped", "failed", "cancelled"):
        why = f": {after['reason']}" if after.get("reason") else ""
        raise SwitchyardError(f"workflow {item.workflow_id} is {after['status']}{why}")
    gets = "gets" if kind == "approve" else "does not get"
    terminal.say(f"{item.agent} {gets} {item.type} of workflow {item.workflow_id}, which is {after['status']}.")


def _record(target: AppOnKafka, item: Approval) -> Decision | None:
    """The decision that waits; None where the ledger no longer has it."""
    from switchyard.cli import reading

    for record in reading.decisions(target, item.workflow_id):
        if item.agent in record.agents and record.dispatch_id(item.agent) == item.id:
            return record
    return None


def _content(target: AppOnKafka, item: Approval) -> str:
    """Of the event that `show` shows, so that nothing else is approved."""
    record = _record(target, item)
    return item.content if record is None else record.parsed_event().content_hash


def _until(item: Approval) -> str:
    return "-" if item.until is None else formatting.clock(item.until)


def _line(item: Approval) -> dict[str, Any]:
    """One as an object of `--json`."""
    return {
        "id": item.id,
        "agent": item.agent,
        "type": item.type,
        "workflow_id": item.workflow_id,
        "since": formatting.iso(item.since),
        "until": formatting.iso(item.until),
    }


def _shortest(identities: list[str]) -> int:
    """How many characters tell them apart, at least `SHOWN`."""
    length = SHOWN
    while len({identity[:length] for identity in identities}) < len(identities):
        length += 1
    return length


def _find(app: str | None, namespace: str | None, kafka: str | None) -> AppOnKafka:
    from switchyard.cli.options import AppOnKafka

    return AppOnKafka.find(app, namespace, kafka)
