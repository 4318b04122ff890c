"""Records of the ledger, from what is decided and what is known about the workflow."""

from __future__ import annotations

from switchyard.core.deadletter import Position
from switchyard.core.event import Event
from switchyard.core.ledger.record import Decision
from switchyard.core.orchestrator.context import ShardContext
from switchyard.core.orchestrator.workflow import Workflow
from switchyard.core.routing import deciding
from switchyard.core.routing.deciding import ModelDecision, ModelUnavailable, Verdict


def decided(
    desk: ShardContext,
    workflow: Workflow,
    subject: str,
    verdict: Verdict,
    outcome: ModelDecision | ModelUnavailable | None,
    now: int,
) -> Decision:
    """The record of a verdict about something that waits in a workflow."""
    waiting = workflow.waiting[subject]
    event = Event.parse(waiting.event)
    logged = sum(item.stage == "logged" for item in workflow.waiting.values())
    return Decision(
        subject=subject,
        workflow_id=workflow.id,
        event=waiting.event,
        topic=waiting.topic,
        partition=waiting.partition,
        offset=waiting.offset,
        action=verdict.action,
        decided_by=verdict.decided_by,
        reason=verdict.reason,
        at=now,
        attempt=waiting.attempt,
        step=workflow.step + logged,
        agents=verdict.agents,
        candidates=tuple(a.name for a in deciding.candidates(desk.registry, event, waiting.failed_agents)),
        code=verdict.code,
        confidence=verdict.confidence,
        failed=waiting.failed_agents,
        answer_count=waiting.answer_count,
        inputs=tuple(workflow.inputs),
        elapsed_ms=now - workflow.started_at,
        registry_version=desk.registry.version,
        prompt_version=desk.registry.prompt_version,
        sql_version=desk.sql_version,
        delay_ms=verdict.delay_ms,
        **deciding.spent(outcome),
    )


def late(
    desk: ShardContext, event: Event, text: str, position: Position, subject: str, status: str, now: int
) -> Decision:
    """The record of an answer to a workflow that has ended."""
    return Decision(
        subject=subject,
        workflow_id=event.workflow_id,
        event=text,
        topic=position.topic,
        partition=position.partition,
        offset=position.offset,
        action="late",
        decided_by="guard",
        reason=f"the workflow was {status} before this answer came",
        at=now,
        answer_count=event.answer_count,
        inputs=(event.id,),
        registry_version=desk.registry.version,
        prompt_version=desk.registry.prompt_version,
        sql_version=desk.sql_version,
    )
