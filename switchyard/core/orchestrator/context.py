"""What all turns of a shard share, and the effects that tell of a workflow or an input."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from switchyard.core.deadletter import DeadLetter, Position
from switchyard.core.errors import Rejected
from switchyard.core.event import Event
from switchyard.core.orchestrator.limits import Quota, ShardUsage
from switchyard.core.orchestrator.messages import ShardState, StatusChanged, Timers, WriteDeadLetter
from switchyard.core.orchestrator.queues import Queues
from switchyard.core.orchestrator.workflow import status_event
from switchyard.core.registry import Registry

Price = Callable[[int, int], float | None]
"""The cost of prompt and completion tokens; None where no prices are set."""


def no_price(prompt_tokens: int, completion_tokens: int) -> float | None:
    return None


@dataclass
class ShardContext:
    """`fenced` tells that the shard has read back its fence; `share` is its part of the app's limits."""

    registry: Registry
    state: ShardState
    sql_version: str
    share: Quota = field(default_factory=Quota)
    price: Price = no_price
    fenced: bool = False

    def __post_init__(self) -> None:
        self.due = Timers(self.state.due)
        self.queues = Queues(self.state.queue)
        self.tally = ShardUsage(self.state.tally)

    @property
    def open(self) -> bool:
        """Whether events are decided about, agents get dispatches and models are asked."""
        return self.fenced and not self.tally.paused

    def room_for_workflow(self) -> bool:
        return self.tally.workflows < self.share.part(self.registry.file.limits.open_workflows)

    def room_for(self, agent: str, more: int = 0) -> bool:
        """Whether an agent may have one more dispatch, with `more` that the tally does not yet count."""
        taken = self.tally.dispatches.get(agent, 0) + more
        return taken < self.share.part(self.registry.open_dispatches(agent))

    def over_hour(self, now: int, tokens: int) -> str | None:
        """Why an ask that may use so many tokens must not begin in this hour; None where it may."""
        limits = self.registry.file.limits
        used, spent = self.tally.spent(now)
        planned = self.tally.reserved + tokens
        if limits.tokens_per_hour is not None and used + planned > self.share.part(limits.tokens_per_hour):
            return f"limit of {limits.tokens_per_hour} tokens an hour reached"
        cost = max(self.price(planned, 0) or 0.0, self.price(0, planned) or 0.0)
        if limits.cost_per_hour is not None and spent + cost > self.share.fraction(limits.cost_per_hour):
            return f"limit of {limits.cost_per_hour:g} an hour reached"
        return None

    @property
    def hourly(self) -> bool:
        """Whether there is a limit for an hour."""
        limits = self.registry.file.limits
        return limits.tokens_per_hour is not None or limits.cost_per_hour is not None


def dead(
    error: Rejected, text: str, position: Position, now: int, workflow_id: str | None = None, event: Event | None = None
) -> WriteDeadLetter:
    """The dead letter of a text that was read at a position."""
    letter = DeadLetter.of(
        error,
        text.encode(),
        position,
        now,
        workflow_id=workflow_id,
        event_id=event.id if event else None,
        attempt=event.retry if event else 0,
    )
    return WriteDeadLetter(letter)


def told(app: str, summary: dict[str, Any]) -> StatusChanged:
    return StatusChanged(summary["workflow_id"], status_event(app, summary))
