"""What a shard keeps of workflows whose people are to be forgotten (ADR 10)."""

from __future__ import annotations

from collections.abc import Iterable

from switchyard.core.orchestrator.context import ShardContext
from switchyard.core.orchestrator.messages import Effect, StatusForgotten


def forget(context: ShardContext, workflow_ids: Iterable[str]) -> list[Effect]:
    """Keep no more of ended workflows than tells a repeat of theirs from something new."""
    effects: list[Effect] = []
    for workflow_id in workflow_ids:
        if workflow_id in context.workflows:
            continue
        tombstone = context.workflows.tombstone(workflow_id)
        if tombstone is not None:
            tombstone.forget()
            context.workflows.bury(tombstone)
        effects.append(StatusForgotten(workflow_id))
    return effects
