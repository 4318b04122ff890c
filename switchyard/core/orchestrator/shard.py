"""The orchestrator: a state machine without I/O.

`Shard.advance(input, now)` changes the shard's state and returns effects; it never waits, asks or writes. Flink's
operator, the in-memory runner and the property tests drive the same code.

Decide, log, act: a decision is written to the ledger first and acted on only when it is read back. The first record
for (subject, attempt) in ledger order wins, whatever this process saw meanwhile. Until a shard has read back the fence
that it wrote after its start, it applies records at once and holds events and due deadlines, so that what was decided
before is not asked again.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from switchyard.core import strictjson
from switchyard.core.control import Control
from switchyard.core.deadletter import DeadLetter, Position
from switchyard.core.errors import Rejected
from switchyard.core.event import Event
from switchyard.core.ledger.record import Decision, Fence, decision_from
from switchyard.core.orchestrator import records
from switchyard.core.orchestrator.context import Price, ShardContext, dead, no_price, told
from switchyard.core.orchestrator.dispatches import agent_of
from switchyard.core.orchestrator.limits import Quota
from switchyard.core.orchestrator.messages import (
    Ask,
    ControlRead,
    Effect,
    EventRead,
    Log,
    ModelAnswered,
    RecordRead,
    RejectedRecord,
    ShardInput,
    ShardState,
    Tick,
    WriteDeadLetter,
)
from switchyard.core.orchestrator.pending import LOG_AGAIN_MS
from switchyard.core.orchestrator.transition import WorkflowTransition
from switchyard.core.orchestrator.workflow import Tombstone, Workflow
from switchyard.core.registry import Registry
from switchyard.core.routing.deciding import ModelUnavailable, is_manual_retry
from switchyard.core.routing.question import Question

ASK_AGAIN_MS = 2_000
HELD, START = "held", "start"


def subject_of(event: Event) -> str:
    """What a decision about this event subject: the answer to a dispatch, or the event itself."""
    if event.causation_id is not None:
        return f"dispatch/{event.causation_id}/{event.answer_index}"
    return f"event/{event.key}"


class Shard:
    """The workflows of one shard. `nonce` must be new at each start of the process."""

    def __init__(
        self,
        registry: Registry,
        state: ShardState,
        number: int,
        nonce: str,
        sql_version: str = "",
        share: Quota | None = None,
        price: Price = no_price,
    ) -> None:
        self.registry = registry
        self.state = state
        self.number = number
        self.nonce = nonce
        self.desk = ShardContext(registry, state, sql_version, share or Quota(), price)
        self._fence_due: int | None = None

    @property
    def fenced(self) -> bool:
        """Whether the fence of this start has been read back."""
        return self.desk.fenced

    def advance(self, item: ShardInput, now: int) -> list[Effect]:
        """Apply one input at `now` (milliseconds since 1970); return what must be done, in order."""
        effects: list[Effect] = []
        if not self.fenced and (self._fence_due is None or self._fence_due <= now):
            self._fence_due = now + LOG_AGAIN_MS
            effects.append(Log(Fence(self.number, self.nonce, now)))
        match item:
            case RejectedRecord():
                effects.append(WriteDeadLetter(DeadLetter.of(item.error, item.raw, item.position, now)))
            case RecordRead(record=Fence() as fence):
                if not self.fenced and fence.nonce == self.nonce:
                    self.desk.fenced = True
                    effects += self._open(now)
            case RecordRead(record=Decision() as decision):
                effects += self._read_back(decision, now)
            case ControlRead() if self.fenced:
                was_open = self.desk.open
                effects += self._control(item, now)
                if self.desk.open and not was_open:
                    effects += self._open(now)
            case EventRead() if self.desk.open:
                effects += self._event(item, now)
            case EventRead() | ControlRead():
                self._hold(item)
            case ModelAnswered():
                effects += self._answer(item, now)
            case Tick() if self.desk.open:
                effects += self._tick(now)
        effects += self._make_use_of_room(now)
        self.desk.tally.save()
        return effects

    def next_due(self) -> int | None:
        """When `Tick` must come next; None where nothing is due. At once, where the fence is not yet written."""
        if not self.fenced:
            return self._fence_due or 0
        return self.desk.due.first() if self.desk.open else None

    def question(self, ask: Ask) -> Question | None:
        """What to ask a model now; None where the matter was settled meanwhile."""
        workflow = self._load(ask.workflow_id)
        waiting = workflow.waiting.get(ask.subject) if workflow else None
        if workflow is None or waiting is None or waiting.stage != "asked" or waiting.attempt != ask.attempt:
            return None
        return WorkflowTransition(self.desk, workflow, 0).question(waiting)

    def _hold(self, item: EventRead | ControlRead, queue: str = HELD) -> None:
        held: dict[str, Any] = {"text": item.text, "position": item.position}
        if isinstance(item, EventRead):
            held["rule"] = item.rule
        self.desk.queues.push(queue, strictjson.dumps(held).encode())

    def _open(self, now: int) -> list[Effect]:
        """All that was logged before is known, and the app is not paused: take up what was held, asked, or not sent."""
        effects: list[Effect] = []
        left = self.desk.queues.size(HELD)
        while left:
            for _ in range(left):
                item = _held(self.desk.queues.pop(HELD) or b"")
                if isinstance(item, ControlRead):
                    effects += self._control(item, now)
                elif self.desk.open:
                    effects += self._event(item, now)
                else:
                    self._hold(item)
            left = self.desk.queues.size(HELD) if self.desk.open else 0
        return effects + (self._tick(now) if self.desk.open else [])

    def _make_use_of_room(self, now: int) -> list[Effect]:
        """Begin what waited for room, as far as there is some."""
        effects: list[Effect] = []
        if not self.desk.open:
            return effects
        queues = self.desk.queues
        for name in queues.names():
            agent = agent_of(name)
            if agent is not None:
                while self.desk.room_for(agent) and (entry := queues.pop(name)) is not None:
                    workflow_id, identity = strictjson.loads(entry)
                    effects += self._send(workflow_id, identity, now)
            while name == START and self.desk.room_for_workflow() and (entry := queues.pop(name)) is not None:
                item = _held(entry)
                assert isinstance(item, EventRead)
                effects += self._event(item, now)
        return effects

    def _send(self, workflow_id: str, identity: str, now: int) -> Iterator[Effect]:
        workflow = self._load(workflow_id)
        if workflow is not None:
            turn = WorkflowTransition(self.desk, workflow, now)
            turn.effects += turn.dispatches.send(identity)
            yield from turn.finish()

    def _tick(self, now: int) -> list[Effect]:
        effects: list[Effect] = []
        for kind, workflow_id, subject in list(self.desk.due.pop_due(now)):
            workflow = self._load(workflow_id)
            if workflow is None:
                continue
            waiting = workflow.waiting.get(subject)
            turn = WorkflowTransition(self.desk, workflow, now)
            if kind == "send":
                turn.effects += turn.dispatches.send(subject)
            elif kind == "answer":
                turn.overdue(subject)
            elif kind == "approval":
                turn.not_approved(subject)
            elif kind == "deadline":
                turn.out_of_time()
            elif kind == "gather":
                turn.gathers.overdue(subject)
            elif kind == "publish":
                turn.gathers.publish(subject)
            elif waiting is None:
                pass
            elif kind == "log" and waiting.record is not None:
                turn.effects.append(Log(decision_from(waiting.record)))
                self.desk.due.set("log", workflow_id, subject, now + LOG_AGAIN_MS)
            elif kind == "ask":
                turn.ask(subject)
            elif kind == "unseen":
                turn.decide(subject)
            effects += turn.finish()
        return effects

    def _control(self, item: ControlRead, now: int) -> list[Effect]:
        """Do, or log, what an operator asks for."""
        control = item.control
        if control.of_app:
            self.desk.tally.paused = control.kind == "pause"
            return []
        workflow_id = control.event.workflow_id
        workflow, ended = self._load(workflow_id), self._ended(workflow_id)
        try:
            if workflow is None:
                status = f"the workflow is {ended.summary['status']}" if ended else "no such workflow is known"
                raise Rejected("workflow-ended" if ended else "unknown-workflow", status, "workflowid")
            turn = WorkflowTransition(self.desk, workflow, now)
            turn.control(item)
        except Rejected as error:
            return [dead(error, item.text, item.position, now, workflow_id, control.event)]
        return turn.finish()

    def _event(self, item: EventRead, now: int) -> list[Effect]:
        event = item.event
        subject = subject_of(event)
        workflow = self._load(event.workflow_id)
        ended = None if workflow else self._ended(event.workflow_id)
        if ended is not None and not (is_manual_retry(event, subject) and subject not in ended.seen):
            return self._after_end(ended, item, subject, now)
        if workflow is None:
            if event.causation_id is not None:
                error = Rejected("unknown-dispatch", "no such dispatch is known", "causationid")
                return [dead(error, item.text, item.position, now, event.workflow_id, event)]
            if not self.desk.room_for_workflow():
                self._hold(item, START)
                return [told(self.registry.app, Workflow(event.workflow_id, now, "queued").summary(self.registry.app))]
            workflow = self._begin(event.workflow_id, ended, now)
        turn = WorkflowTransition(self.desk, workflow, now)
        turn.event(item, subject)
        return turn.finish()

    def _begin(self, workflow_id: str, ended: Tombstone | None, now: int) -> Workflow:
        """A workflow that is new, or that a person begins again."""
        if ended is None:
            return Workflow(workflow_id, now)
        del self.state.ended[workflow_id]
        return ended.again(workflow_id, now)

    def _after_end(self, ended: Tombstone, item: EventRead, subject: str, now: int) -> list[Effect]:
        event, status = item.event, ended.summary["status"]
        effects: list[Effect] = []
        if subject in ended.seen:
            ended.summary["duplicates"] += 1
            effects.append(told(self.registry.app, ended.summary))
        elif subject in ended.settled:
            ended.seen.append(subject)
        elif event.causation_id in ended.sent:
            ended.seen.append(subject)
            effects.append(Log(records.late(self.desk, event, item.text, item.position, subject, status, now)))
        else:
            error = Rejected("workflow-ended", f"the workflow is {status}", "workflowid")
            return [dead(error, item.text, item.position, now, event.workflow_id, event)]
        self.state.ended[event.workflow_id] = ended.dump()
        return effects

    def _answer(self, item: ModelAnswered, now: int) -> list[Effect]:
        workflow = self._load(item.workflow_id)
        waiting = workflow.waiting.get(item.subject) if workflow else None
        if workflow is None or waiting is None or waiting.stage != "asked" or waiting.attempt != item.attempt:
            return []
        outcome = item.outcome
        if isinstance(outcome, ModelUnavailable) and outcome.retry:
            self.desk.due.set("ask", item.workflow_id, item.subject, now + ASK_AGAIN_MS)
            return []
        turn = WorkflowTransition(self.desk, workflow, now)
        turn.answer(item.subject, outcome)
        return turn.finish()

    def _read_back(self, record: Decision, now: int) -> list[Effect]:
        workflow = self._load(record.workflow_id)
        ended = None if workflow else self._ended(record.workflow_id)
        if ended is not None and not _begins_again(record, ended):
            return []
        if workflow is None:
            workflow = self._begin(record.workflow_id, ended, record.at - record.elapsed_ms)
        if record.subject in workflow.settled or record.attempt < workflow.refused.get(record.subject, 0):
            return []
        turn = WorkflowTransition(self.desk, workflow, now)
        turn.read_back(record)
        return turn.finish()

    def _load(self, workflow_id: str) -> Workflow | None:
        raw = self.state.workflows.get(workflow_id)
        return None if raw is None else Workflow.parse(raw)

    def _ended(self, workflow_id: str) -> Tombstone | None:
        raw = self.state.ended.get(workflow_id)
        return None if raw is None else Tombstone.parse(raw)


def _held(raw: bytes) -> EventRead | ControlRead:
    held = strictjson.loads(raw)
    text, position = held["text"], Position(**held["position"])
    event = Event.parse(text)
    if "rule" not in held:
        return ControlRead(Control.of(event), text, position)
    return EventRead(event, text, position, None if held["rule"] is None else tuple(held["rule"]))


def _begins_again(record: Decision, ended: Tombstone) -> bool:
    """Whether a record begins a workflow again that has ended."""
    if not record.subject.startswith("event/") or record.subject in ended.settled:
        return False
    try:
        return is_manual_retry(record.parsed_event(), record.subject)
    except Rejected:
        return False
