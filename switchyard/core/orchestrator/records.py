"""Records of the ledger, from what is decided and what is known about the workflow."""

from __future__ import annotations

from typing import Any

from switchyard.core.ledger.record import Decision
from switchyard.core.ledger.subject import Subject
from switchyard.core.orchestrator.context import ShardContext
from switchyard.core.orchestrator.messages import EventRead
from switchyard.core.orchestrator.workflow import Workflow
from switchyard.core.registry import Registry
from switchyard.core.routing import decide
from switchyard.core.routing.verdict import ModelDecision, ModelUnavailable, Verdict, model_usage


def versions(registry: Registry, sql_version: str) -> dict[str, Any]:
    """By what a decision was made, as fields of its record."""
    return {
        "registry_version": registry.version,
        "prompt_version": registry.prompt_version,
        "sql_version": sql_version,
    }


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
    return Decision(
        subject=subject,
        workflow_id=workflow.id,
        event=pending.text,
        topic=pending.topic,
        partition=pending.partition,
        offset=pending.offset,
        action=verdict.action,
        decided_by=verdict.decided_by,
        reason=verdict.reason,
        at=now,
        attempt=pending.attempt,
        step=workflow.step + logged,
        agents=verdict.agents,
        candidates=tuple(agent.name for agent in able),
        code=verdict.code,
        confidence=verdict.confidence,
        failed=pending.failed_agents,
        answer_count=pending.answer_count,
        inputs=tuple(workflow.inputs),
        elapsed_ms=now - workflow.started_at,
        delay_ms=verdict.delay_ms,
        **versions(context.registry, context.sql_version),
        **model_usage(outcome),
    )


def late_record(context: ShardContext, item: EventRead, subject: Subject, status: str, now: int) -> Decision:
    """The record of an answer to a workflow that has ended."""
    event, position = item.event, item.position
    return Decision(
        subject=subject,
        workflow_id=event.workflow_id,
        event=item.text,
        topic=position.topic,
        partition=position.partition,
        offset=position.offset,
        action="late",
        decided_by="guard",
        reason=f"the workflow was {status} before this answer came",
        at=now,
        answer_count=event.answer_count,
        inputs=(event.id,),
        **versions(context.registry, context.sql_version),
    )
