"""Dead letters: what cannot be handled, kept whole, with its reason and where it came from."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import AfterValidator

from switchyard.core import strictjson
from switchyard.core.errors import Rejected
from switchyard.core.fields import Count, Id, Millis, Name, Offset, Partition, Text, reader

LONGEST_TEXT = 1_000
"""Characters of `field` and of `message`, which may quote what was read: a letter must fit into its topic."""


@dataclass(frozen=True)
class Position:
    """Where a record was read: its Kafka topic, partition and offset."""

    topic: str
    partition: int
    offset: int


def _base64(text: str) -> str:
    base64.b64decode(text, validate=True)
    return text


@dataclass(frozen=True)
class DeadLetter:
    """One input that cannot be handled. `time` is milliseconds since 1970; `original` base64 of its bytes."""

    reason: Text
    field: Text
    message: Text
    topic: Name
    partition: Partition
    offset: Offset
    time: Millis
    attempt: Count
    workflow_id: Id | None
    event_id: Name | None
    original: Annotated[Text, AfterValidator(_base64)]

    @classmethod
    def of(
        cls,
        error: Rejected,
        raw: bytes,
        position: Position,
        now: int,
        *,
        workflow_id: str | None = None,
        event_id: str | None = None,
        attempt: int = 0,
    ) -> DeadLetter:
        return cls(
            error.reason,
            error.field[:LONGEST_TEXT],
            error.message[:LONGEST_TEXT],
            position.topic,
            position.partition,
            position.offset,
            now,
            attempt,
            workflow_id,
            event_id,
            base64.b64encode(raw).decode(),
        )

    @property
    def raw(self) -> bytes:
        return base64.b64decode(self.original)

    def json(self) -> str:
        return strictjson.dumps(self)

    @property
    def position(self) -> Position:
        return Position(self.topic, self.partition, self.offset)

    @property
    def identity(self) -> str:
        """`topic/partition/offset` of what could not be handled, the same however often that is read."""
        return f"{self.topic}/{self.partition}/{self.offset}"

    @classmethod
    def parse(cls, raw: bytes | str) -> DeadLetter:
        """Raises ValueError where this is not a dead letter."""
        return _dead_letter(strictjson.loads_foreign(raw))


@dataclass(frozen=True)
class Note:
    """What a person did about a dead letter; it stands in the same topic. `time` is milliseconds since 1970."""

    action: Literal["retried", "discarded"]
    topic: Name
    partition: Partition
    offset: Offset
    time: Millis
    by: Text
    kind: Literal["note"] = "note"

    @property
    def position(self) -> Position:
        return Position(self.topic, self.partition, self.offset)

    def json(self) -> str:
        return strictjson.dumps(self)


_dead_letter = reader(DeadLetter)
_note = reader(Note)


def parse_entry(raw: bytes | str) -> DeadLetter | Note:
    """What one record of the topic is. Raises ValueError where it is neither."""
    value = strictjson.loads_foreign(raw)
    return _note(value) if isinstance(value, dict) and value.get("kind") == "note" else _dead_letter(value)
