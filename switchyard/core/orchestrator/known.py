"""What a workflow must not forget: what it has read, what is settled, what became of its dispatches."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any

from switchyard.core.errors import Rejected
from switchyard.core.event import Event
from switchyard.core.ledger.subject import Subject
from switchyard.core.orchestrator.buckets import Buckets


class Known:
    """Facts by subject and by dispatch. They grow with the workflow, and are only ever asked for one by one.

    A subject: `seen`, the content hash of the event that was read, which is empty for an answer (an agent that has an
    event twice repeats its answer's id, and may say something else); `settled` by an effective record; `refused`, the
    attempt before which its records count no more. A dispatch: `over`, `closed` with all its answers or `abandoned`,
    whose answer would be late; `answered` by a settled answer. An effect key: the life in which it was `approved`. An
    event's id: the life whose record names it as `input`. A request's id: that it was `carried_out`.
    """

    def __init__(
        self, stored: dict[str, Any] | None = None, home: MutableMapping[str, str] | None = None, owner: str = ""
    ) -> None:
        self._facts = Buckets(None if stored is None else stored["facts"], home, owner)
        self.any_settled: bool = stored is not None and stored["any_settled"]

    @property
    def empty(self) -> bool:
        return not self._facts.characters

    @property
    def characters(self) -> int:
        """Of all facts, as JSON."""
        return self._facts.characters

    def read(self, event: Event, subject: Subject) -> None:
        """Note that an event was read."""
        self._facts.put(str(subject), "seen", event.content_hash if subject.kind == "event" else "")

    def repeats(self, event: Event, subject: Subject) -> bool:
        """Whether an event was read before. Raises Rejected where it only has the same id."""
        content = self._facts.get(str(subject)).get("seen")
        if content and content != event.content_hash:
            message = f"{event.source} has used this id before in the workflow, for another type or other data"
            raise Rejected("id-reused", message, "id")
        return content is not None

    def is_new(self, subject: Subject) -> bool:
        """Whether it was neither read nor settled."""
        return not self._facts.get(str(subject)).keys() & {"seen", "settled"}

    def settle(self, subject: Subject) -> None:
        self.any_settled = True
        self._facts.put(str(subject), "settled", True)
        if subject.kind == "dispatch":
            self._facts.put(subject.id, "answered", True)

    def is_settled(self, subject: Subject) -> bool:
        return "settled" in self._facts.get(str(subject))

    def refuse(self, subject: Subject, attempt: int) -> None:
        """Records of attempts before this one count no more."""
        self._facts.put(str(subject), "refused", attempt)

    def refused(self, subject: Subject) -> int:
        """The first attempt whose record may count."""
        return int(self._facts.get(str(subject)).get("refused", 0))

    def close(self, dispatch_id: str) -> None:
        self._facts.put(dispatch_id, "over", "closed")

    def abandon(self, dispatch_id: str) -> None:
        self._facts.put(dispatch_id, "over", "abandoned")

    def is_over(self, dispatch_id: str) -> bool:
        """Whether a dispatch, or gather, was closed or abandoned."""
        return "over" in self._facts.get(dispatch_id)

    def is_abandoned(self, dispatch_id: str) -> bool:
        return self._facts.get(dispatch_id).get("over") == "abandoned"

    def is_answered(self, dispatch_id: str) -> bool:
        """Whether an answer to it is settled."""
        return "answered" in self._facts.get(dispatch_id)

    def approve(self, effect_key: str, life: int) -> None:
        self._facts.put(effect_key, "approved", life)

    def is_approved(self, effect_key: str, life: int) -> bool:
        return self._facts.get(effect_key).get("approved") == life

    def carry_out(self, request: str) -> None:
        """What an operator asked for, by the id of its event, has become a record."""
        self._facts.put(request, "carried_out", True)

    def is_carried_out(self, request: str) -> bool:
        return "carried_out" in self._facts.get(request)

    def name_input(self, event_id: str, life: int) -> None:
        """The ledger tells that an event with this id was read in this life, if not in one before."""
        if self.input_of(event_id) is None:
            self._facts.put(event_id, "input", life)

    def input_of(self, event_id: str) -> int | None:
        """The life in which the ledger tells that an event was read; None where it does not."""
        return self._facts.get(event_id).get("input")

    def stored(self) -> dict[str, Any]:
        """What its owner keeps of it."""
        return {"any_settled": self.any_settled, "facts": self._facts.stored()}

    def save(self, home: MutableMapping[str, str], owner: str) -> bool:
        """Write what does not stand in the owner's own entry. Whether it has come from another map."""
        return self._facts.save(home, owner)
