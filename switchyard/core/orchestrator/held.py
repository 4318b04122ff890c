"""What was read and must wait, as an entry of a queue in state."""

from __future__ import annotations

from typing import Any

from switchyard.core.control import Control
from switchyard.core.deadletter import Position
from switchyard.core.event import Event
from switchyard.core.orchestrator.messages import ControlRead, EventRead


def held_entry(item: EventRead | ControlRead) -> dict[str, Any]:
    """`held_item` reads it."""
    control = isinstance(item, ControlRead)
    return {"text": item.text, "position": item.position, "rule": item.rule, "control": control}


def held_item(entry: dict[str, Any] | None) -> EventRead | ControlRead:
    """What an entry holds."""
    assert entry is not None
    text, position = entry["text"], Position(**entry["position"])
    event, rule = Event.trusted(text), None if entry["rule"] is None else tuple(entry["rule"])
    if entry["control"]:
        return ControlRead(Control.of(event), text, position, rule)
    return EventRead(event, text, position, rule)
