"""What waits in a workflow: put on the list, logged, withdrawn. The lower half of a turn."""

from __future__ import annotations

from switchyard.core.deadletter import Position
from switchyard.core.event import Event
from switchyard.core.ledger.record import Decision
from switchyard.core.orchestrator import records
from switchyard.core.orchestrator.context import ShardContext
from switchyard.core.orchestrator.dispatches import Dispatches
from switchyard.core.orchestrator.messages import Effect, Log
from switchyard.core.orchestrator.workflow import OpenDispatch, PendingDecision, Workflow
from switchyard.core.registry import FAILED_TYPE
from switchyard.core.routing.deciding import ModelDecision, ModelUnavailable, Verdict

LOG_AGAIN_MS = 10_000


class PendingDecisions:
    """One workflow at `now`, with the effects that are collected."""

    def __init__(self, desk: ShardContext, workflow: Workflow, now: int) -> None:
        self.desk = desk
        self.registry = desk.registry
        self.due = desk.due
        self.workflow = workflow
        self.now = now
        self.effects: list[Effect] = []
        self.dispatches = Dispatches(desk, workflow, now)

    def log(self, subject: str, verdict: Verdict, outcome: ModelDecision | ModelUnavailable | None = None) -> None:
        """Write a decision ahead of acting on it; it is kept, to be written again unchanged, until it is read back."""
        workflow, waiting = self.workflow, self.workflow.waiting[subject]
        record = records.decided(self.desk, workflow, subject, verdict, outcome, self.now)
        workflow.inputs = []
        waiting.stage, waiting.record = "logged", dict(vars(record))
        self.due.clear("ask", workflow.id, subject)
        self.due.set("log", workflow.id, subject, self.now + LOG_AGAIN_MS)
        self.effects.append(Log(record))

    def wait(self, subject: str, text: str, position: Position, hop: int = 0) -> PendingDecision:
        waiting = PendingDecision(text, position.topic, position.partition, position.offset, hop)
        self.workflow.waiting[subject] = waiting
        return waiting

    def _settle_open(self, subject: str, opened: OpenDispatch) -> PendingDecision:
        """What was dispatched must be settled otherwise than by an answer."""
        place = Position(opened.topic, opened.partition, opened.offset)
        waiting = self.wait(subject, opened.event, place, opened.hop - 1)
        waiting.failed, waiting.tries, waiting.ancestors = opened.failed, opened.tries, opened.ancestors[:-1]
        waiting.branch = opened.branch
        return waiting

    def _failed(self, waiting: PendingDecision, opened: OpenDispatch, failure: dict[str, str]) -> None:
        """A dispatch failed: what was dispatched is decided about again."""
        waiting.event, waiting.hop = opened.event, opened.hop - 1
        waiting.topic, waiting.partition, waiting.offset = opened.topic, opened.partition, opened.offset
        waiting.failed, waiting.failure, waiting.tries = opened.failed, failure, opened.tries
        waiting.ancestors = opened.ancestors[:-1]

    def _admit_record(self, record: Decision, event: Event) -> None:
        """A record came before what it is about was read, or by a clock that this process has not seen."""
        kind, _, rest = record.subject.partition("/")
        opened = self.workflow.open.get(rest)
        if kind == "dispatch":
            self._admit(record.subject, event, record.event, record.position, record)
        elif opened is None:
            self.wait(record.subject, record.event, record.position, event.hops)
        else:
            waiting = self._settle_open(record.subject, opened)
            if record.failed:
                self._failed(waiting, opened, _unknown_failure(opened.agent))

    def _admit(self, subject: str, event: Event, text: str, position: Position, record: Decision | None = None) -> bool:
        """Put what must be settled on the list, once; False where this answer has come before."""
        workflow = self.workflow
        if not subject.startswith("dispatch/"):
            self.wait(subject, text, position)
            return True
        _, identity, index = subject.split("/")
        opened = workflow.open.get(identity)
        if opened is None:
            if record is not None:
                self.wait(subject, text, position, event.hops)
            return record is not None
        if int(index) in opened.answered:
            return False
        opened.answered.append(int(index))
        self._withdraw(f"timeout/{identity}")
        count = record.answer_count if record else event.answer_count
        if len(opened.answered) >= count:
            self.dispatches.close(identity)
        else:
            self.dispatches.expect(identity)
        waiting = self.wait(subject, text, position, opened.hop)
        waiting.answer_count, waiting.ancestors, waiting.branch = count, opened.ancestors, opened.branch
        self._spend(event)
        if event.type == FAILED_TYPE:
            self._failed(waiting, opened, {name: str(event.data[name]) for name in ("agent", "reason", "message")})
        elif record is not None and record.failed:
            self._failed(waiting, opened, _unknown_failure(opened.agent))
        else:
            workflow.remember(opened.agent, event)
        return True

    def _spend(self, event: Event) -> None:
        """Count what an agent says it has used of a model."""
        used = [int(event.attributes.get(name, 0)) for name in ("prompttokens", "completiontokens")]
        if any(used):
            cost = self.desk.price(used[0], used[1])
            self.workflow.spend(sum(used), cost)
            self.desk.tally.spend(self.now, sum(used), cost or 0.0)

    def _is_late(self, identity: str) -> bool:
        """Whether a dispatch was given up, or the record that gives it up is written."""
        timeout = self.workflow.waiting.get(f"timeout/{identity}")
        return identity in self.workflow.abandoned or (timeout is not None and timeout.stage == "logged")

    def _late(self, subject: str, text: str, position: Position) -> None:
        self.wait(subject, text, position)
        self.log(subject, Verdict("late", "guard", "the dispatch was given up before this answer came"))

    def _withdraw(self, subject: str) -> None:
        """Nothing is to be settled here any more."""
        if self.workflow.waiting.pop(subject, None) is not None:
            for kind in ("ask", "log", "unseen"):
                self.due.clear(kind, self.workflow.id, subject)

    def give_up(self, subject: str) -> None:
        """What waits to be settled will not be: an answer is late, and so are all records about its dispatch."""
        waiting = self.workflow.waiting[subject]
        self._withdraw(subject)
        kind, _, rest = subject.partition("/")
        if kind == "dispatch":
            self.workflow.abandoned.append(rest.partition("/")[0])
            self._late(subject, waiting.event, Position(waiting.topic, waiting.partition, waiting.offset))

    def _withdraw_answers(self, identity: str) -> None:
        """Answers that wait for a decision come too late: the ledger has the timeout first."""
        for subject in [name for name in self.workflow.waiting if name.startswith(f"dispatch/{identity}/")]:
            self.give_up(subject)

    def _settled(self, subject: str) -> None:
        self._withdraw(subject)
        self.workflow.settled.append(subject)

    def _knows(self, identity: str) -> bool:
        workflow = self.workflow
        return identity in workflow.open or identity in workflow.closed or identity in workflow.abandoned


def _unknown_failure(agent: str) -> dict[str, str]:
    return {"agent": agent, "reason": "failed", "message": "the ledger tells that it failed, but not how"}
