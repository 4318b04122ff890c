"""One input's work on one workflow of the orchestrator."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from switchyard.core import deciding
from switchyard.core.deadletter import DeadLetter, Position
from switchyard.core.deciding import Choice, NoChoice, Verdict
from switchyard.core.decision import Decision
from switchyard.core.dispatching import addressed
from switchyard.core.errors import Rejected
from switchyard.core.event import Event
from switchyard.core.ids import dispatch_id
from switchyard.core.registry import FAILED_TYPE, Registry
from switchyard.core.shard import (
    IN_FLIGHT,
    Ask,
    Dead,
    Deadlines,
    Dispatch,
    Effect,
    EventRead,
    Log,
    ShardState,
    Status,
)
from switchyard.core.workflow import Ended, Open, Waiting, Workflow, status_event

LOG_AGAIN_MS = 10_000
UNSEEN_MS = 30_000


@dataclass
class Desk:
    """What all turns of a shard share. `fenced` tells that the shard has read back its fence."""

    registry: Registry
    state: ShardState
    due: Deadlines
    sql_version: str
    fenced: bool = False


class Turn:
    """One input's work on one workflow: changes it, collects effects, stores it."""

    def __init__(self, desk: Desk, workflow: Workflow, now: int) -> None:
        self.desk = desk
        self.registry = desk.registry
        self.due = desk.due
        self.workflow = workflow
        self.now = now
        self.effects: list[Effect] = []

    def event(self, item: EventRead, settles: str) -> None:
        """Admit an event that was read, and decide about it."""
        workflow, event = self.workflow, item.event
        if settles in workflow.seen:
            self._duplicate()
            return
        if event.causation_id is not None and not self._knows(event.causation_id):
            self.effects.append(dead(item, "unknown-dispatch", "no such dispatch is known", "causationid", self.now))
            return
        first = not workflow.seen
        workflow.seen.append(settles)
        workflow.inputs.append(event.id)
        if settles in workflow.settled:
            return
        waiting = workflow.waiting.get(settles)
        if waiting is None and not self._admit(settles, event, item.text, item.position):
            self._duplicate()
            return
        if waiting is not None and waiting.stage != "unseen":
            return
        workflow.waiting[settles].rule = None if item.rule is None else list(item.rule)
        self.due.clear("unseen", workflow.id, settles)
        self.decide(settles)
        if first:
            self._status()

    def decide(self, settles: str) -> None:
        """Log the verdict of a rule or guard, or ask a model."""
        waiting = self.workflow.waiting[settles]
        event = Event.parse(waiting.event)
        verdict = deciding.without_model(self.registry, event, waiting.hop, waiting.rule, waiting.failed)
        if verdict is None:
            self.ask(settles)
        else:
            self.log(settles, verdict)

    def ask(self, settles: str) -> None:
        """Ask now, or when the fence is passed. Its deadline stands for the ask until it is answered."""
        waiting = self.workflow.waiting[settles]
        waiting.stage = "asked"
        if self.desk.fenced:
            self.effects.append(Ask(self.workflow.id, settles, waiting.attempt))
        self.due.set("ask", self.workflow.id, settles, IN_FLIGHT if self.desk.fenced else 0)

    def log(self, settles: str, verdict: Verdict, outcome: Choice | NoChoice | None = None) -> None:
        """Write a decision ahead of acting on it; it is kept, to be written again unchanged, until it is read back."""
        workflow, waiting = self.workflow, self.workflow.waiting[settles]
        logged = sum(item.stage == "logged" for item in workflow.waiting.values())
        event = Event.parse(waiting.event)
        record = Decision(
            settles=settles,
            workflow_id=workflow.id,
            event=waiting.event,
            topic=waiting.topic,
            partition=waiting.partition,
            offset=waiting.offset,
            action=verdict.action,
            decided_by=verdict.decided_by,
            reason=verdict.reason,
            at=self.now,
            attempt=waiting.attempt,
            step=workflow.step + logged,
            agents=verdict.agents,
            candidates=tuple(agent.name for agent in deciding.candidates(self.registry, event, waiting.failed)),
            code=verdict.code,
            confidence=verdict.confidence,
            failed=tuple(waiting.failed),
            answer_count=waiting.answer_count,
            inputs=tuple(workflow.inputs),
            elapsed_ms=self.now - workflow.started_at,
            registry_version=self.registry.version,
            prompt_version=self.registry.prompt_version,
            sql_version=self.desk.sql_version,
            **deciding.spent(outcome),
        )
        workflow.inputs = []
        waiting.stage, waiting.record = "logged", asdict(record)
        self.due.clear("ask", workflow.id, settles)
        self.due.set("log", workflow.id, settles, self.now + LOG_AGAIN_MS)
        self.effects.append(Log(record))

    def read_back(self, record: Decision) -> None:
        """A record has come back: act on it, or refuse it and decide anew."""
        workflow, settles = self.workflow, record.settles
        try:
            event = record.parsed_event()
        except Rejected as error:
            self.effects.append(Dead(DeadLetter.of(error, record.event.encode(), record.position, self.now)))
            return
        seen = settles in workflow.waiting
        if not seen:
            self._admit(settles, event, record.event, record.position, record)
        waiting = workflow.waiting[settles]
        objection = deciding.objection(self.registry, event, record.action, record.agents)
        if objection is None:
            self._act(record, event, waiting)
            return
        waiting.attempt = workflow.refused[settles] = record.attempt + 1
        waiting.record = None
        self.due.clear("log", workflow.id, settles)
        if seen:
            self.decide(settles)
        else:
            waiting.stage = "unseen"
            self.due.set("unseen", workflow.id, settles, self.now + UNSEEN_MS)

    def send_open(self) -> None:
        """Dispatch what was decided before the fence and has had no answer since."""
        for identity, item in self.workflow.open.items():
            if not item.sent:
                item.sent = True
                self._send(identity, item)

    def finish(self) -> list[Effect]:
        """Store the workflow, or its tombstone where it has come to its end.

        Before the fence a workflow only seems idle: what it waits for may be a record or an event still to be read.
        """
        workflow, state = self.workflow, self.desk.state
        if workflow.status == "running" and workflow.idle and workflow.settled:
            if self.desk.fenced:
                workflow.status = "failed" if workflow.dead_letters else "completed"
            else:
                self.due.set("idle", workflow.id, "", 0)
        if workflow.status == "running":
            if workflow.seen or workflow.settled or workflow.waiting:
                state.workflows[workflow.id] = workflow.dump()
            return self.effects
        workflow.ended_at = self.now
        self.due.clear_workflow(("ask", "log", "unseen"), workflow.id, list(workflow.waiting))
        for kind in ("send", "idle"):
            self.due.clear(kind, workflow.id, "")
        ended = Ended.of(workflow, self.registry.app)
        state.ended[workflow.id] = ended.dump()
        state.workflows.pop(workflow.id, None)
        self.effects.append(told(self.registry.app, ended.summary))
        return self.effects

    def _act(self, record: Decision, event: Event, waiting: Waiting) -> None:
        workflow, settles = self.workflow, record.settles
        del workflow.waiting[settles]
        for kind in ("ask", "log", "unseen"):
            self.due.clear(kind, workflow.id, settles)
        workflow.settled.append(settles)
        workflow.step += 1
        workflow.model_calls += record.model_calls
        workflow.tokens += record.prompt_tokens + record.completion_tokens
        if record.cost is not None:
            workflow.cost = (workflow.cost or 0.0) + record.cost
        if record.action == "dispatch":
            for agent in record.agents:
                self._dispatch(record, agent, waiting)
            self._status()
        elif record.action == "stop":
            workflow.status, workflow.reason = "stopped", record.reason
        elif record.action == "dead-letter":
            workflow.dead_letters += 1
            workflow.reason = record.reason
            error = Rejected(record.code or "no-usable-decision", record.reason)
            self.effects.append(
                Dead(
                    DeadLetter.of(
                        error,
                        record.event.encode(),
                        record.position,
                        self.now,
                        workflow_id=workflow.id,
                        event_id=event.id,
                        attempt=record.attempt,
                    )
                )
            )
        elif workflow.idle:
            workflow.reason = record.reason

    def _dispatch(self, record: Decision, agent: str, waiting: Waiting) -> None:
        identity = dispatch_id(record.settles, agent, record.attempt)
        item = Open(
            agent,
            record.event,
            record.topic,
            record.partition,
            record.offset,
            waiting.hop + 1,
            record.attempt,
            failed=list(waiting.failed),
            sent=self.desk.fenced,
        )
        self.workflow.open[identity] = item
        self.workflow.dispatches += 1
        self.workflow.hops = max(self.workflow.hops, item.hop)
        if item.sent:
            self._send(identity, item)
        else:
            self.due.set("send", self.workflow.id, "", 0)

    def _send(self, identity: str, item: Open) -> None:
        event = addressed(Event.parse(item.event), item.agent, identity, item.attempt, item.hop - 1)
        self.effects.append(Dispatch(self.workflow.id, item.agent, identity, event))

    def _admit(self, settles: str, event: Event, text: str, position: Position, record: Decision | None = None) -> bool:
        """Put what must be settled on the list, once; False where this answer has come before."""
        workflow = self.workflow
        place = (position.topic, position.partition, position.offset)
        if not settles.startswith("dispatch/"):
            workflow.waiting[settles] = Waiting(text, *place, hop=0, stage="asked")
            return True
        _, identity, index = settles.split("/")
        opened = workflow.open.get(identity)
        if opened is None:
            if record is None:
                return False
            workflow.waiting[settles] = Waiting(text, *place, hop=event.hops, stage="asked")
            return True
        if int(index) in opened.answered:
            return False
        opened.answered.append(int(index))
        count = record.answer_count if record else event.answer_count
        if len(opened.answered) >= count:
            del workflow.open[identity]
            workflow.closed.append(identity)
        waiting = Waiting(text, *place, hop=opened.hop, stage="asked", answer_count=count)
        failed = list(record.failed) if record else [*opened.failed, opened.agent]
        if record.failed if record else event.type == FAILED_TYPE:
            waiting.event, waiting.hop, waiting.failed = opened.event, opened.hop - 1, failed
            waiting.topic, waiting.partition, waiting.offset = opened.topic, opened.partition, opened.offset
        else:
            workflow.remember(opened.agent, event)
        workflow.waiting[settles] = waiting
        return True

    def _knows(self, identity: str) -> bool:
        return identity in self.workflow.open or identity in self.workflow.closed

    def _duplicate(self) -> None:
        self.workflow.duplicates += 1
        self._status()

    def _status(self) -> None:
        self.effects.append(told(self.registry.app, self.workflow.summary(self.registry.app)))


def dead(item: EventRead, reason: str, message: str, field: str, now: int) -> Dead:
    return Dead(
        DeadLetter.of(
            Rejected(reason, message, field),
            item.text.encode(),
            item.position,
            now,
            workflow_id=item.event.workflow_id,
            event_id=item.event.id,
        )
    )


def told(app: str, summary: dict[str, Any]) -> Status:
    return Status(summary["workflow_id"], status_event(app, summary))
