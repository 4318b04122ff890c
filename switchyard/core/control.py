"""Control events: what an operator asks of a workflow or an app, on a topic of its own (ADR 5)."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Any, Literal, get_args

from switchyard.core.errors import Rejected
from switchyard.core.event import Event
from switchyard.core.shards import shard_keys, shard_of

Kind = Literal["cancel", "approve", "reject", "pause", "resume"]

EVERY_WORKFLOW = "*"
MAX_REASON = 500
MAX_BY = 100

_PREFIX = "control."
_OF_APP = ("pause", "resume")
_OF_APPROVAL = ("approve", "reject")


@dataclass(frozen=True)
class Control:
    """One control event. `approval` is the id of the dispatch that waits, `by` who asked."""

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
    def of_app(self) -> bool:
        """Whether it concerns all workflows."""
        return self.kind in _OF_APP

    def records(self, shards: int) -> list[tuple[bytes, bytes]]:
        """Kafka's (key, value): one for the shard of the workflow, or one for each shard."""
        keys = shard_keys(shards) if self.of_app else (shard_of(self.event.workflow_id, shards),)
        value = self.event.json().encode()
        return [(str(key).encode(), value) for key in keys]

    @classmethod
    def new(cls, kind: Kind, source: str, reason: str, by: str, workflow_id: str = "", approval: str = "") -> Control:
        """A new request; `source` is a CloudEvents source such as `switchyard/sdr/operator`."""
        data = {"reason": reason[:MAX_REASON], "by": by[:MAX_BY]}
        if kind in _OF_APPROVAL:
            data["approval"] = approval
        workflow = EVERY_WORKFLOW if kind in _OF_APP else workflow_id
        event = Event.new(id=uuid.uuid4().hex, source=source, type=_PREFIX + kind, workflow_id=workflow, data=data)
        return cls(kind, event)

    @classmethod
    def parse(cls, raw: bytes | str, shard: int, shards: int) -> Control:
        """Read one record of the topic, found at `shard`.

        Raises Rejected: `not-json`, `not-a-cloudevent`, `not-a-control-event`, `wrong-shard`.
        """
        control = cls.of(Event.parse(raw))
        expected = shard_keys(shards) if control.of_app else (shard_of(control.event.workflow_id, shards),)
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
    if control.of_app != (control.event.workflow_id == EVERY_WORKFLOW):
        raise Rejected("not-a-control-event", f"expected {EVERY_WORKFLOW!r} for an app, else a workflow", "workflowid")
    limits = {"reason": MAX_REASON, "by": MAX_BY}
    if control.kind in _OF_APPROVAL:
        limits["approval"] = 64
    data: Any = control.event.data
    if not isinstance(data, dict) or data.keys() != limits.keys():
        raise Rejected("not-a-control-event", f"expected an object with {', '.join(limits)}", "data")
    for name, longest in limits.items():
        if not isinstance(data[name], str) or len(data[name]) > longest:
            raise Rejected("not-a-control-event", f"expected a string of at most {longest} characters", f"data.{name}")
