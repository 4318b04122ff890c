"""Records of the ledger, from what is decided and what is known about the workflow."""

from __future__ import annotations

from typing import Any

from switchyard.core.ledger.record import Decision
from switchyard.core.ledger.subject import Subject
from switchyard.core.orchestrator.context import ShardContext
from switchyard.core.orchestrator.messages import EventRead
from switchyard.core.orchestrator.workflow import Workflow
from switchyard.core.routing import decide
from switchyard.core.routing.records import decision, versions
from switchyard.core.routing.verdict import ModelDecision, ModelUnavailable, Verdict, model_usage


def record_of(
    context: ShardContext,
    workflow: Workflow,
    subject: Subject,
    verdict: Verdict,
    outcome: ModelDecision | ModelUnavailable | None,
    now: int,
) -> Decision:
    """The record of a verdict about something that is pending in a workflow."""
    pending = workflow.pending[subject]
    logged = sum(item.stage == "logged" for item in workflow.pending.values())
    able = decide.candidates(context.registry, pending.event, pending.failed_agents)
    return decision(
        subject,
        workflow.id,
        pending.text,
        pending.position,
        verdict,
        now,
        attempt=pending.attempt,
        step=workflow.step + logged,
        candidates=tuple(agent.name for agent in able),
        failed=pending.failed_agents,
        answer_count=pending.answer_count,
        inputs=tuple(workflow.inputs),
        elapsed_ms=now - workflow.started_at,
        dispatch_limit=context.registry.file.limits.dispatches,
        sequence=tuple(context.registry.file.sequence),
        gather=_gather(context, pending.event.type, verdict),
        **versions(context.registry, context.sql_version),
        **model_usage(outcome, pending.used),
    )


def _gather(context: ShardContext, event_type: str, verdict: Verdict) -> dict[str, Any] | None:
    """The policy of the gather that a verdict opens, so that a later deploy does not change how it ended."""
    policy = context.registry.gathers.get(event_type)
    if policy is None or verdict.action != "dispatch" or verdict.decided_by in ("retry", "operator"):
        return None
    return policy.model_dump(mode="json", exclude_defaults=True)


def usage_of(record: Decision) -> dict[str, Any]:
    """What a record says about its model calls, by field; nothing where no model was asked."""
    if not record.model_calls:
        return {}
    names = ("model", "model_calls", "prompt_tokens", "completion_tokens", "cost", "latency_ms")
    return {name: getattr(record, name) for name in names}


def late_record(context: ShardContext, item: EventRead, subject: Subject, status: str, now: int) -> Decision:
    """The record of an answer to a workflow that has ended."""
    verdict = Verdict("late", "guard", f"the workflow was {status} before this answer came")
    return decision(
        subject,
        item.event.workflow_id,
        item.text,
        item.position,
        verdict,
        now,
        answer_count=item.event.answer_count,
        inputs=(item.event.id,),
        **versions(context.registry, context.sql_version),
    )
