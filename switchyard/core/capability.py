"""Capabilities: an answer proves that its dispatch was given to whoever answers (ADR 8)."""

from __future__ import annotations

import hashlib
import hmac

from switchyard.core.errors import Rejected
from switchyard.core.event import Event

ATTRIBUTE = "capability"


class Capabilities:
    """Grants and checks them, by HMAC-SHA-256 (RFC 2104); without a key it grants none and accepts any."""

    def __init__(self, key: str | None = None) -> None:
        self._key = None if key is None else key.encode()

    @property
    def granting(self) -> bool:
        """Whether there is a key."""
        return self._key is not None

    def granted(self, event: Event, dispatch_id: str) -> Event:
        """The event as it goes to whoever may answer this dispatch."""
        if self._key is None:
            return event
        return event.with_attributes(**{ATTRIBUTE: self._of(self._key, event.workflow_id, dispatch_id)})

    def check(self, event: Event) -> None:
        """Raises Rejected where the event answers a dispatch without its capability."""
        if self._key is None or event.causation_id is None:
            return
        shown = event.attributes.get(ATTRIBUTE)
        expected = self._of(self._key, event.workflow_id, event.causation_id)
        if not isinstance(shown, str) or not hmac.compare_digest(shown.encode(), expected.encode()):
            raise Rejected(
                "forged-answer",
                "it does not return the capability that its dispatch carried; a worker copies that attribute",
                ATTRIBUTE,
            )

    def _of(self, key: bytes, workflow_id: str, dispatch_id: str) -> str:
        workflow = workflow_id.encode()
        message = len(workflow).to_bytes(8, "big") + workflow + dispatch_id.encode()
        return hmac.new(key, message, hashlib.sha256).hexdigest()


def without_capability(event: Event, text: str) -> tuple[Event, str]:
    """The event and its text as they may stand where others read them."""
    if ATTRIBUTE not in event.attributes:
        return event, text
    kept = Event({name: value for name, value in event.attributes.items() if name != ATTRIBUTE}, event.data)
    return kept, kept.json()
