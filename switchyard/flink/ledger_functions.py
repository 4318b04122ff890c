"""Functions for SQL that acts on the ledger: reading a record, addressing an event to an agent, dead letters."""

from __future__ import annotations

import time
from typing import Any

from pyflink.common import Row
from pyflink.table import DataTypes
from pyflink.table.udf import FunctionContext, ScalarFunction

from switchyard.core.deadletter import DeadLetter, Position
from switchyard.core.errors import Rejected
from switchyard.core.ledger.record import Decision, Fence, parse_record
from switchyard.core.ledger.subject import Subject
from switchyard.core.registry import Registry
from switchyard.core.routing.decide import dispatch_error
from switchyard.core.routing.inbox_event import inbox_event
from switchyard.core.topics import Topics
from switchyard.flink.capabilities import capabilities
from switchyard.flink.job_parameters import job_config
from switchyard.flink.release import OfOneRelease


class _OfLedger(OfOneRelease, ScalarFunction):  # type: ignore[misc]
    def open(self, function_context: FunctionContext) -> None:
        config = job_config(function_context)
        self._registry = Registry.from_json(config.registry)
        self._topics = Topics(config.namespace)
        self._capabilities = capabilities()

    def is_deterministic(self) -> bool:
        return False


class ReadDecision(_OfLedger):
    """What a record of the ledger says: null for a fence; a dead letter for what may not be acted on.

    A record of another release ends the job, as it ends the orchestrator's.
    """

    def eval(self, value: Any, topic: str, partition: int, offset: int) -> Row | None:
        raw, position = b"" if value is None else bytes(value), Position(topic, partition, offset)
        try:
            record = parse_record(raw)
        except ValueError as error:
            letter = DeadLetter.of(Rejected("not-json", f"not a ledger record: {error}"), raw, position, _now())
            return Row(str(Subject.of_position(position)), 0, "", [], letter.json())
        if isinstance(record, Fence):
            return None
        problem = self._problem(record)
        agents = list(record.agents) if record.action == "dispatch" and problem is None else []
        dead_letter = None if problem is None else _letter(record, problem).json()
        return Row(str(record.subject), record.attempt, record.workflow_id, agents, dead_letter)

    def _problem(self, record: Decision) -> Rejected | None:
        if record.action == "dead-letter":
            return Rejected(record.code or "no-usable-decision", record.reason)
        try:
            wrong = dispatch_error(self._registry, record.parsed_event(), record.action, record.agents)
        except Rejected as error:
            return error
        return Rejected("unknown-agent", wrong) if wrong else None


class ToInbox(_OfLedger):
    """What an agent that a record names gets: topic of its inbox, dispatch id, event type, event."""

    def eval(self, value: Any, agent: str) -> Row:
        record = parse_record(bytes(value))
        assert isinstance(record, Decision)
        dispatch_id, event = inbox_event(record, agent)
        event = self._capabilities.granted(event, dispatch_id)
        return Row(self._topics.inbox(agent), dispatch_id, event.type, event.json())


class RejectedInput(OfOneRelease, ScalarFunction):  # type: ignore[misc]
    """The dead letter of an input that could not be read."""

    def is_deterministic(self) -> bool:
        return False

    def eval(
        self, value: Any, topic: str, partition: int, offset: int, error: str, error_field: str, error_message: str
    ) -> str:
        raw = b"" if value is None else bytes(value)
        rejected = Rejected(error, error_message, error_field)
        return DeadLetter.of(rejected, raw, Position(topic, partition, offset), _now()).json()


def _letter(record: Decision, error: Rejected) -> DeadLetter:
    workflow = record.workflow_id or None
    event_id = record.inputs[-1] if record.inputs else None
    return DeadLetter.of(
        error,
        record.event.encode(),
        record.position,
        record.at,
        workflow_id=workflow,
        event_id=event_id,
        attempt=record.attempt,
    )


def _now() -> int:
    return time.time_ns() // 1_000_000


DECISION_TYPE = DataTypes.ROW(
    [
        DataTypes.FIELD("subject", DataTypes.STRING()),
        DataTypes.FIELD("attempt", DataTypes.INT()),
        DataTypes.FIELD("workflow_id", DataTypes.STRING()),
        DataTypes.FIELD("agents", DataTypes.ARRAY(DataTypes.STRING())),
        DataTypes.FIELD("dead_letter", DataTypes.STRING()),
    ]
)
INBOX_TYPE = DataTypes.ROW(
    [DataTypes.FIELD(name, DataTypes.STRING()) for name in ("topic", "dispatch_id", "event_type", "event")]
)
