"""Deciding about one event without state: all of `route_message`, and of the command `route`, but the asking.

The same rules, guards, router, question, fallback and record as the orchestrator's. What only state knows is missing:
neither router nor model sees who has answered before, and a failed agent's event cannot be given to another, for it is
not at hand.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from switchyard.core import strictjson
from switchyard.core.deadletter import Position
from switchyard.core.errors import Rejected
from switchyard.core.event import Event
from switchyard.core.ledger.record import Decision
from switchyard.core.ledger.subject import Subject
from switchyard.core.registry import FAILED_TYPE, Registry
from switchyard.core.routing import decide
from switchyard.core.routing.inbox_event import hops_before
from switchyard.core.routing.question import Question, question
from switchyard.core.routing.records import decision, versions
from switchyard.core.routing.verdict import ModelDecision, ModelUnavailable, RoutingContext, Verdict, model_usage
from switchyard.core.topics import LARGEST_RECORD, MARGIN

Outcome = ModelDecision | ModelUnavailable
Ask = Callable[[Question], Awaitable[Outcome]]


@dataclass(frozen=True)
class RoutingInput:
    """An event that met its contract, as it was read. `rule` is what SQL decided, None where it decided nothing."""

    event: Event
    text: str
    position: Position
    rule: tuple[str, ...] | None

    @property
    def failed(self) -> tuple[str, ...]:
        return (self.event.data["agent"],) if self.event.type == FAILED_TYPE else ()

    @property
    def context(self) -> RoutingContext:
        return RoutingContext(hops_before(self.event), self.rule)


async def decide_once(registry: Registry, item: RoutingInput, ask: Ask) -> tuple[Verdict, Outcome | None]:
    """The verdict, and what came of the model where it had to be asked. Raises what `ask` raises."""
    verdict = before_model(registry, item)
    if verdict is not None:
        return verdict, None
    outcome = await ask(question(registry, item.event))
    return decide.after_model(registry, item.event, item.context, outcome), outcome


def before_model(registry: Registry, item: RoutingInput) -> Verdict | None:
    """The verdict that needs no model; None where one must be asked."""
    event = item.event
    if event.type == FAILED_TYPE:
        reason = f"{event.data['agent']} failed: {event.data['message']}"
        return Verdict("dead-letter", "guard", reason, code="agent-failed")
    return decide.before_model(registry, event, item.context)


def record_of(
    registry: Registry,
    item: RoutingInput,
    verdict: Verdict,
    outcome: Outcome | None,
    now: int,
    sql_version: str,
) -> Decision:
    """The ledger's record of a verdict. `step` is the number of hops: no state counts the steps of a workflow."""
    event = item.event
    return decision(
        Subject.of_event(event),
        event.workflow_id,
        item.text,
        item.position,
        verdict,
        now,
        step=hops_before(event),
        candidates=tuple(agent.name for agent in decide.candidates(registry, event, ())),
        failed=item.failed,
        answer_count=event.answer_count,
        inputs=(event.id,),
        **versions(registry, sql_version),
        **model_usage(outcome),
    )


def refused(error: Rejected, raw: bytes, position: Position, now: int) -> Decision:
    """The record for what is no event of the app at all: a dead letter that belongs to no workflow.

    What would not fit into the ledger is cut, a byte being up to six there: the whole is where it was read.
    """
    verdict = Verdict("dead-letter", "guard", str(error), code=error.reason)
    text = raw.decode(errors="replace")
    fits = len(strictjson.dumps(text).encode()) < LARGEST_RECORD - MARGIN
    text = text if fits else text[: (LARGEST_RECORD - MARGIN) // 6]
    return decision(Subject.of_position(position), "", text, position, verdict, now)
