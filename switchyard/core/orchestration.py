"""The orchestrator: a state machine without I/O.

`Shard.advance(input, now)` changes the shard's state and returns effects; it never waits, asks or writes. Flink's
operator, the in-memory runner and the property tests drive the same code.

Decide, log, act: a decision is written to the ledger first and acted on only when it is read back. The first record
for (settles, attempt) in ledger order wins, whatever this process saw meanwhile. Until a shard has read back the fence
that it wrote after its start, it applies records at once and holds events and due deadlines, so that what was decided
before is not asked again.
"""

from __future__ import annotations

from dataclasses import asdict

from switchyard.core import deciding, strictjson
from switchyard.core.deadletter import DeadLetter, Position
from switchyard.core.deciding import NoChoice
from switchyard.core.decision import Decision, Fence, decision_from
from switchyard.core.event import Event
from switchyard.core.question import Question, question
from switchyard.core.registry import Registry
from switchyard.core.shard import (
    Answered,
    Ask,
    Dead,
    Deadlines,
    Effect,
    EventRead,
    Input,
    Log,
    RecordRead,
    ShardState,
    Tick,
    Unreadable,
)
from switchyard.core.turn import LOG_AGAIN_MS, Desk, Turn, dead, told
from switchyard.core.workflow import Ended, Workflow

ASK_AGAIN_MS = 2_000


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
        self.desk = Desk(registry, state, Deadlines(state.due), sql_version)
        self._fence_due: int | None = None
        self._held = max((int(key) for key in state.held), default=-1) + 1

    @property
    def fenced(self) -> bool:
        """Whether the fence of this start has been read back."""
        return self.desk.fenced

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
        return self.desk.due.first() if self.fenced else self._fence_due or 0

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
        self.desk.fenced = True
        effects: list[Effect] = []
        for key in sorted(self.state.held):
            held = strictjson.loads(self.state.held.pop(key))
            rule = None if held["rule"] is None else tuple(held["rule"])
            text = held["text"]
            effects += self._event(EventRead(Event.parse(text), text, Position(**held["position"]), rule), now)
        return effects + self._tick(now)

    def _tick(self, now: int) -> list[Effect]:
        effects: list[Effect] = []
        for kind, workflow_id, settles in list(self.desk.due.pop_due(now)):
            workflow = self._load(workflow_id)
            if workflow is None:
                continue
            waiting = workflow.waiting.get(settles)
            turn = Turn(self.desk, workflow, now)
            if kind == "send":
                turn.send_open()
            elif waiting is None:
                pass
            elif kind == "log" and waiting.record is not None:
                turn.effects.append(Log(decision_from(waiting.record)))
                self.desk.due.set("log", workflow_id, settles, now + LOG_AGAIN_MS)
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
                return [dead(item, "unknown-dispatch", "no such dispatch is known", "causationid", now)]
            workflow = Workflow(event.workflow_id, now)
        turn = Turn(self.desk, workflow, now)
        turn.event(item, settles)
        return turn.finish()

    def _after_end(self, ended: Ended, item: EventRead, settles: str, now: int) -> list[Effect]:
        event = item.event
        if settles in ended.seen:
            ended.summary["duplicates"] += 1
            effects: list[Effect] = [told(self.registry.app, ended.summary)]
        elif settles in ended.settled:
            ended.seen.append(settles)
            effects = []
        else:
            status = ended.summary["status"]
            return [dead(item, "workflow-ended", f"the workflow is {status}", "workflowid", now)]
        self.state.ended[event.workflow_id] = ended.dump()
        return effects

    def _answer(self, item: Answered, now: int) -> list[Effect]:
        workflow = self._load(item.workflow_id)
        waiting = workflow.waiting.get(item.settles) if workflow else None
        if workflow is None or waiting is None or waiting.stage != "asked" or waiting.attempt != item.attempt:
            return []
        outcome = item.outcome
        if isinstance(outcome, NoChoice) and outcome.retry:
            self.desk.due.set("ask", item.workflow_id, item.settles, now + ASK_AGAIN_MS)
            return []
        event = Event.parse(waiting.event)
        verdict = deciding.by_outcome(self.registry, event, waiting.failed, outcome)
        turn = Turn(self.desk, workflow, now)
        turn.log(item.settles, verdict, outcome)
        return turn.finish()

    def _read_back(self, record: Decision, now: int) -> list[Effect]:
        if self._ended(record.workflow_id) is not None:
            return []
        workflow = self._load(record.workflow_id) or Workflow(record.workflow_id, record.at - record.elapsed_ms)
        if record.settles in workflow.settled or record.attempt < workflow.refused.get(record.settles, 0):
            return []
        turn = Turn(self.desk, workflow, now)
        turn.read_back(record)
        return turn.finish()

    def _load(self, workflow_id: str) -> Workflow | None:
        raw = self.state.workflows.get(workflow_id)
        return None if raw is None else Workflow.parse(raw)

    def _ended(self, workflow_id: str) -> Ended | None:
        raw = self.state.ended.get(workflow_id)
        return None if raw is None else Ended.parse(raw)
