"""What waits in a workflow: put on the list, logged, withdrawn. The lower half of a turn."""

from __future__ import annotations

from switchyard.core import recording
from switchyard.core.deadletter import Position
from switchyard.core.deciding import Choice, NoChoice, Verdict
from switchyard.core.decision import Decision
from switchyard.core.desk import Desk
from switchyard.core.dispatches import Dispatches
from switchyard.core.event import Event
from switchyard.core.registry import FAILED_TYPE
from switchyard.core.shard import Effect, Log
from switchyard.core.workflow import Open, Waiting, Workflow

LOG_AGAIN_MS = 10_000


class Intake:
    """One workflow at `now`, with the effects that are collected."""

    def __init__(self, desk: Desk, workflow: Workflow, now: int) -> None:
        self.desk = desk
        self.registry = desk.registry
        self.due = desk.due
        self.workflow = workflow
        self.now = now
        self.effects: list[Effect] = []
        self.dispatches = Dispatches(desk, workflow, now)

    def log(self, settles: str, verdict: Verdict, outcome: Choice | NoChoice | None = None) -> None:
        """Write a decision ahead of acting on it; it is kept, to be written again unchanged, until it is read back."""
        workflow, waiting = self.workflow, self.workflow.waiting[settles]
        record = recording.decided(self.desk, workflow, settles, verdict, outcome, self.now)
        workflow.inputs = []
        waiting.stage, waiting.record = "logged", dict(vars(record))
        self.due.clear("ask", workflow.id, settles)
        self.due.set("log", workflow.id, settles, self.now + LOG_AGAIN_MS)
        self.effects.append(Log(record))

    def wait(self, settles: str, text: str, position: Position, hop: int = 0) -> Waiting:
        waiting = Waiting(text, position.topic, position.partition, position.offset, hop)
        self.workflow.waiting[settles] = waiting
        return waiting

    def _settle_open(self, settles: str, opened: Open) -> Waiting:
        """What was dispatched must be settled otherwise than by an answer."""
        place = Position(opened.topic, opened.partition, opened.offset)
        waiting = self.wait(settles, opened.event, place, opened.hop - 1)
        waiting.failed, waiting.tries, waiting.lineage = opened.failed, opened.tries, opened.lineage[:-1]
        waiting.branch = opened.branch
        return waiting

    def _failed(self, waiting: Waiting, opened: Open, failure: dict[str, str]) -> None:
        """A dispatch failed: what was dispatched is decided about again."""
        waiting.event, waiting.hop = opened.event, opened.hop - 1
        waiting.topic, waiting.partition, waiting.offset = opened.topic, opened.partition, opened.offset
        waiting.failed, waiting.failure, waiting.tries = opened.failed, failure, opened.tries
        waiting.lineage = opened.lineage[:-1]

    def _admit_record(self, record: Decision, event: Event) -> None:
        """A record came before what it is about was read, or by a clock that this process has not seen."""
        kind, _, rest = record.settles.partition("/")
        opened = self.workflow.open.get(rest)
        if kind == "dispatch":
            self._admit(record.settles, event, record.event, record.position, record)
        elif opened is None:
            self.wait(record.settles, record.event, record.position, event.hops)
        else:
            waiting = self._settle_open(record.settles, opened)
            if record.failed:
                self._failed(waiting, opened, _unknown_failure(opened.agent))

    def _admit(self, settles: str, event: Event, text: str, position: Position, record: Decision | None = None) -> bool:
        """Put what must be settled on the list, once; False where this answer has come before."""
        workflow = self.workflow
        if not settles.startswith("dispatch/"):
            self.wait(settles, text, position)
            return True
        _, identity, index = settles.split("/")
        opened = workflow.open.get(identity)
        if opened is None:
            if record is not None:
                self.wait(settles, text, position, event.hops)
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
        waiting = self.wait(settles, text, position, opened.hop)
        waiting.answer_count, waiting.lineage, waiting.branch = count, opened.lineage, opened.branch
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

    def _late(self, settles: str, text: str, position: Position) -> None:
        self.wait(settles, text, position)
        self.log(settles, Verdict("late", "guard", "the dispatch was given up before this answer came"))

    def _withdraw(self, settles: str) -> None:
        """Nothing is to be settled here any more."""
        if self.workflow.waiting.pop(settles, None) is not None:
            for kind in ("ask", "log", "unseen"):
                self.due.clear(kind, self.workflow.id, settles)

    def give_up(self, settles: str) -> None:
        """What waits to be settled will not be: an answer is late, and so are all records about its dispatch."""
        waiting = self.workflow.waiting[settles]
        self._withdraw(settles)
        kind, _, rest = settles.partition("/")
        if kind == "dispatch":
            self.workflow.abandoned.append(rest.partition("/")[0])
            self._late(settles, waiting.event, Position(waiting.topic, waiting.partition, waiting.offset))

    def _withdraw_answers(self, identity: str) -> None:
        """Answers that wait for a decision come too late: the ledger has the timeout first."""
        for settles in [name for name in self.workflow.waiting if name.startswith(f"dispatch/{identity}/")]:
            self.give_up(settles)

    def _settled(self, settles: str) -> None:
        self._withdraw(settles)
        self.workflow.settled.append(settles)

    def _knows(self, identity: str) -> bool:
        workflow = self.workflow
        return identity in workflow.open or identity in workflow.closed or identity in workflow.abandoned


def _unknown_failure(agent: str) -> dict[str, str]:
    return {"agent": agent, "reason": "failed", "message": "the ledger tells that it failed, but not how"}
