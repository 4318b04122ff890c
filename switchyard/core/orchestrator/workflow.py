"""What is known about one workflow while it runs, and what stays of it when it has ended.

Stored as JSON with a schema version, never pickled: state must outlive the code that wrote it.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Literal

from switchyard.core import strictjson
from switchyard.core.event import Event
from switchyard.core.ids import stable_hash
from switchyard.core.ledger.record import OUT_OF_ORDER, Decision

VERSION = 2
HISTORY = 20
HISTORY_BYTES = 4096

WorkflowStatus = Literal["queued", "running", "completed", "stopped", "failed", "cancelled"]
Stage = Literal["unseen", "asked", "logged"]
OpenStage = Literal["approval", "ready", "delay", "room", "sent", "gather"]


@dataclass
class PendingDecision:
    """Something that must be settled: an event, with how far its decision has come.

    `stage`: `asked` (a model is to answer), `logged` (the record is written and not yet read back), `unseen` (its
    record was refused before the event itself was read). `failed` are the agents that failed on this event, each
    `{agent, reason, message}`; `failure` is the newest, of an agent that may be tried again, after `tries` attempts.
    `ancestors` holds a hash of what each dispatch that led here was given. `reserved` are the tokens that the ask under
    way may use. `branch` is the gather that it belongs to, and the agent whose branch of it this is.
    """

    event: str
    topic: str
    partition: int
    offset: int
    hop: int
    stage: Stage = "asked"
    attempt: int = 0
    rule: list[str] | None = None
    failed: list[dict[str, str]] = field(default_factory=list)
    failure: dict[str, str] | None = None
    tries: int = 0
    ancestors: list[str] = field(default_factory=list)
    branch: list[str] | None = None
    answer_count: int = 1
    reserved: int = 0
    record: dict[str, Any] | None = None

    @property
    def failures(self) -> list[dict[str, str]]:
        """All agents that failed, the newest included."""
        return [*self.failed, self.failure] if self.failure else self.failed

    @property
    def failed_agents(self) -> tuple[str, ...]:
        return tuple(item["agent"] for item in self.failures)


@dataclass
class OpenDispatch:
    """A dispatch without all its answers. `answered` holds the positions that have come.

    `stage`: it waits for an `approval` since `since` (and until `until`), for its turn after a `delay`, for `room` with
    its agent, or for the fence (`ready`); or it is `sent`. A `gather` is a dispatch to the orchestrator itself.
    """

    agent: str
    event: str
    topic: str
    partition: int
    offset: int
    hop: int
    attempt: int
    stage: OpenStage = "ready"
    tries: int = 1
    failed: list[dict[str, str]] = field(default_factory=list)
    ancestors: list[str] = field(default_factory=list)
    branch: list[str] | None = None
    answered: list[int] = field(default_factory=list)
    since: int | None = None
    until: int | None = None


@dataclass
class OpenGather:
    """A gather on its way: `on` is its event type, `answers` are `[type, data]` in the order they were taken, by agent.

    `result` is the event it has come to, as text, until that event is read.
    """

    on: str
    expected: list[str]
    answers: dict[str, list[Any]] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)
    result: str | None = None


@dataclass
class Workflow:
    """One running workflow.

    `seen` holds what each event that was read subject: the identity of an event from outside, or of an answer to one
    dispatch. An answer's own id is no identity, for an agent that has an event twice repeats its answer's id.
    `closed` are dispatches with all their answers, `abandoned` those whose answer would be late. `given` counts
    the dispatches without further attempts, `approved` holds effect keys, `place` is the next of the sequence.
    """

    id: str
    started_at: int
    status: WorkflowStatus = "running"
    ended_at: int | None = None
    reason: str = ""
    code: str | None = None
    step: int = 0
    hops: int = 0
    dispatches: int = 0
    model_calls: int = 0
    tokens: int = 0
    cost: float | None = None
    duplicates: int = 0
    dead_letters: int = 0
    failed: bool = False
    given: int = 0
    place: int = 0
    last: dict[str, Any] | None = None
    last_at: int = 0
    seen: list[str] = field(default_factory=list)
    inputs: list[str] = field(default_factory=list)
    waiting: dict[str, PendingDecision] = field(default_factory=dict)
    open: dict[str, OpenDispatch] = field(default_factory=dict)
    gathers: dict[str, OpenGather] = field(default_factory=dict)
    closed: list[str] = field(default_factory=list)
    abandoned: list[str] = field(default_factory=list)
    settled: list[str] = field(default_factory=list)
    refused: dict[str, int] = field(default_factory=dict)
    approved: list[str] = field(default_factory=list)
    history: list[dict[str, Any]] = field(default_factory=list)
    version: int = VERSION

    def dump(self) -> bytes:
        return strictjson.dumps(self).encode()

    @classmethod
    def parse(cls, raw: bytes) -> Workflow:
        value = strictjson.loads(raw)
        if value["version"] != VERSION:
            raise ValueError(f"workflow state has version {value['version']}; this release reads {VERSION}")
        value["waiting"] = {name: PendingDecision(**item) for name, item in value["waiting"].items()}
        value["open"] = {name: OpenDispatch(**item) for name, item in value["open"].items()}
        value["gathers"] = {name: OpenGather(**item) for name, item in value["gathers"].items()}
        return cls(**value)

    @property
    def idle(self) -> bool:
        """Nothing is open and nothing waits: the workflow has come to its end."""
        return not self.open and not self.waiting

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

    def lose(self, record: Decision) -> None:
        """Count a dead letter. An event from outside that came out of order is refused, and no failure."""
        self.dead_letters += 1
        self.reason = record.reason
        self.failed |= record.code != OUT_OF_ORDER or not record.subject.startswith("event/")

    @property
    def in_flight(self) -> Counter[str]:
        """How many dispatches each agent has."""
        return Counter(item.agent for item in self.open.values() if item.stage == "sent")

    @property
    def approvals(self) -> list[dict[str, Any]]:
        """The dispatches that wait for a person. Times are milliseconds since 1970."""
        return [
            {
                "id": identity,
                "agent": item.agent,
                "type": Event.parse(item.event).type,
                "since": item.since,
                "until": item.until,
            }
            for identity, item in self.open.items()
            if item.stage == "approval"
        ]

    def summary(self, app: str) -> dict[str, Any]:
        """The data of its status event. Times are milliseconds since 1970."""
        return {
            "workflow_id": self.id,
            "app": app,
            "status": self.status,
            "hops": self.hops,
            "steps": self.step,
            "dispatches": self.dispatches,
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
    """The tombstone of a workflow: enough to tell a repeat, or a late answer, from something new."""

    seen: list[str]
    settled: list[str]
    sent: list[str]
    place: int
    summary: dict[str, Any]

    def dump(self) -> bytes:
        return strictjson.dumps(self).encode()

    @classmethod
    def parse(cls, raw: bytes) -> Tombstone:
        return cls(**strictjson.loads(raw))

    @classmethod
    def of(cls, workflow: Workflow, app: str) -> Tombstone:
        summary = {**workflow.summary(app), "approvals": []}
        return cls(workflow.seen, workflow.settled, [*workflow.open, *workflow.abandoned], workflow.place, summary)

    def again(self, workflow_id: str, now: int) -> Workflow:
        """The workflow anew, for a retry of something in it; what it has read and settled stays known."""
        known: dict[str, Any] = {
            "seen": self.seen,
            "settled": self.settled,
            "abandoned": self.sent,
            "place": self.place,
        }
        return Workflow(workflow_id, now, **known)


def status_event(app: str, summary: dict[str, Any]) -> Event:
    """The event that tells how a workflow stands. The same summary makes the same id."""
    return Event.new(
        id=stable_hash("status", strictjson.canonical(summary).decode()),
        source=f"switchyard/{app}",
        type=f"workflow.{summary['status']}",
        workflow_id=summary["workflow_id"],
        data=summary,
    )
