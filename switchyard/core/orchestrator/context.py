"""What all work in a shard shares: the registry, state, limits, and how the ledger is written."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from switchyard.core.event import Event
from switchyard.core.orchestrator.limits import Quota, ShardUsage
from switchyard.core.orchestrator.messages import StatusChanged
from switchyard.core.orchestrator.queues import Queues
from switchyard.core.orchestrator.state import ShardState
from switchyard.core.orchestrator.store import WorkflowStore
from switchyard.core.orchestrator.timers import Timers
from switchyard.core.orchestrator.workflow import Workflow, status_event
from switchyard.core.registry import Registry
from switchyard.core.times import milliseconds

Price = Callable[[int, int], float | None]
"""The cost of prompt and completion tokens; None where no prices are set."""


def no_price(prompt_tokens: int, completion_tokens: int) -> float | None:
    return None


@dataclass
class ShardContext:
    """`fenced` tells that the shard has read back its fence; `quota` is its part of the app's limits."""

    registry: Registry
    state: ShardState
    sql_version: str
    quota: Quota = field(default_factory=Quota)
    price: Price = no_price
    fenced: bool = False

    def __post_init__(self) -> None:
        self.workflows = WorkflowStore(self.state)
        self.timers = Timers(self.state.timers)
        self.queues = Queues(self.state.queues)
        self.usage = ShardUsage(self.state.usage)

    @property
    def accepting(self) -> bool:
        """Whether events are decided about, agents get dispatches and models are asked."""
        return self.fenced and not self.usage.paused

    def spend(self, event: Event, now: int) -> tuple[int, float | None]:
        """Charge what an agent says it has used of a model to the hour in which it answered; tokens and cost."""
        prompt, completion = (int(event.attributes.get(name, 0)) for name in ("prompttokens", "completiontokens"))
        cost = self.price(prompt, completion) if prompt or completion else None
        try:
            at = milliseconds(event.attributes.get("time"))
        except ValueError:
            at = now
        self.usage.spend(at, now, prompt + completion, cost or 0.0)
        return prompt + completion, cost

    def room_for_workflow(self) -> bool:
        return self.usage.workflows < self.quota.part(self.registry.file.limits.open_workflows)

    def room_for(self, agent: str, more: int = 0) -> bool:
        """Whether an agent may have one more dispatch, with `more` that the usage does not yet count."""
        taken = self.usage.dispatches.get(agent, 0) + more
        return taken < self.quota.part(self.registry.open_dispatches(agent))

    def over_hour(self, now: int, tokens: int) -> str | None:
        """Why an ask that may use so many tokens must not begin in this hour; None where it may."""
        limits = self.registry.file.limits
        used, spent = self.usage.spent(now)
        planned = self.usage.reserved + tokens
        if limits.tokens_per_hour is not None and used + planned > self.quota.part(limits.tokens_per_hour):
            return f"limit of {limits.tokens_per_hour} tokens an hour reached"
        cost = max(self.price(planned, 0) or 0.0, self.price(0, planned) or 0.0)
        if limits.cost_per_hour is not None and spent + cost > self.quota.fraction(limits.cost_per_hour):
            return f"limit of {limits.cost_per_hour:g} an hour reached"
        return None

    @property
    def hourly(self) -> bool:
        """Whether there is a limit for an hour."""
        limits = self.registry.file.limits
        return limits.tokens_per_hour is not None or limits.cost_per_hour is not None

    def status_effect(self, workflow: Workflow) -> StatusChanged:
        """Tell how a workflow stands."""
        return self.summary_effect(workflow.summary(self.registry.app))

    def summary_effect(self, summary: dict[str, Any]) -> StatusChanged:
        return StatusChanged(summary["workflow_id"], status_event(self.registry.app, summary))
