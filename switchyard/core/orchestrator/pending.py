"""What is pending in a workflow: admitted, logged, withdrawn."""

from __future__ import annotations

from collections.abc import Callable

from switchyard.core.deadletter import Position
from switchyard.core.event import Event
from switchyard.core.ledger.record import Decision
from switchyard.core.ledger.subject import Subject
from switchyard.core.orchestrator import records
from switchyard.core.orchestrator.context import ShardContext
from switchyard.core.orchestrator.dispatches import Dispatches
from switchyard.core.orchestrator.messages import Effect, EventRead, Log
from switchyard.core.orchestrator.open_work import OpenDispatch, PendingDecision
from switchyard.core.orchestrator.timers import OF_SUBJECT, Timer
from switchyard.core.orchestrator.workflow import Workflow
from switchyard.core.registry import FAILED_TYPE
from switchyard.core.routing.decide import is_manual_retry
from switchyard.core.routing.verdict import ModelDecision, ModelUnavailable, Verdict

LOG_AGAIN_MS = 10_000
SELDOM_MS = 600_000
BEHIND_MS = 60_000

GIVEN_UP = "the dispatch was given up before this answer came"


def again_ms(since: int) -> int:
    """How long until what was written so long ago, and is not read back, is written again: twice as long each time."""
    return min(max(LOG_AGAIN_MS, since), SELDOM_MS)


class PendingDecisions:
    """What one workflow has pending, as one transition changes it; `emit` takes effects."""

    def __init__(
        self,
        context: ShardContext,
        workflow: Workflow,
        now: int,
        dispatches: Dispatches,
        emit: Callable[[Effect], None],
    ) -> None:
        self._context = context
        self._timers = context.timers
        self._workflow = workflow
        self._now = now
        self._dispatches = dispatches
        self._emit = emit

    def add(self, subject: Subject, text: str, position: Position, event: Event, hop: int = 0) -> PendingDecision:
        """Put something on the list. `text` is the event's, as it was read; `hop` counts the dispatches before it."""
        pending = PendingDecision(text, position.topic, position.partition, position.offset, hop)
        pending.about(event)
        self._workflow.pending[subject] = pending
        return pending

    def admit_event(self, subject: Subject, item: EventRead) -> bool:
        """Put an event that was read on the list, once; False where this answer has come before."""
        if subject.kind != "dispatch":
            self.add(subject, item.text, item.position, item.event)
            return True
        return self._admit_answer(subject, item.event, item.text, item.position, item.event.answer_count, ())

    def admit_record(self, record: Decision, event: Event) -> None:
        """A record came before what it is about was read, or by a clock that this process has not seen."""
        subject = record.subject
        place = (record.event, record.position)
        if subject.kind == "dispatch" and self._admit_answer(
            subject, event, *place, record.answer_count, record.failed
        ):
            return
        opened = self._workflow.dispatches.get(subject.id) if subject.kind in ("timeout", "approval") else None
        if opened is None:
            self.add(subject, *place, event, event.hops)
            return
        pending = self.settle_dispatch(subject, opened)
        if record.failed:
            self.failed(pending, opened, _unknown_failure(opened.agent))

    def settle_dispatch(self, subject: Subject, opened: OpenDispatch) -> PendingDecision:
        """What was dispatched must be settled otherwise than by an answer."""
        pending = self.add(subject, opened.text, opened.position, opened.event, opened.hop - 1)
        pending.failed, pending.tries, pending.ancestors = opened.failed, opened.tries, opened.ancestors[:-1]
        pending.branch = opened.branch
        return pending

    def failed(self, pending: PendingDecision, opened: OpenDispatch, failure: dict[str, object]) -> None:
        """A dispatch failed: what was dispatched is decided about again."""
        pending.text, pending.hop = opened.text, opened.hop - 1
        pending.topic, pending.partition, pending.offset = opened.topic, opened.partition, opened.offset
        pending.about(opened.event)
        pending.failed, pending.failure, pending.tries = opened.failed, failure, opened.tries
        pending.ancestors = opened.ancestors[:-1]

    def log(self, subject: Subject, verdict: Verdict, outcome: ModelDecision | ModelUnavailable | None = None) -> None:
        """Write a decision ahead of acting on it; it is kept, to be written again unchanged, until it is read back."""
        workflow, pending = self._workflow, self._workflow.pending[subject]
        record = records.record_of(self._context, workflow, subject, verdict, outcome, self._now)
        workflow.inputs = []
        pending.stage, pending.record, pending.late = "logged", record.json(), verdict.action == "late"
        self._timers.clear(Timer.of("ask", workflow.id, subject))
        self._timers.set(Timer.of("log", workflow.id, subject), self._now + LOG_AGAIN_MS)
        self._emit(Log(record))

    def log_late(self, subject: Subject, text: str, position: Position, event: Event, reason: str) -> None:
        """Log that an event counts no more."""
        self.add(subject, text, position, event)
        self.log(subject, Verdict("late", "guard", reason))

    def never_begun(self, item: EventRead) -> None:
        """Log that an event which waited for its turn has none: with the ledger alone it would begin after all."""
        subject = Subject.of_event(item.event)
        self._workflow.known.read(item.event, subject)
        self.log_late(subject, item.text, item.position, item.event, "the workflow was cancelled before its turn came")

    def drop_retries(self) -> None:
        """Log that what was sent again, and not decided, has ended with its workflow: else it would begin anew."""
        reason = f"the workflow was {self._workflow.status} before this was decided"
        for subject, pending in list(self._workflow.pending.items()):
            if is_manual_retry(pending.event, subject):
                self.log_late(subject, pending.text, pending.position, pending.event, reason)

    def withdraw(self, subject: Subject) -> None:
        """Nothing is to be settled here any more."""
        if self._workflow.pending.pop(subject, None) is not None:
            for kind in OF_SUBJECT:
                self._timers.clear(Timer.of(kind, self._workflow.id, subject))

    def settled(self, subject: Subject) -> None:
        """An effective record has settled it."""
        self.withdraw(subject)
        self._workflow.known.settle(subject)

    def give_up(self, subject: Subject) -> None:
        """What waits to be settled will not be: an answer is late, and so are all records about its dispatch."""
        pending = self._workflow.pending[subject]
        self.withdraw(subject)
        if subject.kind == "dispatch":
            self._workflow.known.abandon(subject.id)
            self.log_late(subject, pending.text, pending.position, pending.event, GIVEN_UP)

    def give_up_answers(self, dispatch_id: str) -> None:
        """Answers that wait for a decision come too late: the ledger has the timeout first."""
        for subject in [item for item in self._workflow.pending if item.kind == "dispatch" and item.id == dispatch_id]:
            self.give_up(subject)

    def is_late(self, dispatch_id: str) -> bool:
        """Whether a dispatch was given up, or the record that gives it up is written."""
        timeout = self._workflow.pending.get(Subject.timeout(dispatch_id))
        return self._workflow.known.is_abandoned(dispatch_id) or (timeout is not None and timeout.stage == "logged")

    def _admit_answer(
        self, subject: Subject, event: Event, text: str, position: Position, count: int, failed: tuple[str, ...]
    ) -> bool:
        """`failed` are the agents that a record, which came before the answer itself, says failed."""
        workflow, dispatch_id = self._workflow, subject.id
        opened = workflow.dispatches.get(dispatch_id)
        if opened is None or subject.answer_index in opened.answered:
            return False
        opened.answered.append(subject.answer_index)
        self.withdraw(Subject.timeout(dispatch_id))
        if len(opened.answered) >= count:
            self._dispatches.close(dispatch_id)
        else:
            self._dispatches.expect(dispatch_id)
        pending = self.add(subject, text, position, event, opened.hop)
        pending.answer_count, pending.ancestors, pending.branch = count, opened.ancestors, opened.branch
        workflow.spend(*self._context.spend(event, self._now))
        if event.type == FAILED_TYPE:
            self.failed(pending, opened, dict(event.data))
        elif failed:
            self.failed(pending, opened, _unknown_failure(opened.agent))
        else:
            workflow.remember(opened.agent, event)
        return True


def _unknown_failure(agent: str) -> dict[str, object]:
    return {"agent": agent, "reason": "failed", "message": "the ledger tells that it failed, but not how"}
