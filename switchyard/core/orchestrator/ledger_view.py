"""Workflows as the ledger alone tells them.

A stateless job writes no status; whatever wants to know how its workflows stand derives it from here. The same
records of an orchestrator give the same summaries as its own, as long as nothing in them needs state: no further
attempts, approvals, retries or requests of an operator.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from switchyard.core.deadletter import Position
from switchyard.core.errors import Rejected
from switchyard.core.ledger.effective import effective
from switchyard.core.ledger.record import Decision
from switchyard.core.ledger.subject import Subject
from switchyard.core.orchestrator.workflow import Workflow


def derive(records: Iterable[Decision], app: str = "") -> dict[str, dict[str, Any]]:
    """Summaries by workflow id, as `Workflow.summary()` makes them. `records` stand in ledger order.

    `duplicates` are events that were read at more than one place. A record that belongs to no workflow is left out.
    """
    records = list(records)
    places: dict[tuple[str, Subject], set[Position]] = {}
    for record in records:
        places.setdefault((record.workflow_id, record.subject), set()).add(record.position)
    workflows: dict[str, _Derived] = {}
    for record in effective(records):
        if record.workflow_id:
            derived = workflows.setdefault(record.workflow_id, _Derived(_begun(record)))
            derived.workflow.duplicates += len(places[record.workflow_id, record.subject]) - 1
            derived.apply(record)
    return {name: derived.summary(app) for name, derived in workflows.items()}


@dataclass
class _Derived:
    """One workflow on the way; `hop`, `open`, `closed` and `answered` name dispatches by their id."""

    workflow: Workflow
    last_at: int = 0
    hop: dict[str, int] = field(default_factory=dict)
    open: set[str] = field(default_factory=set)
    closed: set[str] = field(default_factory=set)
    answered: dict[str, set[int]] = field(default_factory=dict)

    def apply(self, record: Decision) -> None:
        workflow = self.workflow
        if workflow.status == "stopped":
            return
        hop = self._settle(record)
        self.last_at = max(self.last_at, record.at)
        workflow.started_at = min(workflow.started_at, record.began)
        workflow.account(record, _type(record))
        if record.action == "dispatch":
            for agent in record.agents:
                identity = record.dispatch_id(agent)
                self.hop[identity] = hop + 1
                workflow.dispatched += 1
                workflow.hops = max(workflow.hops, hop + 1)
                if identity not in self.closed:
                    self.open.add(identity)
        elif record.action == "stop":
            workflow.status, workflow.reason, workflow.code = "stopped", record.reason, record.code
        elif record.action == "dead-letter":
            workflow.count_dead_letter(record)
        elif not self.open:
            workflow.reason = record.reason

    def summary(self, app: str) -> dict[str, Any]:
        workflow = self.workflow
        if workflow.status == "running" and not self.open:
            workflow.status = "failed" if workflow.failed else "completed"
        workflow.ended_at = None if workflow.status == "running" else self.last_at
        return workflow.summary(app)

    def _settle(self, record: Decision) -> int:
        """Take an answer off its dispatch; how many dispatches came before what is settled."""
        if record.subject.kind != "dispatch":
            return 0
        identity = record.subject.id
        answered = self.answered.setdefault(identity, set())
        answered.add(record.subject.answer_index)
        if len(answered) >= record.answer_count:
            self.open.discard(identity)
            self.closed.add(identity)
        hop = self.hop.get(identity)
        if hop is None:
            return _told(record)
        return hop - 1 if record.failed else hop


def _begun(record: Decision) -> Workflow:
    return Workflow(record.workflow_id, record.began)


def _type(record: Decision) -> str:
    try:
        return record.parsed_event().type
    except Rejected:
        return ""


def _told(record: Decision) -> int:
    """The hops an event tells itself, where the ledger no longer has what caused it."""
    try:
        return record.parsed_event().hops
    except Rejected:
        return 0
