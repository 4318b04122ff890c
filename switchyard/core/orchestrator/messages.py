"""What goes into a shard and what comes out of it."""

from __future__ import annotations

from dataclasses import dataclass

from switchyard.core.audit import AuditEntry
from switchyard.core.control import Control
from switchyard.core.deadletter import DeadLetter, Position
from switchyard.core.errors import Rejected
from switchyard.core.event import Event
from switchyard.core.ledger.record import Decision, Fence
from switchyard.core.ledger.subject import Subject
from switchyard.core.routing.verdict import ModelDecision, ModelUnavailable


@dataclass(frozen=True)
class EventRead:
    """An event that met its contract, with its text as it was read. `rule` is what SQL decided, None where nothing."""

    event: Event
    text: str
    position: Position
    rule: tuple[str, ...] | None = None


@dataclass(frozen=True)
class RejectedRecord:
    """A record of any source topic that cannot be handled."""

    error: Rejected
    raw: bytes
    position: Position


@dataclass(frozen=True)
class RecordRead:
    """A record of the ledger, read back."""

    record: Decision | Fence


@dataclass(frozen=True)
class ControlRead:
    """What an operator asks for; `text` is the event as it was read. `rule` is SQL's, about an event sent again."""

    control: Control
    text: str
    position: Position
    rule: tuple[str, ...] | None = None


@dataclass(frozen=True)
class ModelAnswered:
    """What came of an ask."""

    workflow_id: str
    subject: Subject
    attempt: int
    outcome: ModelDecision | ModelUnavailable


@dataclass(frozen=True)
class Tick:
    """Time has passed."""


ShardInput = EventRead | ControlRead | RejectedRecord | RecordRead | ModelAnswered | Tick


@dataclass(frozen=True)
class Ask:
    """Ask a model; its answer comes back as `ModelAnswered`."""

    workflow_id: str
    subject: Subject
    attempt: int


@dataclass(frozen=True)
class Log:
    """Append to the ledger."""

    record: Decision | Fence


@dataclass(frozen=True)
class Dispatch:
    """Give an event to an agent. `event` carries the dispatch attributes of ADR 1."""

    workflow_id: str
    agent: str
    dispatch_id: str
    event: Event


@dataclass(frozen=True)
class Publish:
    """Write an event of the orchestrator's own to agent-messages."""

    event: Event


@dataclass(frozen=True)
class StatusChanged:
    """A workflow changed; `event` tells how it stands."""

    workflow_id: str
    event: Event


@dataclass(frozen=True)
class StatusForgotten:
    """Nobody is to know how a workflow stood."""

    workflow_id: str


@dataclass(frozen=True)
class WriteDeadLetter:
    """Keep what cannot be handled."""

    letter: DeadLetter


@dataclass(frozen=True)
class WriteControl:
    """Write a mark of the shard's own to the control topic."""

    control: Control


@dataclass(frozen=True)
class WriteAudit:
    """Keep what became of an operator's request."""

    entry: AuditEntry


Effect = Ask | Log | Dispatch | Publish | StatusChanged | StatusForgotten | WriteDeadLetter | WriteAudit | WriteControl


def dead_letter_effect(
    error: Rejected, text: str, position: Position, now: int, workflow_id: str | None = None, event: Event | None = None
) -> WriteDeadLetter:
    """The dead letter of a text that was read at a position."""
    letter = DeadLetter.of(
        error,
        text.encode(),
        position,
        now,
        workflow_id=workflow_id,
        event_id=event.id if event else None,
        attempt=event.retry if event else 0,
    )
    return WriteDeadLetter(letter)
