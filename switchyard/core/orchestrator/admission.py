"""Whether there is room for what an event from outside would begin: where there is none it becomes a dead letter.

Flink cannot leave it in Kafka: answers, which make room, come by the same topic (ADR 11).
"""

from __future__ import annotations

from switchyard.core.errors import Rejected
from switchyard.core.event import Event
from switchyard.core.ledger.subject import Subject
from switchyard.core.orchestrator.context import ShardContext


def check_room(context: ShardContext, event: Event) -> None:
    """Raises Rejected, `overloaded`, where an event is new, comes from outside, and the shard is full."""
    if event.causation_id is not None or not context.is_full or not _is_new(context, event):
        return
    limit = context.registry.file.limits.state_bytes
    raise Rejected(
        "overloaded",
        f"what is open and waits has reached this shard's share of limits.state_bytes, {limit}; when there is less of "
        "it: switchyard dead-letters retry --reason overloaded",
    )


def _is_new(context: ShardContext, event: Event) -> bool:
    """Whether it would be kept: not where it, or what became of it, is known, or its workflow has ended."""
    subject = Subject.of_event(event)
    workflow = context.workflows.running(event.workflow_id)
    if workflow is not None:
        return workflow.known.is_new(subject) and subject not in workflow.pending
    tombstone = context.workflows.tombstone(event.workflow_id)
    return tombstone is None or (event.retry > 0 and tombstone.known.is_new(subject))
