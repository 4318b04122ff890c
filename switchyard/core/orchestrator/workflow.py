"""What is known about one workflow while it runs, and what stays of it when it has ended.

Stored as JSON with a version, never pickled: state must outlive the code that wrote it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import MutableMapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal

from switchyard.core import strictjson
from switchyard.core.event import Event
from switchyard.core.ids import stable_hash
from switchyard.core.ledger.record import OUT_OF_ORDER, Decision
from switchyard.core.ledger.subject import Subject
from switchyard.core.orchestrator.known import Known
from switchyard.core.orchestrator.migrations import stamped, upgraded
from switchyard.core.orchestrator.open_work import OpenDispatch, OpenGather, PendingDecision
from switchyard.core.routing.decide import is_manual_retry

HISTORY = 20
HISTORY_BYTES = 4096
INPUTS = 100
INCOMPLETE = "ledger-incomplete"

WorkflowStatus = Literal["queued", "running", "completed", "stopped", "failed", "cancelled"]


@dataclass
class Workflow:
    """One running workflow. Times are milliseconds since 1970.

    life            from 0; rises when a person begins it again
    known           what was read, is settled, and became of dispatches; the part that grows
    dispatched      dispatches so far
    dispatch_count  the same without further attempts; what the limit is about
    inputs          ids of the newest `INPUTS` events that were read since the last record
    incomplete      the ledger no longer has how it began, so that what is open of it is not known
    next_step       how many steps of the app's sequence are done
    """

    id: str
    started_at: int
    status: WorkflowStatus = "running"
    ended_at: int | None = None
    reason: str = ""
    code: str | None = None
    step: int = 0
    hops: int = 0
    dispatched: int = 0
    model_calls: int = 0
    tokens: int = 0
    cost: float | None = None
    duplicates: int = 0
    dead_letters: int = 0
    failed: bool = False
    dispatch_count: int = 0
    next_step: int = 0
    life: int = 0
    last: dict[str, Any] | None = None
    last_at: int = 0
    known: Known = field(default_factory=Known)
    inputs: list[str] = field(default_factory=list)
    pending: dict[Subject, PendingDecision] = field(default_factory=dict)
    dispatches: dict[str, OpenDispatch] = field(default_factory=dict)
    gathers: dict[str, OpenGather] = field(default_factory=dict)
    incomplete: bool = False
    history: list[dict[str, Any]] = field(default_factory=list)

    def dump(self) -> str:
        value = {item.name: getattr(self, item.name) for item in fields(self)}
        value["known"] = self.known.stored()
        value["pending"] = {str(subject): item for subject, item in self.pending.items()}
        return strictjson.dumps(stamped(value))

    @classmethod
    def parse(cls, text: str, home: MutableMapping[str, str] | None = None) -> Workflow:
        """Read what `dump` writes; what stands beside it is in `home`. Raises StateVersionError."""
        value = upgraded("workflow", strictjson.loads(text))
        value["known"] = Known(value["known"], home, value["id"])
        value["pending"] = {Subject.parse(name): PendingDecision(**item) for name, item in value["pending"].items()}
        value["dispatches"] = {name: OpenDispatch(**item) for name, item in value["dispatches"].items()}
        value["gathers"] = {name: OpenGather(**item) for name, item in value["gathers"].items()}
        return cls(**value)

    @property
    def at_its_end(self) -> bool:
        """As far as it is known, nothing is left to do."""
        return self.status == "running" and self.idle and self.known.any_settled

    @property
    def idle(self) -> bool:
        """Nothing is open and nothing waits: the workflow has come to its end."""
        return not self.dispatches and all(item.late for item in self.pending.values())

    @property
    def reserved(self) -> int:
        """Tokens that asks under way may use."""
        return sum(item.reserved for item in self.pending.values())

    @property
    def cancel(self) -> Subject:
        """That a person ends this life of it."""
        return Subject.cancel(self.life)

    @property
    def deadline(self) -> Subject:
        """That this life of it has taken too long."""
        return Subject.deadline(self.life)

    @property
    def size(self) -> Subject:
        """That this life of it has grown too large."""
        return Subject.size(self.life)

    def end(self) -> None:
        """Say how it has ended, of itself."""
        if self.incomplete:
            self.status, self.code = "failed", INCOMPLETE
            self.reason = "the ledger no longer has how it began; what its agents still do is not known"
        else:
            self.status = "failed" if self.failed else "completed"

    def has_dispatch(self, dispatch_id: str) -> bool:
        """Whether a dispatch, or gather, was ever this workflow's."""
        return dispatch_id in self.dispatches or self.known.is_over(dispatch_id)

    def note(self, event: Event) -> None:
        """The next record names it, unless it was sent again: its id is that of the one before."""
        if event.retry:
            return
        self.inputs = [*self.inputs, event.id][-INPUTS:]

    def name_inputs(self, record: Decision) -> None:
        """Note what a record names as read."""
        for event_id in record.inputs:
            self.known.name_input(event_id, self.life)

    def is_of_earlier_life(self, event: Event) -> bool:
        """Whether the ledger tells that an event ended, undecided, with a life before this one."""
        read_in = self.known.input_of(event.id)
        return read_in is not None and read_in < self.life and not event.retry

    def remember(self, agent: str, event: Event) -> None:
        """Keep an answer for the router to see; the newest `HISTORY`, each up to `HISTORY_BYTES`."""
        data = event.data if len(strictjson.dumps(event.data)) <= HISTORY_BYTES else "(left out: too large)"
        self.history = [*self.history, {"agent": agent, "type": event.type, "data": data}][-HISTORY:]

    def account(self, record: Decision, event_type: str) -> None:
        """Count an effective record: its step, what it has spent, what it settled last and when."""
        self.step += 1
        self.last_at = max(self.last_at, record.at)
        self.model_calls += record.model_calls
        self.spend(record.prompt_tokens + record.completion_tokens, record.cost)
        self.last = {
            "event": event_type,
            "action": record.action,
            "agents": list(record.agents),
            "decided_by": record.decided_by,
        }

    def spend(self, tokens: int, cost: float | None) -> None:
        self.tokens += tokens
        if cost is not None:
            self.cost = (self.cost or 0.0) + cost

    def count_dead_letter(self, record: Decision) -> None:
        """An event from outside that came out of order is refused, and no failure."""
        self.dead_letters += 1
        self.reason = record.reason
        self.failed |= record.code != OUT_OF_ORDER or record.subject.kind != "event"

    @property
    def in_flight(self) -> Counter[str]:
        """How many dispatches each agent has."""
        return Counter(item.agent for item in self.dispatches.values() if item.stage == "sent")

    @property
    def approvals(self) -> list[dict[str, Any]]:
        """The dispatches that wait for a person."""
        return [
            {
                "id": name,
                "agent": item.agent,
                "type": item.event.type,
                "content": item.event.content_hash,
                "since": item.since,
                "until": item.until,
            }
            for name, item in self.dispatches.items()
            if item.stage == "approval"
        ]

    def summary(self, app: str) -> dict[str, Any]:
        """The data of its status event."""
        return {
            "workflow_id": self.id,
            "app": app,
            "status": self.status,
            "hops": self.hops,
            "steps": self.step,
            "dispatches": self.dispatched,
            "model_calls": self.model_calls,
            "tokens": self.tokens,
            "cost": self.cost,
            "duplicates": self.duplicates,
            "dead_letters": self.dead_letters,
            "started_at": self.started_at,
            "ended_at": self.ended_at,
            "code": self.code,
            "reason": self.reason,
            "last": self.last,
            "approvals": self.approvals,
        }


@dataclass
class Tombstone:
    """What stays of a workflow that has ended: enough to tell a repeat, or a late answer, from something new.

    One that is `forgotten` never begins again; what is known of it are hashes, counts and its id.
    """

    known: Known
    next_step: int
    summary: dict[str, Any]
    life: int = 0
    forgotten: bool = False

    def dump(self) -> str:
        value = {item.name: getattr(self, item.name) for item in fields(self)}
        value["known"] = self.known.stored()
        return strictjson.dumps(stamped(value))

    @classmethod
    def parse(cls, text: str, home: MutableMapping[str, str] | None = None) -> Tombstone:
        """As `Workflow.parse`."""
        value = upgraded("tombstone", strictjson.loads(text))
        value["known"] = Known(value["known"], home, value["summary"]["workflow_id"])
        return cls(**value)

    @classmethod
    def of(cls, workflow: Workflow, app: str) -> Tombstone:
        for dispatch_id in workflow.dispatches:
            workflow.known.abandon(dispatch_id)
        summary = {**workflow.summary(app), "approvals": []}
        return cls(workflow.known, workflow.next_step, summary, workflow.life)

    @property
    def started_at(self) -> int:
        return int(self.summary["started_at"])

    @property
    def workflow_id(self) -> str:
        return str(self.summary["workflow_id"])

    @property
    def status(self) -> str:
        return str(self.summary["status"])

    def may_reopen(self, event: Event, subject: Subject) -> bool:
        """Whether an event begins it again, as a retry of something new does."""
        return is_manual_retry(event, subject) and not self.forgotten and self.known.is_new(subject)

    def forget(self) -> None:
        """Drop what may tell of somebody."""
        self.forgotten = True
        self.summary = {**self.summary, "reason": "", "last": None}

    def reopened(self, workflow_id: str, now: int) -> Workflow:
        """The workflow anew, for a retry of something in it; what it has read and settled stays known."""
        return Workflow(workflow_id, now, known=self.known, next_step=self.next_step, life=self.life + 1)


def status_event(app: str, summary: dict[str, Any]) -> Event:
    """The event that tells how a workflow stands. The same summary makes the same id."""
    return Event.new(
        id=stable_hash("status", strictjson.canonical(summary).decode()),
        source=f"switchyard/{app}",
        type=f"workflow.{summary['status']}",
        workflow_id=summary["workflow_id"],
        data=summary,
    )
