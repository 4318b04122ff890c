"""What an agent gets: the event that was decided about, with the attributes of its dispatch (ADR 1)."""

from __future__ import annotations

from switchyard.core.event import Event
from switchyard.core.ids import dispatch_id
from switchyard.core.ledger.record import Decision


def with_dispatch_attributes(event: Event, agent: str, identity: str, attempt: int, hops: int) -> Event:
    """The event as it goes into an agent's inbox. `hops` counts the dispatches before it."""
    return event.with_attributes(
        dispatchid=identity,
        effectkey=event.effect_key(agent),
        attempt=attempt,
        hops=hops,
    )


def of_record(record: Decision, agent: str) -> tuple[str, Event]:
    """Dispatch id and inbox event of one agent that a record names, from the record alone. Raises Rejected."""
    event = record.parsed_event()
    identity = dispatch_id(record.subject, agent, record.attempt)
    return identity, with_dispatch_attributes(event, agent, identity, record.attempt, hops_before(event))


def hops_before(event: Event) -> int:
    """The dispatches before an event, as it tells itself: 0 where no dispatch caused it."""
    return event.hops if event.causation_id is not None else 0
