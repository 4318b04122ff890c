"""Control events: what an operator asks of a workflow or an app, on a topic of its own (ADR 5)."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, get_args

from switchyard.core.erasure import ReceiptLine
from switchyard.core.errors import Rejected
from switchyard.core.event import Event
from switchyard.core.shards import shard_keys, shard_of

Kind = Literal["cancel", "approve", "reject", "pause", "resume", "retry", "resend", "discard", "forget", "fence"]
"""`retry` sends the event of a dead letter again. `resend` and `discard` tell what was done about a dead letter without
the job's help: its bytes were written again to the input that they came from, or it was closed. `forget` tells what was
removed about somebody, and which workflows the job is to forget. A `fence` is the job's own: once a shard has read it
back, it knows what was asked for before its start.
"""

EVERY_WORKFLOW = "*"
MAX_REASON = 500
MAX_BY = 100
MAX_ID = 64
MAX_PLACE = 300

_PREFIX = "control."
_OF_APP = ("pause", "resume")
_OF_EVERY_SHARD = (*_OF_APP, "forget", "fence")
_OF_DEAD_LETTER = ("resend", "discard")
_OF_NO_WORKFLOW = (*_OF_EVERY_SHARD, *_OF_DEAD_LETTER)
_OF_APPROVAL = ("approve", "reject")
_MORE = {"retry": ("event",), "forget": ("workflows", "receipt")}


@dataclass(frozen=True)
class Control:
    """One control event. `by` is who asked.

    `approval` is the id of the dispatch that waits, `content` the hash of the event in it that was shown.
    """

    kind: Kind
    event: Event

    @property
    def reason(self) -> str:
        return str(self.event.data["reason"])

    @property
    def by(self) -> str:
        return str(self.event.data["by"])

    @property
    def approval(self) -> str:
        return str(self.event.data["approval"])

    @property
    def content(self) -> str:
        return str(self.event.data["content"])

    @cached_property
    def retried(self) -> Event:
        """The event that is sent again. Raises Rejected: `not-a-control-event`."""
        if self.kind != "retry":
            raise Rejected("not-a-control-event", f"{self.event.type} holds no event", "type")
        return _retried(self.event)

    @property
    def workflow_ids(self) -> tuple[str, ...]:
        """The workflows that are to be forgotten."""
        return tuple(self.event.data["workflows"])

    @property
    def receipt(self) -> tuple[ReceiptLine, ...]:
        """What was done to forget somebody."""
        return tuple(map(ReceiptLine.parse, self.event.data["receipt"]))

    @property
    def of_app(self) -> bool:
        """Whether it concerns all workflows."""
        return self.kind in _OF_APP

    def keys(self, shards: int) -> tuple[int, ...]:
        """Where it belongs: the shard of its workflow, every shard, or, of no workflow, the first."""
        if self.kind in _OF_EVERY_SHARD:
            return shard_keys(shards)
        if self.event.workflow_id == EVERY_WORKFLOW:
            return shard_keys(shards)[:1]
        return (shard_of(self.event.workflow_id, shards),)

    def records(self, shards: int) -> list[tuple[bytes, bytes]]:
        """Kafka's (key, value), one for each shard that it belongs to."""
        value = self.event.json().encode()
        return [(str(key).encode(), value) for key in self.keys(shards)]

    @classmethod
    def new(cls, kind: Kind, source: str, reason: str, by: str, workflow_id: str = "", **more: Any) -> Control:
        """A new request; `source` is a CloudEvents source such as `switchyard/sdr/operator`.

        `more` is what the kind has besides: `approval` and `content`, `event` (an object), `deadletter`, or `subject`
        (a digest), `workflows` (a list of ids) and `receipt` (a list of objects).
        """
        data = {"reason": reason[:MAX_REASON], "by": by[:MAX_BY], **more}
        workflow = EVERY_WORKFLOW if kind in _OF_NO_WORKFLOW else workflow_id
        event = Event.new(id=uuid.uuid4().hex, source=source, type=_PREFIX + kind, workflow_id=workflow, data=data)
        return cls(kind, event)

    @classmethod
    def fence(cls, app: str, nonce: str) -> Control:
        """A mark that a shard writes after a start; `nonce` tells it from all others."""
        data = {"reason": "", "by": "the job"}
        source, kind = f"switchyard/{app}", f"{_PREFIX}fence"
        return cls("fence", Event.new(id=nonce, source=source, type=kind, workflow_id=EVERY_WORKFLOW, data=data))

    @classmethod
    def parse(cls, raw: bytes | str, shard: int, shards: int) -> Control:
        """Read one record of the topic, found at `shard`.

        Raises Rejected: `not-json`, `not-a-cloudevent`, `not-a-control-event`, `wrong-shard`.
        """
        control = cls.of(Event.parse(raw))
        expected = control.keys(shards)
        if shard not in expected:
            raise Rejected("wrong-shard", f"it stands on shard {shard}; its workflow is on {expected[0]}")
        return control

    @classmethod
    def of(cls, event: Event) -> Control:
        """What an event asks for. Raises Rejected: `not-a-control-event`."""
        kind = event.type.removeprefix(_PREFIX)
        if not event.type.startswith(_PREFIX) or kind not in get_args(Kind):
            types = ", ".join(_PREFIX + name for name in get_args(Kind))
            raise Rejected("not-a-control-event", f"type {event.type[:80]!r} is not one of {types}", "type")
        control = cls(kind, event)  # type: ignore[arg-type]
        _check(control)
        return control


def _check(control: Control) -> None:
    of_none = control.kind in _OF_NO_WORKFLOW
    if of_none != (control.event.workflow_id == EVERY_WORKFLOW):
        raise Rejected("not-a-control-event", f"expected {EVERY_WORKFLOW!r} for an app, else a workflow", "workflowid")
    limits = {"reason": MAX_REASON, "by": MAX_BY}
    if control.kind in _OF_APPROVAL:
        limits |= {"approval": MAX_ID, "content": MAX_ID}
    if control.kind in _OF_DEAD_LETTER:
        limits["deadletter"] = MAX_PLACE
    if control.kind == "forget":
        limits["subject"] = MAX_ID
    names = [*limits, *_MORE.get(control.kind, ())]
    data: Any = control.event.data
    if not isinstance(data, dict) or data.keys() != set(names):
        raise Rejected("not-a-control-event", f"expected an object with {', '.join(names)}", "data")
    for name, longest in limits.items():
        if not isinstance(data[name], str) or len(data[name]) > longest:
            raise Rejected("not-a-control-event", f"expected a string of at most {longest} characters", f"data.{name}")
    if control.kind == "retry":
        _retried(control.event)
    if control.kind == "forget":
        _check_forgotten(control)


def _retried(request: Event) -> Event:
    event = Event.from_object(request.data["event"])
    if event.retry < 1 or event.causation_id is not None or event.workflow_id != request.workflow_id:
        message = "expected an event of this workflow that counts its retry and answers no dispatch"
        raise Rejected("not-a-control-event", message, "data.event")
    return event


def _check_forgotten(control: Control) -> None:
    workflows, receipt = control.event.data["workflows"], control.event.data["receipt"]
    if not isinstance(workflows, list) or not all(isinstance(item, str) for item in workflows):
        raise Rejected("not-a-control-event", "expected a list of workflow ids", "data.workflows")
    if not isinstance(receipt, list):
        raise Rejected("not-a-control-event", "expected a list", "data.receipt")
    try:
        _ = control.receipt
    except ValueError as error:
        raise Rejected("not-a-control-event", str(error), "data.receipt") from None
