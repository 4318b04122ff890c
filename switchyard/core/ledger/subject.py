"""What a record of the ledger settles."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, get_args

if TYPE_CHECKING:
    from switchyard.core.deadletter import Position
    from switchyard.core.event import Event

SubjectKind = Literal["event", "dispatch", "timeout", "approval", "gather", "workflow", "record"]

_KINDS = frozenset(get_args(SubjectKind))
_INCOMPLETE = "incomplete"
_POSITION = re.compile(r"0|[1-9][0-9]{0,9}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
LONGEST = 400
"""Characters: kind, an id of 256, a position; or the longest name of a topic, 249, with partition and offset."""


@dataclass(frozen=True)
class Subject:
    """One thing that must be settled; two are equal where their texts are.

    event      an event that no dispatch caused; `id` is its event key
    dispatch   one answer to a dispatch, or the result of a gather; `part` is the position of the answer
    timeout    a dispatch that had no answer by its deadline
    approval   a dispatch that waits for a person
    gather     the deadline of a gather, or, with `part`, that it lacks answers which it must have
    workflow   the workflow as a whole: `cancel`, `deadline` or `size`, with the number of its life where it was begun
               again
    record     what was read at a position and is no event: `id` is its topic, partition and offset
    """

    kind: SubjectKind
    id: str
    part: str = ""

    @classmethod
    def of_event(cls, event: Event) -> Subject:
        """What a decision about this event settles: the answer to a dispatch, or the event itself."""
        if event.causation_id is None:
            return cls("event", event.key)
        return cls("dispatch", event.causation_id, str(event.answer_index))

    @classmethod
    def timeout(cls, dispatch_id: str) -> Subject:
        return cls("timeout", dispatch_id)

    @classmethod
    def approval(cls, dispatch_id: str) -> Subject:
        return cls("approval", dispatch_id)

    @classmethod
    def gather_deadline(cls, gather_id: str) -> Subject:
        return cls("gather", gather_id)

    @classmethod
    def gather_incomplete(cls, gather_id: str) -> Subject:
        return cls("gather", gather_id, _INCOMPLETE)

    @classmethod
    def cancel(cls, life: int) -> Subject:
        return cls("workflow", "cancel", str(life) if life else "")

    @classmethod
    def deadline(cls, life: int) -> Subject:
        return cls("workflow", "deadline", str(life) if life else "")

    @classmethod
    def size(cls, life: int) -> Subject:
        return cls("workflow", "size", str(life) if life else "")

    @classmethod
    def of_position(cls, position: Position) -> Subject:
        return cls("record", f"{position.topic}/{position.partition}/{position.offset}")

    @classmethod
    def parse(cls, text: Any) -> Subject:
        """Read what `str()` writes. Raises ValueError."""
        if not isinstance(text, str) or len(text) > LONGEST or _CONTROL.search(text):
            raise ValueError(f"{str(text)[:80]!r} is no subject of a decision")
        kind, _, rest = text.partition("/")
        if kind not in _KINDS or not rest:
            raise ValueError(f"{text[:80]!r} is no subject of a decision")
        if kind == "record":
            return cls("record", rest)
        if kind == "dispatch":
            identity, _, part = rest.rpartition("/")
        else:
            identity, _, part = rest.partition("/")
        if kind == "dispatch" and not (identity and _POSITION.fullmatch(part)):
            raise ValueError(f"{text[:80]!r} has no position of an answer")
        return cls(kind, identity, part)  # type: ignore[arg-type]

    def __str__(self) -> str:
        return self._text

    @cached_property
    def _text(self) -> str:
        return f"{self.kind}/{self.id}/{self.part}" if self.part else f"{self.kind}/{self.id}"

    @property
    def answer_index(self) -> int:
        """The position of the answer, from 0; of a subject of kind `dispatch`."""
        return int(self.part)

    @property
    def life(self) -> int:
        """The life of the workflow that this ends; 0 where it ends none, or the first."""
        return int(self.part) if self.kind == "workflow" and _POSITION.fullmatch(self.part) else 0

    @property
    def dispatch_id(self) -> str | None:
        """The dispatch, or gather, that this settles something of; None where there is none."""
        return self.id if self.kind in ("dispatch", "timeout", "approval", "gather") else None
