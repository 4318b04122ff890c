"""The audit: what operators asked for, and what came of it, on a topic that keeps everything (ADR 8)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from switchyard.core import strictjson
from switchyard.core.control import EVERY_WORKFLOW, Control
from switchyard.core.erasure import ReceiptLine
from switchyard.core.errors import Rejected
from switchyard.core.fields import Id, Millis, Name, Text, reader

Outcome = Literal["done", "refused"]


@dataclass(frozen=True)
class AuditEntry:
    """One request: its `id`, who asked and why, when the job took it (milliseconds since 1970), and what came of it.

    action      the kind of the request, such as `cancel` or `discard`
    workflow_id None where it concerns none, or all
    about       the approval or the dead letter that it names, or the digest of who was forgotten
    message     why it was refused
    receipt     what was done to forget somebody
    """

    id: Id
    at: Millis
    action: Name
    by: Text
    reason: Text
    outcome: Outcome
    workflow_id: Id | None = None
    about: Text | None = None
    message: Text | None = None
    receipt: tuple[ReceiptLine, ...] = ()

    @classmethod
    def of(cls, control: Control, at: int, refusal: Rejected | None = None) -> AuditEntry:
        event, data = control.event, control.event.data
        again = control.retried.attributes.get("deadletter") if control.kind == "retry" else None
        about = data.get("approval") or data.get("deadletter") or data.get("subject") or again
        return cls(
            id=event.id,
            at=at,
            action=control.kind,
            by=control.by,
            reason=control.reason,
            outcome="refused" if refusal else "done",
            workflow_id=None if event.workflow_id == EVERY_WORKFLOW else event.workflow_id,
            about=None if about is None else str(about),
            message=None if refusal is None else refusal.message,
            receipt=control.receipt if control.kind == "forget" else (),
        )

    @classmethod
    def parse(cls, raw: bytes | str) -> AuditEntry:
        """Read what `json` writes. Raises ValueError."""
        return _entry(strictjson.loads_foreign(raw))

    def json(self) -> str:
        return strictjson.dumps(self)


_entry = reader(AuditEntry)
