"""Deciding about one event without state: all of `route_message` but the asking.

The same rules, guards, question, fallback and record as the orchestrator's. What only state knows is missing: the model
does not see who has answered before, and a failed agent's event cannot be given to another, for it is not at hand.
"""

from __future__ import annotations

from dataclasses import dataclass

from switchyard.core.deadletter import Position
from switchyard.core.errors import Rejected
from switchyard.core.event import Event
from switchyard.core.ledger.record import Decision
from switchyard.core.orchestrator.shard import subject_of
from switchyard.core.registry import FAILED_TYPE, Registry
from switchyard.core.routing import deciding
from switchyard.core.routing.deciding import ModelDecision, ModelUnavailable, RoutingContext, Verdict
from switchyard.core.routing.inbox_event import hops_before


@dataclass(frozen=True)
class RoutingInput:
    """An event that met its contract, as it was read. `rule` is what SQL decided, None where it did not."""

    event: Event
    text: str
    position: Position
    rule: tuple[str, ...] | None

    @property
    def failed(self) -> tuple[str, ...]:
        return (self.event.data["agent"],) if self.event.type == FAILED_TYPE else ()


def without_model(registry: Registry, message: RoutingInput) -> Verdict | None:
    """The verdict that needs no model; None where one must be asked."""
    event = message.event
    if event.type == FAILED_TYPE:
        reason = f"{event.data['agent']} failed: {event.data['message']}"
        return Verdict("dead-letter", "guard", reason, code="agent-failed")
    return deciding.without_model(registry, event, RoutingContext(hops_before(event), message.rule))


def record(
    registry: Registry,
    message: RoutingInput,
    verdict: Verdict,
    outcome: ModelDecision | ModelUnavailable | None,
    now: int,
    sql_version: str,
) -> Decision:
    """The ledger's record of a verdict. `step` is the number of hops: no state counts the steps of a workflow."""
    event, position = message.event, message.position
    return Decision(
        subject=subject_of(event),
        workflow_id=event.workflow_id,
        event=message.text,
        topic=position.topic,
        partition=position.partition,
        offset=position.offset,
        action=verdict.action,
        decided_by=verdict.decided_by,
        reason=verdict.reason,
        at=now,
        step=hops_before(event),
        agents=verdict.agents,
        candidates=tuple(agent.name for agent in deciding.candidates(registry, event, ())),
        code=verdict.code,
        confidence=verdict.confidence,
        failed=message.failed,
        answer_count=event.answer_count,
        inputs=(event.id,),
        registry_version=registry.version,
        prompt_version=registry.prompt_version,
        sql_version=sql_version,
        **deciding.spent(outcome),
    )


def refused(error: Rejected, raw: bytes, position: Position, now: int) -> Decision:
    """The record for what is no event of the app at all: a dead letter that belongs to no workflow."""
    return Decision(
        subject=f"record/{position.topic}/{position.partition}/{position.offset}",
        workflow_id="",
        event=raw.decode(errors="replace"),
        topic=position.topic,
        partition=position.partition,
        offset=position.offset,
        action="dead-letter",
        decided_by="guard",
        reason=str(error),
        at=now,
        code=error.reason,
    )
