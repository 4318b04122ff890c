"""The orchestrator: a state machine without I/O.

`Shard.advance(input, now)` changes the shard's state and returns effects; it never waits, asks or writes. Flink's
operator, the in-memory runner and the property tests drive the same code.

Decide, log, act: a decision is written to the ledger first and acted on only when it is read back. The first record
for (settles, attempt) in ledger order wins, whatever this process saw meanwhile. Until a shard has read back the fence
that it wrote after its start, it applies records at once and holds events and due deadlines, so that what was decided
before is not asked again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from switchyard.core import deciding, strictjson
from switchyard.core.deadletter import DeadLetter, Position
from switchyard.core.deciding import Choice, NoChoice, Verdict
from switchyard.core.decision import Decision, Fence, decision_from
from switchyard.core.dispatching import addressed
from switchyard.core.errors import Rejected
from switchyard.core.event import Event
from switchyard.core.ids import dispatch_id
from switchyard.core.prompt import choice_problem, choice_schema, routing_messages
from switchyard.core.registry import FAILED_TYPE, Registry
from switchyard.core.shard import (
    IN_FLIGHT,
    Answered,
    Ask,
    Dead,
    Deadlines,
    Dispatch,
    Effect,
    EventRead,
    Input,
    Log,
    RecordRead,
    ShardState,
    Status,
    Tick,
    Unreadable,
)
from switchyard.core.workflow import Ended, Open, Waiting, Workflow, status_event

LOG_AGAIN_MS = 10_000
ASK_AGAIN_MS = 2_000
UNSEEN_MS = 30_000


@dataclass(frozen=True)
class Question:
    """A routing request, ready for a model client."""

    messages: list[dict[str, str]]
    schema: dict[str, Any]
    check: Callable[[Any], str | None]


def question(
    registry: Registry,
    event: Event,
    failed: tuple[str, ...] = (),
    answered: list[dict[str, Any]] | None = None,
) -> Question:
    """What to ask a model about an event that neither a rule nor a guard decides."""
    choices = deciding.candidates(registry, event, failed)
    names = [agent.name for agent in choices]
    messages = routing_messages(
        registry,
        {"type": event.type, "data": event.data},
        choices,
        answered or (),
        [{"agent": name} for name in failed],
    )
    return Question(messages, choice_schema(choices), lambda answer: choice_problem(answer, names))


def settles_of(event: Event) -> str:
    """What a decision about this event settles: the answer to a dispatch, or the event itself."""
    if event.causation_id is not None:
        return f"dispatch/{event.causation_id}/{event.answer_index}"
    return f"event/{event.key}"


class Shard:
    """The workflows of one shard. `nonce` must be new at each start of the process."""

    def __init__(self, registry: Registry, state: ShardState, number: int, nonce: str, sql_version: str = "") -> None:
        self.registry = registry
        self.state = state
        self.number = number
        self.nonce = nonce
        self.sql_version = sql_version
        self.fenced = False
        self._fence_due: int | None = None
        self._due = Deadlines(state.due)
        self._held = max((int(key) for key in state.held), default=-1) + 1

    def advance(self, item: Input, now: int) -> list[Effect]:
        """Apply one input at `now` (milliseconds since 1970); return what must be done, in order."""
        effects: list[Effect] = []
        if not self.fenced and (self._fence_due is None or self._fence_due <= now):
            self._fence_due = now + LOG_AGAIN_MS
            effects.append(Log(Fence(self.number, self.nonce, now)))
        match item:
            case Unreadable():
                effects.append(Dead(DeadLetter.of(item.error, item.raw, item.position, now)))
            case RecordRead(record=Fence() as fence):
                effects += self._pass(fence, now)
            case RecordRead(record=Decision() as decision):
                effects += self._read_back(decision, now)
            case EventRead() if not self.fenced:
                self._hold(item)
            case EventRead():
                effects += self._event(item, now)
            case Answered():
                effects += self._answer(item, now)
            case Tick() if self.fenced:
                effects += self._tick(now)
        return effects

    def next_due(self) -> int | None:
        """When `Tick` must come next; None where nothing is due. At once, where the fence is not yet written."""
        return self._due.first() if self.fenced else self._fence_due or 0

    def question(self, ask: Ask) -> Question | None:
        """What to ask a model now; None where the matter was settled meanwhile."""
        workflow = self._load(ask.workflow_id)
        waiting = workflow.waiting.get(ask.settles) if workflow else None
        if workflow is None or waiting is None or waiting.stage != "asked" or waiting.attempt != ask.attempt:
            return None
        event = Event.parse(waiting.event)
        return question(self.registry, event, tuple(waiting.failed), workflow.history)

    def _hold(self, item: EventRead) -> None:
        held = {"text": item.text, "position": asdict(item.position), "rule": item.rule}
        self.state.held[f"{self._held:020d}"] = strictjson.dumps(held).encode()
        self._held += 1

    def _pass(self, fence: Fence, now: int) -> list[Effect]:
        """The fence is read back: everything logged before is known. Take up what was held, asked, or not yet sent."""
        if self.fenced or fence.nonce != self.nonce:
            return []
        self.fenced = True
        effects: list[Effect] = []
        for key in sorted(self.state.held):
            held = strictjson.loads(self.state.held.pop(key))
            rule = None if held["rule"] is None else tuple(held["rule"])
            text = held["text"]
            effects += self._event(EventRead(Event.parse(text), text, Position(**held["position"]), rule), now)
        return effects + self._tick(now)

    def _tick(self, now: int) -> list[Effect]:
        effects: list[Effect] = []
        for kind, workflow_id, settles in list(self._due.pop_due(now)):
            workflow = self._load(workflow_id)
            if workflow is None:
                continue
            waiting = workflow.waiting.get(settles)
            turn = _Turn(self, workflow, now)
            if kind == "send":
                turn.send_open()
            elif waiting is None:
                continue
            elif kind == "log" and waiting.record is not None:
                turn.effects.append(Log(decision_from(waiting.record)))
                self._due.set("log", workflow_id, settles, now + LOG_AGAIN_MS)
            elif kind == "ask":
                turn.ask(settles)
            elif kind == "unseen":
                turn.decide(settles)
            effects += turn.finish()
        return effects

    def _event(self, item: EventRead, now: int) -> list[Effect]:
        event = item.event
        settles = settles_of(event)
        ended = self._ended(event.workflow_id)
        if ended is not None:
            return self._after_end(ended, item, settles, now)
        workflow = self._load(event.workflow_id)
        if workflow is None:
            if event.causation_id is not None:
                return [_dead(item, "unknown-dispatch", "no such dispatch is known", "causationid", now)]
            workflow = Workflow(event.workflow_id, now)
        turn = _Turn(self, workflow, now)
        turn.event(item, settles)
        return turn.finish()

    def _after_end(self, ended: Ended, item: EventRead, settles: str, now: int) -> list[Effect]:
        event = item.event
        if event.key in ended.seen:
            ended.summary["duplicates"] += 1
            effects: list[Effect] = [_status(self.registry.app, ended.summary)]
        elif settles in ended.settled:
            ended.seen.append(event.key)
            effects = []
        else:
            status = ended.summary["status"]
            return [_dead(item, "workflow-ended", f"the workflow is {status}", "workflowid", now)]
        self.state.ended[event.workflow_id] = ended.dump()
        return effects

    def _answer(self, item: Answered, now: int) -> list[Effect]:
        workflow = self._load(item.workflow_id)
        waiting = workflow.waiting.get(item.settles) if workflow else None
        if workflow is None or waiting is None or waiting.stage != "asked" or waiting.attempt != item.attempt:
            return []
        outcome = item.outcome
        if isinstance(outcome, NoChoice) and outcome.retry:
            self._due.set("ask", item.workflow_id, item.settles, now + ASK_AGAIN_MS)
            return []
        event = Event.parse(waiting.event)
        verdict = deciding.by_outcome(self.registry, event, waiting.failed, outcome)
        turn = _Turn(self, workflow, now)
        turn.log(item.settles, verdict, outcome)
        return turn.finish()

    def _read_back(self, record: Decision, now: int) -> list[Effect]:
        if self._ended(record.workflow_id) is not None:
            return []
        workflow = self._load(record.workflow_id) or Workflow(record.workflow_id, record.at - record.elapsed_ms)
        if record.settles in workflow.settled or record.attempt < workflow.refused.get(record.settles, 0):
            return []
        turn = _Turn(self, workflow, now)
        turn.read_back(record)
        return turn.finish()

    def _load(self, workflow_id: str) -> Workflow | None:
        raw = self.state.workflows.get(workflow_id)
        return None if raw is None else Workflow.parse(raw)

    def _ended(self, workflow_id: str) -> Ended | None:
        raw = self.state.ended.get(workflow_id)
        return None if raw is None else Ended.parse(raw)


class _Turn:
    """One input's work on one workflow: changes it, collects effects, stores it."""

    def __init__(self, shard: Shard, workflow: Workflow, now: int) -> None:
        self.shard = shard
        self.registry = shard.registry
        self.due = shard._due
        self.workflow = workflow
        self.now = now
        self.effects: list[Effect] = []

    def event(self, item: EventRead, settles: str) -> None:
        """Admit an event that was read, and decide about it."""
        workflow, event = self.workflow, item.event
        if event.key in workflow.seen:
            self._duplicate()
            return
        if event.causation_id is not None and not self._knows(event.causation_id):
            self.effects.append(_dead(item, "unknown-dispatch", "no such dispatch is known", "causationid", self.now))
            return
        first = not workflow.seen
        workflow.seen.append(event.key)
        workflow.inputs.append(event.id)
        if settles in workflow.settled:
            return
        waiting = workflow.waiting.get(settles)
        if waiting is None and not self._admit(settles, event, item.text, item.position):
            self._duplicate()
            return
        if waiting is not None and waiting.stage != "unseen":
            self._duplicate()
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
        if self.shard.fenced:
            self.effects.append(Ask(self.workflow.id, settles, waiting.attempt))
        self.due.set("ask", self.workflow.id, settles, IN_FLIGHT if self.shard.fenced else 0)

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
            sql_version=self.shard.sql_version,
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
        """Store the workflow, or its tombstone where it has come to its end."""
        workflow, state = self.workflow, self.shard.state
        if workflow.status == "running" and workflow.idle and workflow.settled:
            workflow.status = "failed" if workflow.dead_letters else "completed"
        if workflow.status == "running":
            if workflow.seen or workflow.settled or workflow.waiting:
                state.workflows[workflow.id] = workflow.dump()
            return self.effects
        workflow.ended_at = self.now
        self.due.clear_workflow(("ask", "log", "unseen"), workflow.id, list(workflow.waiting))
        self.due.clear("send", workflow.id, "")
        ended = Ended.of(workflow, self.registry.app)
        state.ended[workflow.id] = ended.dump()
        state.workflows.pop(workflow.id, None)
        self.effects.append(_status(self.registry.app, ended.summary))
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
            sent=self.shard.fenced,
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
        self.effects.append(_status(self.registry.app, self.workflow.summary(self.registry.app)))


def _dead(item: EventRead, reason: str, message: str, field: str, now: int) -> Dead:
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


def _status(app: str, summary: dict[str, Any]) -> Status:
    return Status(summary["workflow_id"], status_event(app, summary))
