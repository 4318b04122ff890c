"""The dispatches of one workflow: from the decision to the answer, through approval, delay and room."""

from __future__ import annotations

from collections.abc import Iterator

from switchyard.core.agents_file import Agent
from switchyard.core.event import Event
from switchyard.core.ledger.record import Decision
from switchyard.core.orchestrator.context import ShardContext
from switchyard.core.orchestrator.messages import Dispatch
from switchyard.core.orchestrator.open_work import OpenDispatch, OpenGather, PendingDecision
from switchyard.core.orchestrator.timers import OF_DISPATCH, Timer
from switchyard.core.orchestrator.workflow import Workflow
from switchyard.core.routing.consensus import GatherPolicy
from switchyard.core.routing.decide import is_manual_retry, payload_hash
from switchyard.core.routing.inbox_event import with_dispatch_attributes

DEADLINE_S = 300.0
LONGEST_BACKOFF_S = 60.0

GATHER = "(gather)"
"""Stands for the orchestrator itself, where a dispatch is a gather."""

_ROOM = "room/"


def backoff_ms(agent: Agent, tries: int) -> int:
    """How long to wait before the next attempt, after so many."""
    return int(1000 * min(agent.backoff * 2.0 ** (tries - 1), LONGEST_BACKOFF_S))


def room_queue(agent: str) -> str:
    """The queue of dispatches that wait for room with an agent."""
    return _ROOM + agent


def agent_of(queue: str) -> str | None:
    """The agent of such a queue; None for another queue."""
    return queue.removeprefix(_ROOM) if queue.startswith(_ROOM) else None


class Dispatches:
    """What agents have of a workflow, as one transition changes it."""

    def __init__(self, context: ShardContext, workflow: Workflow, now: int) -> None:
        self._context = context
        self._workflow = workflow
        self._now = now
        self._before = workflow.in_flight

    def begin(self, record: Decision, event: Event, pending: PendingDecision) -> Iterator[Dispatch]:
        """Open the dispatches of a record that has become effective."""
        workflow = self._workflow
        again = record.decided_by == "retry"
        if is_manual_retry(event, record.subject):
            workflow.dispatch_count = 0
        branches = self._open_gather(record, event, pending) if not again else {}
        for agent in record.agents:
            dispatch_id = record.dispatch_id(agent)
            opened = OpenDispatch(
                record.event,
                record.topic,
                record.partition,
                record.offset,
                agent,
                pending.hop + 1,
                record.attempt,
                tries=pending.tries + 1 if again else 1,
                failed=pending.failed if again else pending.failures,
                ancestors=[*pending.ancestors, payload_hash(agent, event)],
                branch=branches.get(agent, pending.branch),
            )
            opened.about(event)
            workflow.dispatches[dispatch_id] = opened
            if self._context.fenced:
                self._context.unsent.add(dispatch_id)
            workflow.dispatched += 1
            workflow.hops = max(workflow.hops, opened.hop)
            if not again:
                workflow.dispatch_count += 1
                self._next_step(agent, record)
            if self._needs_approval(agent, event):
                self._wait_for_approval(dispatch_id, opened, record.at)
            elif record.delay_ms:
                opened.stage = "delay"
                self._context.timers.set(Timer("send", workflow.id, dispatch_id), record.at + record.delay_ms)
            else:
                yield from self.send(dispatch_id)

    def send(self, dispatch_id: str) -> Iterator[Dispatch]:
        """Send a dispatch that waits for nothing more, where it may be sent now."""
        opened = self._workflow.dispatches.get(dispatch_id)
        if opened is None or opened.stage in ("sent", "approval", "gather"):
            return
        context, workflow_id = self._context, self._workflow.id
        if opened.agent not in context.registry.agents and context.accepting:
            opened.stage = "sent"  # as far as it ever will be; a record says so, at once where nobody can have it
            self.expect(dispatch_id)
            if dispatch_id in context.unsent:
                context.timers.set(Timer("answer", workflow_id, dispatch_id), self._now)
        elif not context.accepting:
            opened.stage = "ready"
            context.timers.set(Timer("send", workflow_id, dispatch_id), 0)
        elif not context.room_for(opened.agent, self._sent_now(opened.agent)):
            opened.stage = "room"
            context.queues.push(room_queue(opened.agent), {"workflow": workflow_id, "dispatch": dispatch_id})
        else:
            opened.stage = "sent"
            context.unsent.discard(dispatch_id)
            self.expect(dispatch_id)
            event = with_dispatch_attributes(opened.event, opened.agent, dispatch_id, opened.attempt, opened.hop - 1)
            yield Dispatch(workflow_id, opened.agent, dispatch_id, event)

    def expect(self, dispatch_id: str) -> None:
        """Its next answer is due in as long as its agent may take."""
        agent = self._context.registry.agents.get(self._workflow.dispatches[dispatch_id].agent)
        deadline_s = agent.deadline if agent else DEADLINE_S
        self._context.timers.set(Timer("answer", self._workflow.id, dispatch_id), self._now + int(deadline_s * 1000))

    def approve(self, dispatch_id: str) -> Iterator[Dispatch]:
        """A person has approved: send it, and further attempts at the same event without asking again."""
        opened = self._workflow.dispatches[dispatch_id]
        self._workflow.known.approve(opened.event.effect_key(opened.agent), self._workflow.life)
        self._context.timers.clear(Timer("approval", self._workflow.id, dispatch_id))
        opened.stage = "ready"
        yield from self.send(dispatch_id)

    def close(self, dispatch_id: str, *, abandoned: bool = False) -> None:
        """All answers have come, or none will count."""
        self._workflow.dispatches.pop(dispatch_id, None)
        self._workflow.gathers.pop(dispatch_id, None)
        self._context.unsent.discard(dispatch_id)
        known = self._workflow.known
        known.abandon(dispatch_id) if abandoned else known.close(dispatch_id)
        for kind in OF_DISPATCH:
            self._context.timers.clear(Timer(kind, self._workflow.id, dispatch_id))

    def count(self, running: bool) -> None:
        """Bring the shard's usage up to date with what this transition has changed."""
        after = self._workflow.in_flight if running else type(self._before)()
        counted = self._context.usage.dispatches
        for agent in self._before.keys() | after.keys():
            counted[agent] = counted.get(agent, 0) + after[agent] - self._before[agent]

    def _open_gather(self, record: Decision, event: Event, pending: PendingDecision) -> dict[str, list[str]]:
        """Open a gather where the event's type asks for one; the branch of each agent."""
        registry = self._context.registry
        of_another = record.registry_version not in ("", registry.version)
        if record.gather is None and (of_another or event.type not in registry.gathers):
            return {}
        policy = GatherPolicy.of(registry, event.type, record.gather).gather
        workflow, gather_id = self._workflow, record.gather_id
        opened = OpenDispatch(
            *(record.event, record.topic, record.partition, record.offset),
            *(GATHER, pending.hop + 1, record.attempt, "gather"),
            ancestors=pending.ancestors,
            branch=pending.branch,
        )
        opened.about(event)
        workflow.dispatches[gather_id] = opened
        workflow.gathers[gather_id] = OpenGather(event.type, list(record.agents), record.gather)
        due = record.at + int(policy.deadline * 1000)
        self._context.timers.set(Timer("gather", workflow.id, gather_id), due)
        return {agent: [gather_id, agent] for agent in record.agents}

    def _next_step(self, agent: str, record: Decision) -> None:
        order = self._context.registry.file.sequence if record.sequence is None else record.sequence
        if agent in order:
            self._workflow.next_step = order.index(agent) + 1

    def _sent_now(self, agent: str) -> int:
        return self._workflow.in_flight[agent] - self._before[agent]

    def _needs_approval(self, agent: str, event: Event) -> bool:
        definition = self._context.registry.agents.get(agent)
        needed = definition is not None and definition.approval == "required"
        return needed and not self._workflow.known.is_approved(event.effect_key(agent), self._workflow.life)

    def _wait_for_approval(self, dispatch_id: str, opened: OpenDispatch, since: int) -> None:
        timeout_s = self._context.registry.agents[opened.agent].approval_timeout
        opened.stage, opened.since = "approval", since
        if timeout_s is not None:
            opened.until = since + int(timeout_s * 1000)
            self._context.timers.set(Timer("approval", self._workflow.id, dispatch_id), opened.until)
