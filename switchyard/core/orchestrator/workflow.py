"""What is known about one workflow while it runs, and what stays of it when it has ended.

Stored as JSON with a version, never pickled: state must outlive the code that wrote it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal

from switchyard.core import strictjson
from switchyard.core.errors import Rejected
from switchyard.core.event import Event
from switchyard.core.ids import stable_hash
from switchyard.core.ledger.record import OUT_OF_ORDER, Decision
from switchyard.core.ledger.subject import Subject
from switchyard.core.orchestrator.migrations import stamped, upgraded
from switchyard.core.orchestrator.open_work import OpenDispatch, OpenGather, PendingDecision

HISTORY = 20
HISTORY_BYTES = 4096
INCOMPLETE = "ledger-incomplete"

WorkflowStatus = Literal["queued", "running", "completed", "stopped", "failed", "cancelled"]


@dataclass
class Workflow:
    """One running workflow. Times are milliseconds since 1970.

    life            from 0; rises when a person begins it again
    seen            what each event that was read settles, with its content hash, which is empty for an answer: an
                    agent that has an event twice repeats its answer's id, and may say something else
    settled         what effective records have settled
    closed          dispatches with all their answers
    abandoned       dispatches whose answer would be late
    dispatched      dispatches so far
    dispatch_count  the same without further attempts; what the limit is about
    approved        effect keys that a person has approved
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
    seen: dict[Subject, str] = field(default_factory=dict)
    settled: list[Subject] = field(default_factory=list)
    inputs: list[str] = field(default_factory=list)
    pending: dict[Subject, PendingDecision] = field(default_factory=dict)
    dispatches: dict[str, OpenDispatch] = field(default_factory=dict)
    gathers: dict[str, OpenGather] = field(default_factory=dict)
    closed: list[str] = field(default_factory=list)
    abandoned: list[str] = field(default_factory=list)
    refused: dict[Subject, int] = field(default_factory=dict)
    approved: list[str] = field(default_factory=list)
    incomplete: bool = False
    history: list[dict[str, Any]] = field(default_factory=list)

    def dump(self) -> str:
        value = {item.name: getattr(self, item.name) for item in fields(self)}
        value["settled"] = _texts(self.settled)
        for name in ("seen", "pending", "refused"):
            value[name] = {str(subject): item for subject, item in value[name].items()}
        return strictjson.dumps(stamped(value))

    @classmethod
    def parse(cls, text: str) -> Workflow:
        """Read what `dump` writes. Raises StateVersionError."""
        value = upgraded("workflow", strictjson.loads(text))
        value["seen"], value["settled"] = _contents(value["seen"]), _subjects(value["settled"])
        value["pending"] = {Subject.parse(name): PendingDecision(**item) for name, item in value["pending"].items()}
        value["refused"] = {Subject.parse(name): attempt for name, attempt in value["refused"].items()}
        value["dispatches"] = {name: OpenDispatch(**item) for name, item in value["dispatches"].items()}
        value["gathers"] = {name: OpenGather(**item) for name, item in value["gathers"].items()}
        return cls(**value)

    @property
    def at_its_end(self) -> bool:
        """As far as it is known, nothing is left to do."""
        return self.status == "running" and self.idle and bool(self.settled)

    @property
    def idle(self) -> bool:
        """Nothing is open and nothing waits: the workflow has come to its end."""
        return not self.dispatches and not self.pending

    @property
    def reserved(self) -> int:
        """Tokens that asks under way may use."""
        return sum(item.reserved for item in self.pending.values())

    def read(self, event: Event, subject: Subject) -> None:
        """Note that an event was read."""
        self.seen[subject] = _content(event, subject)

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
        return dispatch_id in self.dispatches or dispatch_id in self.closed or dispatch_id in self.abandoned

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
    """What stays of a workflow that has ended: enough to tell a repeat, or a late answer, from something new."""

    seen: dict[Subject, str]
    settled: list[Subject]
    sent: list[str]
    next_step: int
    summary: dict[str, Any]
    life: int = 0

    def dump(self) -> str:
        value = {item.name: getattr(self, item.name) for item in fields(self)}
        value["seen"] = {str(subject): content for subject, content in self.seen.items()}
        value["settled"] = _texts(self.settled)
        return strictjson.dumps(stamped(value))

    @classmethod
    def parse(cls, text: str) -> Tombstone:
        """Read what `dump` writes. Raises StateVersionError."""
        value = upgraded("tombstone", strictjson.loads(text))
        value["seen"], value["settled"] = _contents(value["seen"]), _subjects(value["settled"])
        return cls(**value)

    @classmethod
    def of(cls, workflow: Workflow, app: str) -> Tombstone:
        summary = {**workflow.summary(app), "approvals": []}
        sent = [*workflow.dispatches, *workflow.abandoned]
        return cls(workflow.seen, workflow.settled, sent, workflow.next_step, summary, workflow.life)

    @property
    def status(self) -> str:
        return str(self.summary["status"])

    def is_new(self, subject: Subject) -> bool:
        return subject not in self.seen and subject not in self.settled

    def read(self, event: Event, subject: Subject) -> None:
        """As `Workflow.read`."""
        self.seen[subject] = _content(event, subject)

    def reopened(self, workflow_id: str, now: int) -> Workflow:
        """The workflow anew, for a retry of something in it; what it has read and settled stays known."""
        return Workflow(
            workflow_id,
            now,
            seen=self.seen,
            settled=self.settled,
            abandoned=self.sent,
            next_step=self.next_step,
            life=self.life + 1,
        )


def status_event(app: str, summary: dict[str, Any]) -> Event:
    """The event that tells how a workflow stands. The same summary makes the same id."""
    return Event.new(
        id=stable_hash("status", strictjson.canonical(summary).decode()),
        source=f"switchyard/{app}",
        type=f"workflow.{summary['status']}",
        workflow_id=summary["workflow_id"],
        data=summary,
    )


def _texts(subjects: list[Subject]) -> list[str]:
    return [str(subject) for subject in subjects]


def _contents(texts: dict[str, str]) -> dict[Subject, str]:
    return {Subject.parse(text): content for text, content in texts.items()}


def _content(event: Event, subject: Subject) -> str:
    return event.content_hash if subject.kind == "event" else ""


def repeats(seen: Mapping[Subject, str], event: Event, subject: Subject) -> bool:
    """Whether an event whose subject was seen is the same again. Raises Rejected where it only has the same id."""
    content = seen.get(subject)
    if content is None:
        return False
    if content and content != event.content_hash:
        message = f"{event.source} has used this id before in the workflow, for another type or other data"
        raise Rejected("id-reused", message, "id")
    return True


def _subjects(texts: list[str]) -> list[Subject]:
    return [Subject.parse(text) for text in texts]
