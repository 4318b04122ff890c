"""What an agent gets: the event that was decided about, with the attributes of its dispatch (ADR 1)."""

from __future__ import annotations

from switchyard.core.event import Event
from switchyard.core.ledger.record import Decision


def with_dispatch_attributes(event: Event, agent: str, dispatch_id: str, attempt: int, hops: int) -> Event:
    """The event as it goes into an agent's inbox. `hops` counts the dispatches before it."""
    return event.with_attributes(
        dispatchid=dispatch_id,
        effectkey=event.effect_key(agent),
        attempt=attempt,
        hops=hops,
    )


def inbox_event(record: Decision, agent: str) -> tuple[str, Event]:
    """Dispatch id and inbox event of one agent that a record names, from the record alone. Raises Rejected."""
    event = record.parsed_event()
    dispatch_id = record.dispatch_id(agent)
    return dispatch_id, with_dispatch_attributes(event, agent, dispatch_id, record.attempt, hops_before(event))


def hops_before(event: Event) -> int:
    """The dispatches before an event, as it tells itself: 0 where no dispatch caused it."""
    return event.hops if event.causation_id is not None else 0
