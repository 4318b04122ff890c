"""The orchestrator: a state machine without I/O.

`Shard.advance(input, now)` changes the shard's state and returns effects; it never waits, asks or writes. Flink's
operator, the in-memory runner and the property tests drive the same code.

Decide, log, act: a decision is written to the ledger first and acted on only when it is read back. The first record
for (subject, attempt) in ledger order wins, whatever this process saw meanwhile. Until a shard has read back the fence
that it wrote after its start, it applies records at once and holds events and due timers, so that what was decided
before is not asked again; nor does it act before it has read from the control topic whether the app is paused.
"""

from __future__ import annotations

from switchyard.core.audit import AuditEntry
from switchyard.core.control import Control
from switchyard.core.deadletter import DeadLetter
from switchyard.core.errors import Rejected
from switchyard.core.ledger.record import Decision, Fence
from switchyard.core.ledger.subject import Subject
from switchyard.core.orchestrator import records
from switchyard.core.orchestrator.admission import check_room
from switchyard.core.orchestrator.context import ShardContext, no_price
from switchyard.core.orchestrator.dispatches import agent_of
from switchyard.core.orchestrator.due import do
from switchyard.core.orchestrator.forgetting import forget
from switchyard.core.orchestrator.held import held_entry, held_item
from switchyard.core.orchestrator.limits import Price, Quota
from switchyard.core.orchestrator.lives import keep_in_mind, reopens
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
    Tick,
    WriteAudit,
    WriteControl,
    WriteDeadLetter,
    dead_letter_effect,
)
from switchyard.core.orchestrator.open_work import PendingDecision
from switchyard.core.orchestrator.pending import LOG_AGAIN_MS
from switchyard.core.orchestrator.requests import log_request
from switchyard.core.orchestrator.state import ShardState
from switchyard.core.orchestrator.timers import Timer
from switchyard.core.orchestrator.transition import WorkflowTransition
from switchyard.core.orchestrator.workflow import Tombstone, Workflow
from switchyard.core.registry import Registry
from switchyard.core.routing.question import Question
from switchyard.core.routing.verdict import ModelUnavailable, model_usage, tokens_and_cost
from switchyard.core.shards import shard_of

HELD, START = "held", "start"


class Shard:
    """The workflows of one shard. `nonce` must be new at each start of the process."""

    def __init__(
        self,
        registry: Registry,
        state: ShardState,
        number: int,
        nonce: str,
        sql_version: str = "",
        quota: Quota | None = None,
        price: Price = no_price,
        namespace: str = "",
    ) -> None:
        self.registry = registry
        self.number = number
        self.nonce = nonce
        self.context = ShardContext(registry, state, sql_version, quota or Quota(), price, namespace)
        self._fence_due: int | None = None
        self._unread = {"ledger", "control"}

    @property
    def fenced(self) -> bool:
        """Whether the fences of this start have been read back, from the ledger and from the control topic."""
        return self.context.fenced

    def advance(self, item: ShardInput, now: int) -> list[Effect]:
        """Apply one input at `now` (milliseconds since 1970); return what must be done, in order."""
        try:
            effects = self._advance(item, now)
        except BaseException:
            self.context.workflows.forget()
            raise
        self.context.usage.save()
        return effects

    def next_due(self) -> int | None:
        """When `Tick` must come next; None where nothing is due. At once, where the fence is not yet written."""
        if not self.fenced:
            return self._fence_due or 0
        return self.context.timers.first() if self.context.accepting else None

    def question(self, ask: Ask) -> Question | None:
        """What to ask a model now; None where the matter was settled meanwhile."""
        workflow, pending = self._asked(ask.workflow_id, ask.subject, ask.attempt)
        if workflow is None or pending is None:
            return None
        return WorkflowTransition(self.context, workflow, 0).question(pending)

    def _advance(self, item: ShardInput, now: int) -> list[Effect]:
        effects: list[Effect] = []
        if not self.fenced and (self._fence_due is None or self._fence_due <= now):
            self._fence_due = now + LOG_AGAIN_MS
            effects.append(Log(Fence(self.number, self.nonce, now, self.context.quota.of)))
            effects.append(WriteControl(Control.fence(self.registry.app, self.nonce)))
        match item:
            case RejectedRecord():
                effects.append(WriteDeadLetter(DeadLetter.of(item.error, item.raw, item.position, now)))
            case RecordRead(record=Fence() as fence):
                effects += self._fence("ledger", fence.nonce, now)
            case ControlRead() if item.control.kind == "fence":
                effects += self._fence("control", item.control.event.id, now)
            case RecordRead(record=Decision() as decision):
                effects += self._read_back(decision, now)
            case ControlRead() if self.fenced or item.control.of_app:
                was_accepting = self.context.accepting
                effects += self._control(item, now)
                if self.context.accepting and not was_accepting:
                    effects += self._open(now)
            case EventRead() if self.fenced:
                effects += self._new_event(item, now)
            case EventRead() | ControlRead():
                self._hold(item)
            case ModelAnswered():
                effects += self._model_answered(item, now)
            case Tick() if self.context.accepting:
                effects += self._tick(now)
        return effects + self._make_use_of_room(now)

    def _fence(self, topic: str, nonce: str, now: int) -> list[Effect]:
        """Begin to decide once this start's fences have come back from both topics."""
        if self.fenced or nonce != self.nonce:
            return []
        self._unread.discard(topic)
        if self._unread:
            return []
        self.context.fenced, self.context.begun = True, now
        return self._open(now)

    def _hold(self, item: EventRead | ControlRead, queue: str = HELD) -> None:
        self.context.queues.push(queue, held_entry(item))

    def _open(self, now: int) -> list[Effect]:
        """All that was logged before is known, and the app is not paused: take up what was held, asked, or not sent."""
        self.context.taking_up = True
        try:
            effects = self._take_up(now)
        finally:
            self.context.taking_up = False
        if self.context.accepting:
            effects += self._tick(now)
            self.context.usage.replaying = False
        return effects

    def _take_up(self, now: int) -> list[Effect]:
        effects: list[Effect] = []
        left = self.context.queues.size(HELD)
        while left:
            for _ in range(left):
                item = held_item(self.context.queues.pop(HELD))
                if isinstance(item, ControlRead):
                    effects += self._control(item, now)
                else:
                    effects += self._new_event(item, now)
            left = self.context.queues.size(HELD) if self.context.accepting else 0
        return effects

    def _make_use_of_room(self, now: int) -> list[Effect]:
        """Begin what waited for room, as far as there is some."""
        effects: list[Effect] = []
        if not self.context.accepting:
            return effects
        queues = self.context.queues
        for name in queues.names():
            agent = agent_of(name)
            if agent is not None:
                while self.context.room_for(agent) and (entry := queues.pop(name)) is not None:
                    effects += self._send(entry["workflow"], entry["dispatch"], now)
            while name == START and self.context.room_for_workflow() and (entry := queues.pop(name)) is not None:
                item = held_item(entry)
                assert isinstance(item, EventRead)
                effects += self._event(item, now)
        return effects

    def _send(self, workflow_id: str, dispatch_id: str, now: int) -> list[Effect]:
        workflow = self.context.workflows.running(workflow_id)
        if workflow is None:
            return []
        transition = WorkflowTransition(self.context, workflow, now)
        transition.effects += transition.dispatches.send(dispatch_id)
        return transition.finish()

    def _tick(self, now: int) -> list[Effect]:
        effects: list[Effect] = []
        due = list(self.context.timers.pop_due(now))
        while due:
            timer = due.pop(0)
            try:
                effects += self._due(timer, now)
            except BaseException:
                for waiting in due:
                    self.context.timers.set(waiting, now)
                raise
        return effects

    def _due(self, timer: Timer, now: int) -> list[Effect]:
        workflow = self.context.workflows.running(timer.workflow_id)
        if workflow is None:
            return []
        transition = WorkflowTransition(self.context, workflow, now)
        do(transition, timer)
        return transition.finish()

    def _control(self, item: ControlRead, now: int) -> list[Effect]:
        """Do, or log, what an operator asks for; the audit has what came of it."""
        control, workflow_id, refusal = item.control, item.control.event.workflow_id, None
        effects = self._end(workflow_id, now)
        try:
            effects += self._requested(item, now)
        except Rejected as error:
            refusal = error
            effects.append(dead_letter_effect(error, item.text, item.position, now, workflow_id, control.event))
        return [*effects, WriteAudit(AuditEntry.of(control, now, refusal))]

    def _end(self, workflow_id: str, now: int) -> list[Effect]:
        """End a workflow that has come to its end and only seemed to wait, as after a restart."""
        workflow = self.context.workflows.running(workflow_id)
        if workflow is None or not workflow.at_its_end:
            return []
        return WorkflowTransition(self.context, workflow, now).finish(ended=True)

    def _requested(self, item: ControlRead, now: int) -> list[Effect]:
        """Raises Rejected where there is nothing that it could be about."""
        control = item.control
        known = self.context.workflows.known(control.event.workflow_id)
        if known is not None and known.is_carried_out(control.event.id):
            return []
        match control.kind:
            case "pause" | "resume":
                self.context.usage.paused = control.kind == "pause"
                return []
            case "resend" | "discard":
                return []
            case "forget":
                mine = [name for name in control.workflow_ids if shard_of(name, self.context.quota.of) == self.number]
                return forget(self.context, mine)
            case "retry":
                event = control.retried
                check_room(self.context, event)
                return self._take(EventRead(event, event.json(), item.position, item.rule), now)
        workflow_id = control.event.workflow_id
        workflow = self.context.workflows.running(workflow_id)
        waiting = self._take_out_of_turn(workflow_id) if workflow is None and control.kind == "cancel" else []
        workflow = workflow or self._requested_workflow(workflow_id, now, waits=bool(waiting))
        transition = WorkflowTransition(self.context, workflow, now)
        for read in waiting:
            transition.pending.never_begun(read)
        log_request(transition, item)
        return transition.finish()

    def _requested_workflow(self, workflow_id: str, now: int, *, waits: bool) -> Workflow:
        """The workflow that waits for its turn. Raises Rejected where none does."""
        if waits:
            return self._begin(workflow_id, self.context.workflows.tombstone(workflow_id), now)
        tombstone = self.context.workflows.tombstone(workflow_id)
        status = f"the workflow is {tombstone.status}" if tombstone else "no such workflow is known"
        raise Rejected("workflow-ended" if tombstone else "unknown-workflow", status, "workflowid")

    def _take_out_of_turn(self, workflow_id: str) -> list[EventRead]:
        """The events of a workflow that would begin it in their turn, and wait for it no more."""
        queues, found = self.context.queues, []
        ended = self.context.workflows.tombstone(workflow_id)
        for _ in range(queues.size(START)):
            item = held_item(queues.pop(START))
            assert isinstance(item, EventRead)
            event = item.event
            if event.workflow_id == workflow_id and (not ended or ended.may_reopen(event, Subject.of_event(event))):
                found.append(item)
            else:
                self._hold(item, START)
        return found

    def _new_event(self, item: EventRead, now: int) -> list[Effect]:
        """Take an event where there is room for it."""
        event = item.event
        try:
            check_room(self.context, event)
        except Rejected as error:
            return [dead_letter_effect(error, item.text, item.position, now, event.workflow_id, event)]
        return self._take(item, now)

    def _take(self, item: EventRead, now: int) -> list[Effect]:
        if self.context.accepting:
            return self._event(item, now)
        self._hold(item)
        return []

    def _event(self, item: EventRead, now: int) -> list[Effect]:
        event = item.event
        subject = Subject.of_event(event)
        effects = [] if self.context.may_have_read(event) else self._end(event.workflow_id, now)
        return effects + self._admit(item, subject, now)

    def _admit(self, item: EventRead, subject: Subject, now: int) -> list[Effect]:
        event = item.event
        workflow = self.context.workflows.running(event.workflow_id)
        tombstone = None if workflow else self.context.workflows.tombstone(event.workflow_id)
        if tombstone is not None and not tombstone.may_reopen(event, subject):
            return self._after_end(tombstone, item, subject, now)
        if workflow is None:
            if event.causation_id is not None:
                error = Rejected("unknown-dispatch", "no such dispatch is known", "causationid")
                return [dead_letter_effect(error, item.text, item.position, now, event.workflow_id, event)]
            if not self.context.room_for_workflow():
                self._hold(item, START)
                return [self.context.status_effect(Workflow(event.workflow_id, now, "queued"))]
            workflow = self._begin(event.workflow_id, tombstone, now)
        transition = WorkflowTransition(self.context, workflow, now)
        transition.event(item, subject)
        return transition.finish()

    def _begin(self, workflow_id: str, tombstone: Tombstone | None, now: int) -> Workflow:
        """A workflow that is new, or that a person begins again."""
        if tombstone is None:
            return Workflow(workflow_id, now)
        return tombstone.reopened(workflow_id, now)

    def _after_end(self, tombstone: Tombstone, item: EventRead, subject: Subject, now: int) -> list[Effect]:
        event = item.event
        effects: list[Effect] = []
        try:
            if tombstone.known.repeats(event, subject):
                tombstone.summary["duplicates"] += 1
                effects += [] if tombstone.forgotten else [self.context.summary_effect(tombstone.summary)]
            elif tombstone.known.is_settled(subject):
                tombstone.known.read(event, subject)
            elif event.causation_id and tombstone.known.is_abandoned(event.causation_id):
                self.context.spend(event, now)
                tombstone.known.read(event, subject)
                late = Log(records.late_record(self.context, item, subject, tombstone.status, now))
                effects += [] if tombstone.forgotten else [late]
            else:
                raise Rejected("workflow-ended", f"the workflow is {tombstone.status}", "workflowid")
        except Rejected as error:
            return [dead_letter_effect(error, item.text, item.position, now, event.workflow_id, event)]
        self.context.workflows.bury(tombstone)
        return effects

    def _model_answered(self, item: ModelAnswered, now: int) -> list[Effect]:
        workflow, pending = self._asked(item.workflow_id, item.subject, item.attempt)
        outcome = item.outcome
        if workflow is None or pending is None:
            self.context.usage.spend(now, now, *tokens_and_cost(model_usage(outcome)))
            return []
        transition = WorkflowTransition(self.context, workflow, now)
        if isinstance(outcome, ModelUnavailable) and outcome.retry:
            transition.asked_in_vain(item.subject, outcome)
        else:
            transition.answer(item.subject, outcome)
        return transition.finish()

    def _asked(
        self, workflow_id: str, subject: Subject, attempt: int
    ) -> tuple[Workflow | None, PendingDecision | None]:
        """The workflow with what a model is to answer; None where that was settled meanwhile."""
        workflow = self.context.workflows.running(workflow_id)
        pending = workflow.pending.get(subject) if workflow else None
        if pending is None or pending.stage != "asked" or pending.attempt != attempt:
            return None, None
        return workflow, pending

    def _read_back(self, record: Decision, now: int) -> list[Effect]:
        self.context.read_until = max(self.context.read_until, record.at)
        workflow = self.context.workflows.running(record.workflow_id)
        tombstone = None if workflow else self.context.workflows.tombstone(record.workflow_id)
        effects: list[Effect] = []
        if workflow is not None and reopens(record, workflow) and (effects := self._end(workflow.id, now)):
            workflow, tombstone = None, self.context.workflows.tombstone(record.workflow_id)
        if tombstone is not None and not reopens(record, tombstone):
            if keep_in_mind(record, tombstone):
                self.context.workflows.bury(tombstone)
            return effects
        if workflow is None:
            workflow = self._begin(record.workflow_id, tombstone, record.began)
            workflow.life = max(workflow.life, record.subject.life)
            workflow.incomplete = tombstone is None and record.step > 0 and not self.fenced
        if workflow.known.is_settled(record.subject) or record.attempt < workflow.known.refused(record.subject):
            return effects
        transition = WorkflowTransition(self.context, workflow, now)
        transition.read_back(record)
        return effects + transition.finish()
