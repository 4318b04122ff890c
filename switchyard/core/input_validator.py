"""What a source record must be before anything else sees it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from switchyard.core import strictjson
from switchyard.core.capability import Capabilities
from switchyard.core.control import Control
from switchyard.core.errors import Rejected
from switchyard.core.event import Event
from switchyard.core.registry import Registry

NO_KEY = Capabilities()
MOST_GROWTH = 5
"""How much longer JSON may be that is read and written anew, for each of its bytes.

Numbers alone grow: the worst is `1e15`, which becomes `1000000000000000.0`. Texts are written as short as can be, and
the `"data":null` that an event without data gets is shorter than its attributes.
"""

_OF_RETRY = ("retry", "deadletter")


@dataclass(frozen=True)
class InputValidator:
    """Checks size, JSON, CloudEvents, contract, and what the event may do. Every method raises Rejected."""

    registry: Registry
    capabilities: Capabilities = NO_KEY

    def well_formed(self, raw: bytes | None) -> Event:
        """An event that meets its contract, whatever it may do."""
        sized = self._sized(raw)
        event = Event.parse(sized)
        self._sized_anew(sized, event.json)
        self.registry.check(event, outside=event.causation_id is None and event.type in self.registry.file.starts)
        return event

    def event(self, raw: bytes | None) -> Event:
        """An event of agent-messages: it begins a workflow, or it answers a dispatch."""
        event = self.well_formed(raw)
        for name in _OF_RETRY:
            if name in event.attributes:
                message = "only an operator sends an event again: switchyard dead-letters retry"
                raise Rejected("reserved-attribute", message, name)
        starts = self.registry.file.starts
        if event.causation_id is None and event.type not in starts:
            message = f"an event that answers no dispatch begins a workflow, by one of {', '.join(starts)}"
            raise Rejected("not-a-start", f"{message}; it is {event.type}", "type")
        self.capabilities.check(event)
        return event

    def retried(self, raw: bytes | None) -> Event:
        """The event in a record of the control topic that sends it again."""
        return self.well_formed(Control.of(Event.parse(b"" if raw is None else raw)).retried.json().encode())

    def data(self, event_type: str, raw: bytes | None) -> Any:
        """One plain object of an input topic, to become the data of an event of this type."""
        try:
            sized = self._sized(raw)
            value = strictjson.loads_foreign(sized, strictjson.DEEPEST_DATA)
        except ValueError as error:
            raise Rejected("not-json", f"the value is not JSON ({error})") from None
        contract = self.registry.contracts.get(event_type)
        if contract is None:
            raise Rejected("unknown-type", f"no contract for {event_type!r}")
        contract.check(value, outside=True)
        self._sized_anew(sized, lambda: strictjson.dumps(value))
        return value

    def _sized_anew(self, raw: bytes, written: Callable[[], str]) -> None:
        """As `_sized`, of what is written anew, which is written only where it may be too large."""
        if len(raw) * MOST_GROWTH > self.registry.file.limits.event_bytes:
            self._sized(written().encode())

    def _sized(self, raw: bytes | None) -> bytes:
        if raw is None:
            raise Rejected("not-json", "the record has no value")
        largest = self.registry.file.limits.event_bytes
        if len(raw) > largest:
            raise Rejected("too-large", f"{len(raw)} bytes; the limit is {largest}")
        return raw
