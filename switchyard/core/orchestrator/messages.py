"""What goes into a shard, what comes out of it, and what it keeps."""

from __future__ import annotations

import heapq
from collections.abc import Iterator, MutableMapping
from dataclasses import dataclass, field

from switchyard.core.control import Control
from switchyard.core.deadletter import DeadLetter, Position
from switchyard.core.errors import Rejected
from switchyard.core.event import Event
from switchyard.core.ledger.record import Decision, Fence
from switchyard.core.routing.deciding import ModelDecision, ModelUnavailable


@dataclass(frozen=True)
class EventRead:
    """An event that parsed and met its contract. `rule` is what SQL decided, None where it did not."""

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
    """What an operator asks for; `text` is the event as it was read."""

    control: Control
    text: str
    position: Position


@dataclass(frozen=True)
class ModelAnswered:
    """What came of an ask."""

    workflow_id: str
    subject: str
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
    subject: str
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
class WriteDeadLetter:
    """Keep what cannot be handled."""

    letter: DeadLetter


Effect = Ask | Log | Dispatch | Publish | StatusChanged | WriteDeadLetter


@dataclass
class ShardState:
    """What survives a crash: five maps from text to bytes, in Flink's keyed state or in memory.

    workflows  workflow id → running workflow
    ended      workflow id → tombstone
    due        what must be done later, and when
    queue      what waits for the fence, for room, or for the end of a pause
    tally      what is open and spent

    Only `due` and `queue` are ever iterated over as a whole, at the start.
    """

    workflows: MutableMapping[str, bytes] = field(default_factory=dict)
    ended: MutableMapping[str, bytes] = field(default_factory=dict)
    due: MutableMapping[str, bytes] = field(default_factory=dict)
    queue: MutableMapping[str, bytes] = field(default_factory=dict)
    tally: MutableMapping[str, bytes] = field(default_factory=dict)


IN_FLIGHT = 2**62
_SEPARATOR = "\x1f"


class Timers:
    """The `due` map with an ordered view of it in memory. Times are milliseconds since 1970.

    `IN_FLIGHT` is never due; found after a start it is due at once, for what was in flight died with its process.
    """

    def __init__(self, stored: MutableMapping[str, bytes]) -> None:
        self._stored = stored
        self._due = {key: int(value) % IN_FLIGHT for key, value in stored.items()}
        self._heap = [(due, key) for key, due in self._due.items()]
        heapq.heapify(self._heap)
        self._of: dict[str, set[str]] = {}
        for key in self._due:
            self._of.setdefault(_workflow(key), set()).add(key)

    def set(self, kind: str, workflow_id: str, subject: str, due: int) -> None:
        key = _SEPARATOR.join((kind, workflow_id, subject))
        self._due[key] = due
        self._of.setdefault(workflow_id, set()).add(key)
        self._stored[key] = str(due).encode()
        heapq.heappush(self._heap, (due, key))

    def clear(self, kind: str, workflow_id: str, subject: str) -> None:
        self._clear(_SEPARATOR.join((kind, workflow_id, subject)))

    def clear_workflow(self, workflow_id: str) -> None:
        """Nothing of this workflow is due any more."""
        for key in list(self._of.get(workflow_id, ())):
            self._clear(key)

    def first(self) -> int | None:
        """When the next one is due."""
        while self._heap and self._due.get(self._heap[0][1]) != self._heap[0][0]:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def pop_due(self, now: int) -> Iterator[tuple[str, str, str]]:
        """Each (kind, workflow id, subject) that is due; it is cleared."""
        while (first := self.first()) is not None and first <= now:
            key = heapq.heappop(self._heap)[1]
            self._clear(key)
            kind, workflow_id, subject = key.split(_SEPARATOR)
            yield kind, workflow_id, subject

    def _clear(self, key: str) -> None:
        if self._due.pop(key, None) is None:
            return
        del self._stored[key]
        workflow_id = _workflow(key)
        self._of[workflow_id].discard(key)
        if not self._of[workflow_id]:
            del self._of[workflow_id]


def _workflow(key: str) -> str:
    return key.split(_SEPARATOR)[1]
