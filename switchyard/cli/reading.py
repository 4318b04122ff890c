"""What an app's topics tell: decisions, how workflows stand, dead letters."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from switchyard.core.audit import AuditEntry
from switchyard.core.deadletter import DeadLetter, Note, Position, parse_entry
from switchyard.core.errors import Rejected
from switchyard.core.ledger.record import Decision, Record, parse_record
from switchyard.core.summary import parse_summary

if TYPE_CHECKING:
    from switchyard.cli.options import AppOnKafka
    from switchyard.kafka.admin import KafkaRecord


def ledger(target: AppOnKafka) -> Iterator[tuple[KafkaRecord, Record]]:
    """Every record in ledger order with the message it stands in; what is no record is left out."""
    topic = target.topics.routing_decisions
    target.require(topic)
    for message in _in_order(target.cluster.read(topic)):
        try:
            yield message, parse_record(message.value)
        except ValueError:
            continue


def decisions(target: AppOnKafka, workflow_id: str | None = None) -> list[Decision]:
    """All decisions in the ledger, or one workflow's, in ledger order; those about what is no event are left out."""
    return [
        record
        for _, record in ledger(target)
        if isinstance(record, Decision) and workflow_id in (None, record.workflow_id) and is_about_event(record)
    ]


def is_about_event(record: Decision) -> bool:
    """Whether the text that a record was made about is an event: that of a dead letter may be anything."""
    try:
        record.parsed_event()
    except Rejected:
        return False
    return True


@dataclass(frozen=True)
class LatestStatus:
    """How a workflow stands, as `Workflow.summary` has it, and the offset of the status that tells so."""

    summary: dict[str, Any]
    offset: int


def summary_of(raw: bytes) -> dict[str, Any] | None:
    """The summary that a status event holds; None where this is none."""
    try:
        return parse_summary(raw)
    except ValueError:
        return None


def latest_statuses(target: AppOnKafka) -> dict[str, LatestStatus]:
    """The newest status of each workflow, by workflow id; none of one that is forgotten."""
    topic = target.topics.workflow_status
    target.require(topic)
    latest: dict[str, LatestStatus] = {}
    for message in _in_order(target.cluster.read(topic)):
        workflow_id, summary = message.key.decode(errors="replace"), summary_of(message.value)
        if summary is not None:
            latest[workflow_id] = LatestStatus(summary, message.offset)
        elif not message.value:
            latest.pop(workflow_id, None)
    return latest


def summaries(target: AppOnKafka) -> list[dict[str, Any]]:
    """How each workflow stands, as `Workflow.summary` has it."""
    return [item.summary for item in latest_statuses(target).values()]


def has_ended(summary: Mapping[str, Any]) -> bool:
    """Whether a workflow has come to its end; one that is queued has not begun."""
    return summary["status"] not in ("running", "queued")


@dataclass(frozen=True)
class NumberedDeadLetter:
    """A dead letter as a person works on it.

    `number` is short and never changes: it comes from where the letter stands in its topic, so numbers have gaps.
    `note` is what was done about it last, None while it is open.
    """

    number: int
    letter: DeadLetter
    note: Note | None

    @property
    def state(self) -> str:
        return self.note.action if self.note else "open"


def dead_letters(target: AppOnKafka, workflow_id: str | None = None) -> list[NumberedDeadLetter]:
    """Each source record's first dead letter, by time."""
    topic = target.topics.dead_letters
    target.require(topic)
    partitions = target.cluster.partitions(topic)
    first: dict[Position, tuple[int, DeadLetter]] = {}
    notes: dict[Position, Note] = {}
    for message in _in_order(target.cluster.read(topic)):
        try:
            entry = parse_entry(message.value)
        except ValueError:
            continue
        if isinstance(entry, DeadLetter):
            first.setdefault(entry.position, (message.offset * partitions + message.partition + 1, entry))
        elif entry.position not in notes or entry.time >= notes[entry.position].time:
            notes[entry.position] = entry
    letters = [
        NumberedDeadLetter(number, letter, notes.get(position))
        for position, (number, letter) in first.items()
        if workflow_id in (None, letter.workflow_id)
    ]
    return sorted(letters, key=lambda item: (item.letter.time, item.number))


def audit(target: AppOnKafka) -> list[AuditEntry]:
    """What operators asked for, by time; of a request that was taken up twice, how it was the first time.

    What a tombstone of Kafka's takes back counts no more.
    """
    target.require(target.topics.audit)
    entries: dict[str, AuditEntry] = {}
    for message in _in_order(target.cluster.read(target.topics.audit)):
        if not message.value:
            entries.pop(message.key.decode(errors="replace"), None)
            continue
        try:
            entry = AuditEntry.parse(message.value)
        except ValueError:
            continue
        entries.setdefault(entry.id, entry)
    return sorted(entries.values(), key=lambda item: (item.at, item.id))


def _in_order(messages: Iterable[KafkaRecord]) -> list[KafkaRecord]:
    """By partition, then offset: the order that a key's messages were written in."""
    return sorted(messages, key=lambda message: (message.partition, message.offset))
