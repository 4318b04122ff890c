"""One workflow as a tree that follows causation: event, decision, agents, their answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text
from rich.tree import Tree

from switchyard.cli import formatting
from switchyard.cli.workflows import status_of
from switchyard.core.contract import Contract
from switchyard.core.deadletter import DeadLetter
from switchyard.core.ledger.effective import FirstRecords
from switchyard.core.ledger.record import Decision
from switchyard.core.ledger.subject import Subject
from switchyard.core.orchestrator.dispatches import GATHER
from switchyard.core.registry import GATHERED

COLOURS = {
    "completed": "green",
    "running": "yellow",
    "queued": "yellow",
    "stopped": "yellow",
    "failed": "red",
    "cancelled": "red",
}
ACTIONS = {
    "complete": ("branch complete", "green"),
    "stop": ("workflow stopped", "red"),
    "cancel": ("workflow cancelled", "red"),
    "dead-letter": ("dead letter", "red"),
    "late": ("too late, counts no more", "yellow"),
    "gather": ("taken into the gather", "green"),
}
_RESULT = Contract.of("gathered", GATHERED)
OF_WORKFLOW = {"cancel": "asked to cancel", "deadline": "out of time", "size": "too large"}


def render_trace(
    records: Sequence[Decision], status: Mapping[str, Any] | None, dead_letters: Sequence[DeadLetter] = ()
) -> RenderableType:
    """`records` are all of one workflow, in ledger order; `status` is its summary, None where it has none."""
    effective = FirstRecords(records)
    tree = Tree(_head(effective.records, status))
    waiting = frozenset(item["id"] for item in (status or {}).get("approvals") or ())
    _Branches(effective.records, waiting).hang(tree)
    parts: list[RenderableType] = [tree]
    shown = {record.position for record in effective.records if record.action == "dead-letter"}
    for letter in dead_letters:
        place = f"{letter.topic}[{letter.partition}]@{letter.offset}"
        if (letter.topic, letter.partition, letter.offset) not in {(p.topic, p.partition, p.offset) for p in shown}:
            parts.append(
                Text(f"dead letter {letter.reason}: {formatting.one_line(letter.message)} ({place})", style="red")
            )
    parts.append(_end(effective, status))
    return Group(*parts)


class _Branches:
    """Which decision follows from which dispatch. `waiting` are the ids of dispatches that wait for approval."""

    def __init__(self, records: Sequence[Decision], waiting: frozenset[str]) -> None:
        self.waiting = waiting
        self.start = min((record.at - record.elapsed_ms for record in records), default=0)
        last = {record.subject: record.attempt for record in records}
        self.refused = {(r.subject, r.attempt) for r in records if r.attempt < last[r.subject]}
        self.dispatches = {
            record.dispatch_id(agent): (record, agent)
            for record in records
            if record.action == "dispatch" and not _approves(record)
            for agent in record.agents
        }
        self.dispatches |= {
            record.gather_id: (record, GATHER)
            for record in records
            if record.action == "dispatch" and not _approves(record)
        }
        self.tries: dict[tuple[Subject, int], int] = {}
        self.roots: list[Decision] = []
        self.after: dict[str, list[Decision]] = {}
        for record in records:
            cause = _cause(record)
            if record.decided_by == "retry":
                before = self.dispatches[cause][0] if cause in self.dispatches else record
                self.tries[record.subject, record.attempt] = self.tries.get((before.subject, before.attempt), 1) + 1
            if cause in self.dispatches:
                self.after.setdefault(cause, []).append(record)
            else:
                self.roots.append(record)

    def hang(self, tree: Tree) -> None:
        for record in self.roots:
            self._add(tree, record, None)

    def _add(self, tree: Tree, record: Decision, cause: tuple[Decision, str] | None) -> None:
        """Depth follows the workflow, which may be long, so this keeps a list and does not recurse."""
        pending = [(tree, record, cause)]
        while pending:
            place, item, why = pending.pop()
            branch = place.add(self._label(item, why))
            if item.action != "dispatch" or _approves(item) or (item.subject, item.attempt) in self.refused:
                continue
            sent = [(agent, item.dispatch_id(agent)) for agent in item.agents]
            for answer in reversed(self.after.get(item.gather_id, [])):
                pending.append((branch, answer, (item, GATHER)))
            for agent, identity in reversed(sent):
                for answer in reversed(self.after.get(identity, [])):
                    pending.append((branch, answer, (item, agent)))
            for agent, identity in sent:
                if identity in self.waiting:
                    ask = f"{agent} waits for approval: switchyard approvals approve {identity[:8]}"
                    branch.add(Text(ask, style="yellow"))
                elif all(_approves(record) for record in self.after.get(identity, [])):
                    branch.add(Text(f"{agent} has not answered", style="yellow"))

    def _label(self, record: Decision, cause: tuple[Decision, str] | None) -> Text:
        event = record.parsed_event()
        text = Text(f"+{formatting.lasted(record.at - self.start)}  ", style="dim")
        if record.subject.kind == "workflow":
            text.append(OF_WORKFLOW[record.subject.id], style="bold")
        elif cause is None:
            again = f", retry {event.retry}" if event.retry else ""
            source = formatting.one_line(event.source)
            text.append(formatting.one_line(event.type), style="bold").append(f" from {source}{again}", style="dim")
        else:
            before, agent = cause
            text.append(_became(record, agent)).append(formatting.one_line(event.type), style="bold")
            text.append(f" after {formatting.lasted(max(record.at - before.at, 0))}", style="dim")
        text.append("\n").append_text(_outcome(record, self.tries.get((record.subject, record.attempt))))
        if (record.subject, record.attempt) in self.refused:
            text.append("  refused when read back, decided anew", style="red")
        text.append(f"\n{_why(record)}", style="dim")
        if cause is not None and cause[1] == GATHER and _RESULT.accepts(event.data):
            text.append_text(_votes(event.data))
        return text


def _votes(result: Mapping[str, Any]) -> Text:
    """The votes of a gather, one line for each, with who is missing."""
    text = Text()
    for item in result["votes"]:
        sign, style = ("✓", "green") if item["vote"] == result["vote"] else ("✗", "yellow")
        text.append(f"\n  {sign} {item['agent']}: {formatting.one_line(item['vote'])}", style=style)
        weight = "" if item["weight"] == 1 else f", weight {item['weight']:g}"
        text.append(f"  confidence {item['confidence']:.2f}{weight}", style="dim")
    for item in result["missing"]:
        text.append(f"\n  - {item['agent']}: {formatting.one_line(item['reason'])}", style="red")
    vote = "no vote"
    if result["vote"] is not None:
        vote = f"{formatting.one_line(result['vote'])}, confidence {result['confidence']:.2f}"
    partial = "" if result["complete"] else "partial; "
    return text.append(f"\n  {result['policy']}: {partial}{vote}", style="bold")


def _approves(record: Decision) -> bool:
    """Whether it lets a dispatch go that waits for approval, and makes none of its own."""
    return record.subject.kind == "approval" and record.action == "dispatch"


def _cause(record: Decision) -> str:
    """The id of the dispatch that it subject, or that its event answers."""
    return record.subject.dispatch_id or record.parsed_event().causation_id or ""


def _became(record: Decision, agent: str) -> str:
    """What became of a dispatch, up to the type of the event that it is about."""
    kind = record.subject.kind
    if agent == GATHER:
        return "gathered " if kind == "dispatch" else "deadline of the gather on "
    if kind == "approval":
        return f"approval of {agent} for "
    if kind == "timeout":
        return f"{agent} did not answer "
    return f"{agent} failed on " if agent in record.failed else f"{agent} answered "


def _outcome(record: Decision, tries: int | None) -> Text:
    if _approves(record):
        text = Text("→ approved", style="green")
    elif record.action == "dispatch":
        text = Text("→ ").append(", ".join(record.agents), style="bold cyan")
    else:
        words, colour = ACTIONS[record.action]
        if record.action == "gather" and record.subject.kind == "gather":
            words = "gather ended with what there is"
        text = Text("→ ").append(words, style=colour)
    text.append(f"  by {record.decided_by}")
    if tries is not None:
        text.append(f", attempt {tries} after {formatting.lasted(record.delay_ms)}")
    if record.confidence is not None:
        text.append(f", confidence {record.confidence:.2f}")
    return text


def _why(record: Decision) -> str:
    spent = []
    if record.model_calls:
        calls = formatting.counted(record.model_calls, "call")
        spent.append(f"{formatting.one_line(record.model)} ({calls}, {formatting.lasted(record.latency_ms)})")
        spent.append(f"{record.prompt_tokens} + {record.completion_tokens} tokens")
    if record.cost is not None:
        spent.append(f"cost {record.cost:.4f}")
    code = f"{record.code}: " if record.code else ""
    return f"{code}{formatting.one_line(record.reason)}" + (f"\n{', '.join(spent)}" if spent else "")


def _head(records: Sequence[Decision], status: Mapping[str, Any] | None) -> Text:
    name = status["workflow_id"] if status else records[0].workflow_id if records else "?"
    text = Text(formatting.one_line(name), style="bold")
    started = status["started_at"] if status else min((r.at - r.elapsed_ms for r in records), default=None)
    return text.append(f"  started {formatting.clock(started)}", style="dim")


def _end(effective: FirstRecords, status: Mapping[str, Any] | None) -> Text:
    text = Text()
    if status is None:
        text.append("no status was written for this workflow", style="yellow")
    else:
        text.append(status_of(status), style=COLOURS.get(status["status"], "none"))
        if status.get("ended_at"):
            text.append(f" after {formatting.lasted(status['ended_at'] - status['started_at'])}")
        if status.get("reason"):
            text.append(f": {formatting.one_line(status['reason'])}")
        words = {"hops": "hop", "dispatches": "dispatch", "model_calls": "model call", "tokens": "token"}
        counted = [formatting.counted(status.get(name, 0), word) for name, word in words.items()]
        if status.get("cost") is not None:
            counted.append(f"cost {status['cost']:.4f}")
        text.append(f"\n{', '.join(counted)}", style="dim")
    repeats = status.get("duplicates", 0) if status else 0
    if repeats or effective.ignored:
        events, records = (
            formatting.counted(n, f"repeated {w}") for n, w in ((repeats, "event"), (effective.ignored, "record"))
        )
        text.append(f"\nignored: {events}, {records}", style="dim")
    return text
