"""What an app's topics tell: decisions, how workflows stand, dead letters."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from switchyard.core import strictjson
from switchyard.core.deadletter import DeadLetter
from switchyard.core.decision import Decision, parse_record

if TYPE_CHECKING:
    from deploy.kafka import Message
    from switchyard.cli.options import AppOnKafka


@dataclass(frozen=True)
class Effective:
    """The records that count, the first for each (settles, attempt), and how many were ignored."""

    records: list[Decision]
    ignored: int

    @classmethod
    def of(cls, records: Iterable[Decision]) -> Effective:
        """`records` in the order of the ledger."""
        first: dict[tuple[str, int], Decision] = {}
        count = 0
        for record in records:
            count += 1
            first.setdefault((record.settles, record.attempt), record)
        return cls(list(first.values()), count - len(first))


def decisions(target: AppOnKafka, workflow_id: str | None = None) -> list[Decision]:
    """All decisions in the ledger, or one workflow's, in ledger order; what is no record is left out."""
    topic = target.topics.routing_decisions
    target.require(topic)
    found = []
    for message in _in_order(target.cluster.read(topic)):
        try:
            record = parse_record(message.value)
        except ValueError:
            continue
        if isinstance(record, Decision) and workflow_id in (None, record.workflow_id):
            found.append(record)
    return found


def summaries(target: AppOnKafka) -> list[dict[str, Any]]:
    """How each workflow stands, as `Workflow.summary` has it."""
    topic = target.topics.workflow_status
    target.require(topic)
    latest: dict[bytes, Any] = {}
    for message in _in_order(target.cluster.read(topic)):
        try:
            event = strictjson.loads(message.value)
        except ValueError:
            continue
        if isinstance(event, dict) and isinstance(event.get("data"), dict):
            latest[message.key] = event["data"]
    return list(latest.values())


def dead_letters(target: AppOnKafka, workflow_id: str | None = None) -> list[DeadLetter]:
    """Each source record's first dead letter, by time."""
    topic = target.topics.dead_letters
    target.require(topic)
    found: dict[tuple[str, int, int], DeadLetter] = {}
    for message in _in_order(target.cluster.read(topic)):
        try:
            letter = DeadLetter.parse(message.value)
        except ValueError:
            continue
        if workflow_id in (None, letter.workflow_id):
            found.setdefault((letter.topic, letter.partition, letter.offset), letter)
    return sorted(found.values(), key=lambda item: (item.time, item.topic, item.partition, item.offset))


def _in_order(messages: Iterable[Message]) -> list[Message]:
    """By partition, then offset: the order that a key's messages were written in."""
    return sorted(messages, key=lambda message: (message.partition, message.offset))
