"""What is open in a workflow: what must be decided, what agents have, what is gathered."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from switchyard.core.deadletter import Position
from switchyard.core.event import Event

Stage = Literal["unread", "asked", "logged"]
DispatchStage = Literal["approval", "ready", "delay", "room", "sent", "gather"]


@dataclass
class _AboutEvent:
    """An event with its text and where it was read. The text is loaded when the event is first asked for."""

    text: str
    topic: str
    partition: int
    offset: int

    @property
    def position(self) -> Position:
        return Position(self.topic, self.partition, self.offset)

    @property
    def event(self) -> Event:
        loaded: Event | None = self.__dict__.get("_event")
        if loaded is None:
            loaded = self.__dict__["_event"] = Event.trusted(self.text)
        return loaded

    def about(self, event: Event) -> None:
        """Hold the event that `text` is, so that it need not be loaded."""
        self.__dict__["_event"] = event


@dataclass
class PendingDecision(_AboutEvent):
    """Something that must be settled, with how far its decision has come.

    stage         `asked`: a model is to answer; `logged`: the record is written and not yet read back; `unread`: its
                  record was refused before the event itself was read
    attempt       rises when a record was refused at read-back
    rule          what SQL decided; None where nothing
    failed        the agents that failed on this event, each `{agent, reason, message}`
    failure       the newest failure, of an agent that may be tried again, after `tries` attempts
    ancestors     `payload_hash` of each dispatch that led here
    branch        the gather that it belongs to, and the agent whose branch of it this is
    reserved      tokens that the ask under way may use
    asks          how often a model was asked in vain
    used          what asks before have used, as fields of a record; the hour is charged with it
    record        the record that is written, as JSON text
    late          that record says that it counts no more, which nothing waits for
    """

    hop: int
    stage: Stage = "asked"
    attempt: int = 0
    rule: list[str] | None = None
    failed: list[dict[str, Any]] = field(default_factory=list)
    failure: dict[str, Any] | None = None
    tries: int = 0
    ancestors: list[str] = field(default_factory=list)
    branch: list[str] | None = None
    answer_count: int = 1
    reserved: int = 0
    asks: int = 0
    used: dict[str, Any] = field(default_factory=dict)
    record: str | None = None
    late: bool = False

    @property
    def failures(self) -> list[dict[str, Any]]:
        """All failures, the newest included."""
        return [*self.failed, self.failure] if self.failure else self.failed

    @property
    def failed_agents(self) -> tuple[str, ...]:
        return tuple(item["agent"] for item in self.failures)


@dataclass
class OpenDispatch(_AboutEvent):
    """A dispatch without all its answers. `answered` holds the positions that have come.

    `stage`: it waits for an `approval` since `since` (and until `until`), for its turn after a `delay`, for `room` with
    its agent, or for the fence (`ready`); or it is `sent`. A `gather` is a dispatch to the orchestrator itself.
    Times are milliseconds since 1970.
    """

    agent: str
    hop: int
    attempt: int
    stage: DispatchStage = "ready"
    tries: int = 1
    failed: list[dict[str, Any]] = field(default_factory=list)
    ancestors: list[str] = field(default_factory=list)
    branch: list[str] | None = None
    answered: list[int] = field(default_factory=list)
    since: int | None = None
    until: int | None = None


@dataclass
class OpenGather:
    """A gather on its way: `on` is its event type, `policy` that of the record which opened it.

    `answers` are `[type, data]` in the order they were taken, by agent.
    `result` is the event it has come to, as text, until that event is read; it was first `published` then (milliseconds
    since 1970), and is empty where there is to be none.
    """

    on: str
    expected: list[str]
    policy: dict[str, Any] | None = None
    answers: dict[str, list[Any]] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)
    result: str | None = None
    published: int = 0
