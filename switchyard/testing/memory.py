"""The orchestrator in memory: the same state machine, with lists for topics.

For tests, dry runs and replays. Nothing runs in the background: `step` does one thing, `settle` all there is to do.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from switchyard.core.audit import AuditEntry
from switchyard.core.control import Control
from switchyard.core.deadletter import DeadLetter, Position
from switchyard.core.errors import Rejected
from switchyard.core.event import Event
from switchyard.core.ids import answer_id
from switchyard.core.input_validator import InputValidator
from switchyard.core.ledger.effective import FirstRecords
from switchyard.core.ledger.record import Decision, Fence, parse_record
from switchyard.core.orchestrator.context import no_price
from switchyard.core.orchestrator.limits import Price, Quota
from switchyard.core.orchestrator.messages import (
    Ask,
    ControlRead,
    Dispatch,
    Effect,
    EventRead,
    Log,
    ModelAnswered,
    Publish,
    RecordRead,
    RejectedRecord,
    ShardInput,
    StatusChanged,
    StatusForgotten,
    Tick,
    WriteAudit,
    WriteControl,
    WriteDeadLetter,
)
from switchyard.core.orchestrator.shard import Shard
from switchyard.core.orchestrator.state import ShardState
from switchyard.core.registry import Registry
from switchyard.core.routing.question import Question
from switchyard.core.routing.verdict import ModelDecision, ModelUnavailable
from switchyard.core.shards import shard_keys
from switchyard.core.topics import Topics

SHARD = shard_keys(1)[0]

Decide = Callable[[Event, Question], ModelDecision | ModelUnavailable]
Rule = Callable[[Event], Sequence[str] | None]
ScriptedHandler = Callable[[Event], Sequence[tuple[str, object]]]


def no_rule(event: Event) -> None:
    return None


@dataclass
class Checkpoint:
    """State and source offsets of one moment, as Flink would keep them."""

    state: ShardState
    events: int
    ledger: int
    controls: int = 0


@dataclass
class InMemory:
    """One shard, its topics, and the agents behind it. `now` is in milliseconds and moves by one a step."""

    registry: Registry
    model: Decide
    handlers: dict[str, ScriptedHandler] = field(default_factory=dict)
    rule: Rule = no_rule
    namespace: str = "test"
    now: int = 1_000
    quota: Quota | None = None
    price: Price = no_price
    events: list[bytes] = field(default_factory=list)
    controls: list[bytes] = field(default_factory=list)
    ledger: list[str] = field(default_factory=list)
    dispatches: list[Dispatch] = field(default_factory=list)
    statuses: dict[str, Event] = field(default_factory=dict)
    dead_letters: list[DeadLetter] = field(default_factory=list)
    audit: list[AuditEntry] = field(default_factory=list)
    asked: list[Question] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._starts = 0
        self._answered: set[str] = set()
        self._inbox = 0
        self.start(Checkpoint(ShardState(), 0, 0))

    def start(self, checkpoint: Checkpoint) -> None:
        """Begin, or begin again after a crash: what was in flight is gone, topics are as they are."""
        self._starts += 1
        kept = copy.deepcopy(checkpoint)
        self._event, self._record, self._control = kept.events, kept.ledger, kept.controls
        self._asks: list[Ask] = []
        nonce = f"start-{self._starts}"
        self.shard = Shard(self.registry, kept.state, SHARD, nonce, "test", self.quota, self.price, self.namespace)
        self._advance(Tick())

    def checkpoint(self) -> Checkpoint:
        return copy.deepcopy(Checkpoint(self.shard.context.state, self._event, self._record, self._control))

    def publish(self, event: Event | bytes) -> None:
        self.events.append(event if isinstance(event, bytes) else event.json().encode())

    def request(self, control: Control | bytes) -> None:
        """What an operator asks for."""
        self.controls.append(control if isinstance(control, bytes) else control.event.json().encode())

    def choices(self) -> list[str]:
        """What could happen next."""
        possible = {
            "event": self._event < len(self.events),
            "control": self._control < len(self.controls),
            "ledger": self._record < len(self.ledger),
            "model": bool(self._asks),
            "agent": self._inbox < len(self.dispatches),
        }
        return [name for name, can in possible.items() if can]

    def step(self, what: str) -> None:
        """Let one thing of `choices()` happen, or let time pass (`tick`)."""
        self.now += 1
        if what == "event":
            self._read_event()
        elif what == "control":
            self._read_control()
        elif what == "ledger":
            record = parse_record(self.ledger[self._record])
            self._record += 1
            self._advance(RecordRead(record))
        elif what == "model":
            self._ask(self._asks.pop(0))
        elif what == "agent":
            self._handle(self.dispatches[self._inbox])
            self._inbox += 1
        else:
            self._advance(Tick())

    def settle(self, limit: int = 10_000) -> None:
        """Do all there is to do. Raises RuntimeError past `limit` steps: a workflow that never ends."""
        for _ in range(limit):
            possible = self.choices()
            if possible:
                self.step(possible[0])
                continue
            due = self.shard.next_due()
            if due is None or due >= 2**62 or (not self.shard.context.state.workflows and self.shard.fenced):
                return
            self.now = max(self.now, due)
            self.step("tick")
        raise RuntimeError(f"not settled after {limit} steps")

    def decisions(self) -> list[Decision]:
        """The effective records of the ledger, in order: the first for each (subject, attempt)."""
        records = (parse_record(line) for line in self.ledger)
        return FirstRecords(record for record in records if isinstance(record, Decision)).records

    def status(self, workflow_id: str) -> str:
        return str(self.statuses[workflow_id].data["status"])

    def _read_event(self) -> None:
        raw, position = self.events[self._event], Position("agent-messages", 0, self._event)
        self._event += 1
        item: ShardInput
        try:
            event = InputValidator(self.registry).event(raw)
            item = EventRead(event, raw.decode(), position, self._rule(event))
        except Rejected as error:
            item = RejectedRecord(error, raw, position)
        self._advance(item)

    def _read_control(self) -> None:
        raw, position = self.controls[self._control], Position("control", 0, self._control)
        self._control += 1
        item: ShardInput
        try:
            control = Control.parse(raw, SHARD, 1)
            rule = self._rule(InputValidator(self.registry).retried(raw)) if control.kind == "retry" else None
            item = ControlRead(control, raw.decode(), position, rule)
        except Rejected as error:
            item = RejectedRecord(error, raw, position)
        self._advance(item)

    def _rule(self, event: Event) -> tuple[str, ...] | None:
        rule = self.rule(event)
        return None if rule is None else tuple(rule)

    def _ask(self, ask: Ask) -> None:
        question = self.shard.question(ask)
        if question is None:
            return
        self.asked.append(question)
        workflow = self.shard.context.workflows.running(ask.workflow_id)
        assert workflow is not None
        outcome = self.model(workflow.pending[ask.subject].event, question)
        self._advance(ModelAnswered(ask.workflow_id, ask.subject, ask.attempt, outcome))

    def _handle(self, dispatch: Dispatch) -> None:
        """An agent worker: an effect that was done publishes the same answers again."""
        event, handler = dispatch.event, self.handlers.get(dispatch.agent)
        if handler is None:
            return
        effect = str(event.attributes["effectkey"])
        answers = list(handler(event))
        for index, (kind, data) in enumerate(answers):
            self.publish(
                Event.new(
                    id=answer_id(effect, index),
                    source=Topics(self.namespace).source(dispatch.agent),
                    type=kind,
                    workflow_id=event.workflow_id,
                    data=data,
                    causationid=dispatch.dispatch_id,
                    hops=event.hops + 1,
                    answerindex=index,
                    answercount=len(answers),
                )
            )

    def _advance(self, item: ShardInput) -> None:
        for effect in self.shard.advance(item, self.now):
            self._apply(effect)

    def _apply(self, effect: Effect) -> None:
        match effect:
            case Ask():
                self._asks.append(effect)
            case Log(record=Decision() | Fence() as record):
                self.ledger.append(record.json())
            case Dispatch():
                self.dispatches.append(effect)
            case Publish():
                self.publish(effect.event)
            case StatusChanged():
                self.statuses[effect.workflow_id] = effect.event
            case StatusForgotten(workflow_id):
                self.statuses.pop(workflow_id, None)
            case WriteDeadLetter(letter):
                self.dead_letters.append(letter)
            case WriteControl(control):
                self.request(control)
            case WriteAudit(entry):
                self.audit.append(entry)
