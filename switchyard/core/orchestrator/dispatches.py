"""The dispatches of one workflow: from the decision to the answer, through approval, delay and room."""

from __future__ import annotations

from collections.abc import Iterator

from switchyard.core import strictjson
from switchyard.core.event import Event
from switchyard.core.ids import dispatch_id, gather_id
from switchyard.core.ledger.record import Decision
from switchyard.core.orchestrator.context import ShardContext
from switchyard.core.orchestrator.messages import Dispatch
from switchyard.core.orchestrator.workflow import OpenDispatch, OpenGather, PendingDecision, Workflow
from switchyard.core.registry import Agent
from switchyard.core.routing.deciding import is_manual_retry, payload_hash
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
    """What is open in a workflow, as one turn changes it."""

    def __init__(self, desk: ShardContext, workflow: Workflow, now: int) -> None:
        self._desk = desk
        self._workflow = workflow
        self._now = now
        self._before = workflow.in_flight

    def begin(self, record: Decision, event: Event, waiting: PendingDecision) -> Iterator[Dispatch]:
        """Open the dispatches of a record that has become effective."""
        workflow = self._workflow
        again = record.decided_by == "retry"
        if is_manual_retry(event, record.subject):
            workflow.given = 0
        branches = self._gather(record, event, waiting) if not again else {}
        for agent in record.agents:
            identity = dispatch_id(record.subject, agent, record.attempt)
            item = OpenDispatch(
                agent,
                record.event,
                record.topic,
                record.partition,
                record.offset,
                waiting.hop + 1,
                record.attempt,
                tries=waiting.tries + 1 if again else 1,
                failed=waiting.failed if again else waiting.failures,
                ancestors=[*waiting.ancestors, payload_hash(agent, event)],
                branch=branches.get(agent, waiting.branch),
            )
            workflow.open[identity] = item
            workflow.dispatches += 1
            workflow.hops = max(workflow.hops, item.hop)
            if not again:
                workflow.given += 1
                self._move_on(agent)
            if self._needs_approval(agent, event):
                self._wait_for_approval(identity, item, record.at)
            elif record.delay_ms:
                item.stage = "delay"
                self._desk.due.set("send", workflow.id, identity, record.at + record.delay_ms)
            else:
                yield from self.send(identity)

    def _gather(self, record: Decision, event: Event, waiting: PendingDecision) -> dict[str, list[str]]:
        """Open a gather where the event's type asks for one; the branch of each agent."""
        policy = self._desk.registry.gathers.get(event.type)
        if policy is None:
            return {}
        workflow, identity = self._workflow, gather_id(record.subject, record.attempt)
        place = (record.topic, record.partition, record.offset)
        workflow.open[identity] = OpenDispatch(
            *(GATHER, record.event, *place, waiting.hop + 1, record.attempt, "gather"),
            ancestors=waiting.ancestors,
            branch=waiting.branch,
        )
        workflow.gathers[identity] = OpenGather(event.type, list(record.agents))
        self._desk.due.set("gather", workflow.id, identity, record.at + int(policy.deadline * 1000))
        return {agent: [identity, agent] for agent in record.agents}

    def send(self, identity: str) -> Iterator[Dispatch]:
        """Send a dispatch that waits for nothing more, where it may be sent now."""
        item = self._workflow.open.get(identity)
        if item is None or item.stage in ("sent", "approval", "gather"):
            return
        desk, name = self._desk, self._workflow.id
        if not desk.open:
            item.stage = "ready"
            desk.due.set("send", name, identity, 0)
        elif not desk.room_for(item.agent, self._sent_now(item.agent)):
            item.stage = "room"
            desk.queues.push(room_queue(item.agent), strictjson.dumps([name, identity]).encode())
        else:
            item.stage = "sent"
            self.expect(identity)
            event = with_dispatch_attributes(Event.parse(item.event), item.agent, identity, item.attempt, item.hop - 1)
            yield Dispatch(name, item.agent, identity, event)

    def expect(self, identity: str) -> None:
        """Its next answer is due in as long as its agent may take."""
        known = self._desk.registry.agents.get(self._workflow.open[identity].agent)
        deadline_s = known.deadline if known else DEADLINE_S
        self._desk.due.set("answer", self._workflow.id, identity, self._now + int(deadline_s * 1000))

    def approve(self, identity: str) -> Iterator[Dispatch]:
        """A person has approved: send it, and further attempts at the same event without asking again."""
        item = self._workflow.open[identity]
        self._workflow.approved.append(Event.parse(item.event).effect_key(item.agent))
        self._desk.due.clear("approval", self._workflow.id, identity)
        item.stage = "ready"
        yield from self.send(identity)

    def close(self, identity: str, *, abandoned: bool = False) -> None:
        """All answers have come, or none will count."""
        self._workflow.open.pop(identity, None)
        self._workflow.gathers.pop(identity, None)
        (self._workflow.abandoned if abandoned else self._workflow.closed).append(identity)
        for kind in ("answer", "approval", "send", "gather", "publish"):
            self._desk.due.clear(kind, self._workflow.id, identity)

    def count(self, running: bool) -> None:
        """Bring the shard's tally up to date with what this turn has changed."""
        after = self._workflow.in_flight if running else type(self._before)()
        tally = self._desk.tally.dispatches
        for agent in self._before.keys() | after.keys():
            tally[agent] = tally.get(agent, 0) + after[agent] - self._before[agent]

    def _move_on(self, agent: str) -> None:
        order = self._desk.registry.file.sequence
        if agent in order:
            self._workflow.place = order.index(agent) + 1

    def _sent_now(self, agent: str) -> int:
        return self._workflow.in_flight[agent] - self._before[agent]

    def _needs_approval(self, agent: str, event: Event) -> bool:
        known = self._desk.registry.agents.get(agent)
        needed = known is not None and known.approval == "required"
        return needed and event.effect_key(agent) not in self._workflow.approved

    def _wait_for_approval(self, identity: str, item: OpenDispatch, since: int) -> None:
        timeout_s = self._desk.registry.agents[item.agent].approval_timeout
        item.stage, item.since = "approval", since
        if timeout_s is not None:
            item.until = since + int(timeout_s * 1000)
            self._desk.due.set("approval", self._workflow.id, identity, item.until)
