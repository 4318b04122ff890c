"""What all work in a shard shares: the registry, state, limits, and how the ledger is written."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from switchyard.core.event import Event
from switchyard.core.orchestrator.limits import Price, Quota, ShardUsage, over_hour, spend_of_agent
from switchyard.core.orchestrator.messages import StatusChanged
from switchyard.core.orchestrator.queues import Queues
from switchyard.core.orchestrator.state import ShardState
from switchyard.core.orchestrator.store import WorkflowStore
from switchyard.core.orchestrator.timers import Timers
from switchyard.core.orchestrator.workflow import Workflow, status_event
from switchyard.core.registry import Registry


def no_price(prompt_tokens: int, completion_tokens: int) -> float | None:
    return None


@dataclass
class ShardContext:
    """`fenced` tells that the shard has read back its fence; `quota` is its part of the app's limits.

    `unsent` are dispatches made since the fence that nobody can have been given yet; the ledger has been read up to
    what was decided at `read_until`. The fence was read at `begun`, and each agent last answered when `heard` says.
    No workflow ends of itself while the shard is `taking_up` what was held: more of the same workflow may be in it.
    """

    registry: Registry
    state: ShardState
    sql_version: str
    quota: Quota = field(default_factory=Quota)
    price: Price = no_price
    namespace: str = ""
    fenced: bool = False
    taking_up: bool = False
    unsent: set[str] = field(default_factory=set)
    read_until: int = 0
    begun: int = 0
    heard: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.usage = ShardUsage(self.state.usage)
        self.workflows = WorkflowStore(self.state, self.usage)
        self.timers = Timers(self.state.timers)
        self.queues = Queues(self.state.queues, self.usage)

    @property
    def accepting(self) -> bool:
        """Whether events are decided about, agents get dispatches and models are asked."""
        return self.fenced and not self.usage.paused

    def spend(self, event: Event, now: int) -> tuple[int, float | None]:
        """Charge the hour with what an agent says it has used of a model; tokens and cost."""
        return spend_of_agent(self.usage, self.price, event, now)

    def silent_since(self, agent: str) -> int:
        """When an agent last gave a sign of life, as far as this process can know: it was not listening before."""
        return max(self.heard.get(agent, 0), self.begun)

    def may_have_read(self, event: Event) -> bool:
        """Whether an event may have been read before its workflow came to its end (ADR 14)."""
        workflow = self.workflows.running(event.workflow_id) if self.usage.replaying else None
        return workflow is None or workflow.known.input_of(event.id) == workflow.life

    @property
    def is_full(self) -> bool:
        """Whether what is open and waits is as large as it may be."""
        return self.usage.size >= self.quota.part(self.registry.file.limits.state_bytes)

    def room_for_workflow(self) -> bool:
        return self.usage.workflows < self.quota.part(self.registry.file.limits.open_workflows)

    def room_for(self, agent: str, more: int = 0) -> bool:
        """Whether an agent may have one more dispatch, with `more` that the usage does not yet count."""
        taken = self.usage.dispatches.get(agent, 0) + more
        return taken < self.quota.part(self.registry.open_dispatches(agent))

    def over_hour(self, now: int, tokens: int) -> str | None:
        """Why an ask that may use so many tokens must not begin in this hour; None where it may."""
        return over_hour(self.registry.file.limits, self.quota, self.usage, self.price, now, tokens)

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
