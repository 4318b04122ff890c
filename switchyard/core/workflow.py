"""What is known about one workflow while it runs, and what stays of it when it has ended.

Stored as JSON with a schema version, never pickled: state must outlive the code that wrote it.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from switchyard.core import strictjson
from switchyard.core.event import Event
from switchyard.core.ids import stable_hash

VERSION = 1
HISTORY = 20
HISTORY_BYTES = 4096

Status = Literal["running", "completed", "stopped", "failed", "cancelled"]
Stage = Literal["unseen", "asked", "logged"]


@dataclass
class Waiting:
    """Something that must be settled: an event, with how far its decision has come.

    `stage`: `asked` (a model is to answer), `logged` (the record is written and not yet read back), `unseen` (its
    record was refused before the event itself was read).
    """

    event: str
    topic: str
    partition: int
    offset: int
    hop: int
    stage: Stage
    attempt: int = 0
    rule: list[str] | None = None
    failed: list[str] = field(default_factory=list)
    answer_count: int = 1
    record: dict[str, Any] | None = None


@dataclass
class Open:
    """A dispatch without all its answers. `answered` holds the positions that have come."""

    agent: str
    event: str
    topic: str
    partition: int
    offset: int
    hop: int
    attempt: int
    failed: list[str] = field(default_factory=list)
    answered: list[int] = field(default_factory=list)
    sent: bool = True


@dataclass
class Workflow:
    """One running workflow.

    `seen` holds what each event that was read settles: the identity of an event from outside, or of an answer to one
    dispatch. An answer's own id is no identity, for an agent that has an event twice repeats its answer's id.
    """

    id: str
    started_at: int
    status: Status = "running"
    ended_at: int | None = None
    reason: str = ""
    step: int = 0
    hops: int = 0
    dispatches: int = 0
    model_calls: int = 0
    tokens: int = 0
    cost: float | None = None
    duplicates: int = 0
    dead_letters: int = 0
    seen: list[str] = field(default_factory=list)
    inputs: list[str] = field(default_factory=list)
    waiting: dict[str, Waiting] = field(default_factory=dict)
    open: dict[str, Open] = field(default_factory=dict)
    closed: list[str] = field(default_factory=list)
    settled: list[str] = field(default_factory=list)
    refused: dict[str, int] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)
    version: int = VERSION

    def dump(self) -> bytes:
        return strictjson.dumps(asdict(self)).encode()

    @classmethod
    def parse(cls, raw: bytes) -> Workflow:
        value = strictjson.loads(raw)
        if value["version"] != VERSION:
            raise ValueError(f"workflow state has version {value['version']}; this release reads {VERSION}")
        value["waiting"] = {name: Waiting(**item) for name, item in value["waiting"].items()}
        value["open"] = {name: Open(**item) for name, item in value["open"].items()}
        return cls(**value)

    @property
    def idle(self) -> bool:
        """Nothing is open and nothing waits: the workflow has come to its end."""
        return not self.open and not self.waiting

    def remember(self, agent: str, event: Event) -> None:
        """Keep an answer for the router to see; the newest `HISTORY`, each up to `HISTORY_BYTES`."""
        data = event.data if len(strictjson.dumps(event.data)) <= HISTORY_BYTES else "(left out: too large)"
        self.history = [*self.history, {"agent": agent, "type": event.type, "data": data}][-HISTORY:]

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
            "reason": self.reason,
        }


@dataclass
class Ended:
    """The tombstone of a workflow: enough to tell a repeat from something new."""

    seen: list[str]
    settled: list[str]
    summary: dict[str, Any]

    def dump(self) -> bytes:
        return strictjson.dumps(asdict(self)).encode()

    @classmethod
    def parse(cls, raw: bytes) -> Ended:
        return cls(**strictjson.loads(raw))

    @classmethod
    def of(cls, workflow: Workflow, app: str) -> Ended:
        return cls(workflow.seen, workflow.settled, workflow.summary(app))


def status_event(app: str, summary: dict[str, Any]) -> Event:
    """The event that tells how a workflow stands. The same summary makes the same id."""
    return Event.new(
        id=stable_hash("status", strictjson.canonical(summary).decode()),
        source=f"switchyard/{app}",
        type=f"workflow.{summary['status']}",
        workflow_id=summary["workflow_id"],
        data=summary,
    )
