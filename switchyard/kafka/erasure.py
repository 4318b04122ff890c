"""What the topics of a namespace hold about somebody, and how far Kafka can remove it: ADR 10."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from functools import partial

from switchyard.core import strictjson
from switchyard.core.app import App
from switchyard.core.audit import AuditEntry
from switchyard.core.deadletter import DeadLetter, Note, Position, parse_entry
from switchyard.core.erasure import Erasure, ReceiptLine, Removal, ranges, texts
from switchyard.core.topics import Topics
from switchyard.kafka.acls import JOB_GROUPS
from switchyard.kafka.admin import Cluster, KafkaRecord

REDACTED = "(forgotten)"
SLACK_MS = 10 * 60 * 1000
"""How long after its time a broker may take to delete a segment's file: `log.retention.check.interval.ms` and more."""
CENTURY_MS = 100 * 365 * 24 * 3600 * 1000
COMPACTED = "older bytes leave once something later is written to the partition; to run this again does that, too"


@dataclass
class Partition:
    """What a partition holds about somebody, the oldest first; `older` counts other records before the newest of it.

    `needed` is the first offset of a record that others still need.
    """

    found: list[KafkaRecord] = field(default_factory=list)
    older: int = 0
    needed: int | None = None
    _others: int = 0

    def add(self, record: KafkaRecord, concerned: bool, needed: bool) -> None:
        if concerned:
            # Its bytes are not needed any more: what is found may be much.
            self.found.append(replace(record, value=b""))
            self.older = self._others
            return
        self._others += 1
        if needed and self.needed is None:
            self.needed = record.offset

    @property
    def last(self) -> KafkaRecord:
        return self.found[-1]


class TopicErasure:
    """The topics of an app's namespace. Methods raise as those of Cluster do."""

    def __init__(self, app: App, topics: Topics, cluster: Cluster) -> None:
        self._topics = topics
        self._cluster = cluster
        self._inputs = [topics.named(item.topic) for item in app.registry.file.inputs]
        job = [f"{topics.namespace}.{group}" for group in JOB_GROUPS]
        self._readers: dict[str, list[str]] = dict.fromkeys((*self._inputs, topics.agent_messages), job)
        self._prefix = topics.inbox("")
        self._names = sorted(name for name in cluster.topics() if name.startswith(f"{topics.namespace}."))
        for name in self._inboxes():
            self._readers[name] = [topics.group(name.removeprefix(self._prefix))]

    def workflow_ids(self, erasure: Erasure) -> set[str]:
        """The workflows in which the address stands, by what was decided in them and dispatched."""
        return self._mentioning(erasure, [self._topics.routing_decisions, *self._inboxes()])

    def claimed(self, erasure: Erasure) -> set[str]:
        """The workflows that events with the address name, whether they were let in or not."""
        return self._mentioning(erasure, [self._topics.agent_messages])

    def stores(self) -> set[str]:
        """The ids of the stores that workers have committed their offsets with."""
        committed = [found for name in self._inboxes() for found in self._cluster.committed(name).values()]
        return {item.metadata for found in committed for item in found.values() if item.metadata}

    def message_ids(self, erasure: Erasure) -> set[str]:
        """Every text that could be a Message-ID, of the events in the workflows."""
        found: set[str] = set()
        for record in self._cluster.read(self._topics.agent_messages):
            if self._workflow_of(record) in erasure.workflow_ids:
                found |= {text for text in texts(record.value) if text[:1] == "<" and text[-1:] == ">"}
        return found

    def removals(self, erasure: Erasure, open_workflows: Collection[str], memories: Collection[bytes]) -> list[Removal]:
        """What can be done in each partition. `memories` are keys of the memory's topic that are concerned, too."""
        removals: list[Removal] = []
        for name in self._names:
            needed = self._needed(name, open_workflows)
            held = {number: part for number, part in self._scan(name, erasure, needed, memories).items() if part.found}
            if held:
                settings = self._cluster.topic_config([name])[name]
                for number, part in sorted(held.items()):
                    removals.append(self._removal(name, number, part, settings, erasure))
        return removals

    def kept_request(self, workflows: int) -> ReceiptLine:
        """The line about the request to the job, which names the workflows for as long as its topic keeps it."""
        topic = self._topics.control
        settings = self._cluster.topic_config([topic])[topic]
        until = gone_by(settings, int(time.time() * 1000))
        return ReceiptLine(topic, workflows, "kept", until=until, note="this request names the workflows to the job")

    def _inboxes(self) -> list[str]:
        return [name for name in self._names if name.startswith(self._prefix)]

    def _mentioning(self, erasure: Erasure, names: list[str]) -> set[str]:
        found = set()
        for name in names:
            for record in self._cluster.read(name):
                workflow_id = self._workflow_of(record)
                if workflow_id is not None and erasure.concerns(workflow_id, record.value):
                    found.add(workflow_id)
        return found

    def _workflow_of(self, record: KafkaRecord) -> str | None:
        """The workflow that a record of our own says it is of; an event's data says nothing about that."""
        if record.topic in self._inputs:
            return None
        if record.topic == self._topics.workflow_status:
            return record.key.decode(errors="replace")
        value = _object(record.value)
        named = value.get("workflowid", value.get("workflow_id"))
        return named if isinstance(named, str) else None

    def _concerns(self, record: KafkaRecord, erasure: Erasure, memories: Collection[bytes]) -> bool:
        if record.topic == self._topics.audit and _is_no_ones(record.value):
            return False
        workflow_id = self._workflow_of(record)
        if record.value and erasure.concerns(workflow_id, record.value):
            return True
        if record.key in memories or erasure.mentions(record.key.decode(errors="replace")):
            return bool(record.value)
        if record.topic in self._inputs:
            return _names(record.value, erasure.workflow_ids)
        letter = _letter(record.value) if record.topic == self._topics.dead_letters else None
        return isinstance(letter, DeadLetter) and workflow_id is None and _names(letter.raw, erasure.workflow_ids)

    def _scan(
        self, name: str, erasure: Erasure, needed: Callable[[KafkaRecord], bool], memories: Collection[bytes]
    ) -> dict[int, Partition]:
        partitions: dict[int, Partition] = {}
        for record in self._cluster.read(name):
            concerned = self._concerns(record, erasure, memories)
            partitions.setdefault(record.partition, Partition()).add(record, concerned, needed(record))
        return partitions

    def _needed(self, name: str, open_workflows: Collection[str]) -> Callable[[KafkaRecord], bool]:
        """Whether others still need a record of a topic, beside those who read it from their offsets on."""
        if name == self._topics.agent_messages:
            return lambda record: self._workflow_of(record) in open_workflows
        if name == self._topics.dead_letters:
            entries = (_letter(record.value) for record in self._cluster.read(name))
            closed = {entry.position for entry in entries if isinstance(entry, Note)}
            return lambda record: _is_open(record.value, closed)
        return lambda record: False

    def _removal(
        self, name: str, number: int, part: Partition, settings: Mapping[str, str], erasure: Erasure
    ) -> Removal:
        offsets = ranges([record.offset for record in part.found])
        until = gone_by(settings, max(record.time for record in part.found))
        line = ReceiptLine(f"{name}[{number}]", len(part.found), "kept", offsets, until)
        keys = {record.key for record in part.found}
        if name == self._topics.workflow_status:
            return Removal(_superseded(line, settings))
        if name == self._topics.memory:
            told = _superseded(line, settings)
            told = replace(told, note=f"{told.note}; the key, with the memory's subject, goes last")
            return Removal(told, partial(self._cluster.send, name, [(key, None) for key in keys]))
        if name == self._topics.audit:
            return Removal(_superseded(line, settings), partial(self._redact, keys, erasure))
        if name not in self._readers and name != self._topics.dead_letters:
            return Removal(line if until else replace(line, note="nothing removes it: see to it yourself"))
        problem = self._still_needed(name, number, part)
        if problem is not None:
            return Removal(replace(line, note=problem))
        others = f"; older ones of others that go along, all done with: {part.older}" if part.older else ""
        note = f"nobody can read it any more; its bytes leave the broker's disk later{others}"
        remove = partial(self._cluster.delete_before, name, number, part.last.offset + 1)
        return Removal(replace(line, done="removed", note=note), remove)

    def _still_needed(self, name: str, number: int, part: Partition) -> str | None:
        """Why the records of a partition up to the last that was found are not expendable."""
        if part.needed is not None and part.needed < part.last.offset:
            letters = name == self._topics.dead_letters
            return "older dead letters are open" if letters else "older events are of workflows that have not ended"
        if name not in self._readers:
            return None
        committed = self._cluster.committed(name)
        if not any(group in committed for group in self._readers[name]):
            return f"{self._readers[name][0]} has not said that it has read it"
        for group, offsets in sorted(committed.items()):
            if number not in offsets or offsets[number].offset <= part.last.offset:
                return f"{group} has not said that it has read it"
        return None

    def _redact(self, keys: Collection[bytes], erasure: Erasure) -> None:
        """Take back what the audit says about the workflows in words; who did what, and when, stays."""
        first: dict[bytes, bytes] = {}
        for record in self._cluster.read(self._topics.audit):
            if record.key in keys and record.value:
                first.setdefault(record.key, record.value)
        for key, value in first.items():
            self._cluster.send(self._topics.audit, [(key, None)])
            try:
                entry = AuditEntry.parse(value)
            except ValueError:
                continue
            workflow_id = None if erasure.mentions(entry.workflow_id or "") else entry.workflow_id
            kept = replace(entry, reason=REDACTED, message=entry.message and REDACTED, workflow_id=workflow_id)
            self._cluster.send(self._topics.audit, [(key, kept.json().encode())])


def gone_by(settings: Mapping[str, str], written: int) -> int | None:
    """When a record is off the disks for certain, milliseconds since 1970; None where its topic has no such time.

    Kafka deletes a segment once the newest of its records is too old, and ends one that is `segment.ms` old.
    """
    retention = int(settings.get("retention.ms", -1))
    if "delete" not in settings.get("cleanup.policy", "delete") or retention < 0:
        return None
    return written + retention + int(settings.get("segment.ms", 0)) + SLACK_MS


def _superseded(line: ReceiptLine, settings: Mapping[str, str]) -> ReceiptLine:
    lag = int(settings.get("max.compaction.lag.ms", -1))
    until = line.until
    if 0 <= lag < CENTURY_MS:
        tombstone = int(settings.get("delete.retention.ms", 0))
        compacted = int(time.time() * 1000) + int(settings.get("segment.ms", 0)) + lag + tombstone + SLACK_MS
        until = compacted if until is None else min(until, compacted)
    return replace(line, done="superseded", until=until, note=COMPACTED)


def _object(raw: bytes) -> dict[str, object]:
    try:
        value = strictjson.loads_foreign(raw)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _is_no_ones(raw: bytes) -> bool:
    """Whether an entry of the audit is a receipt, or has no words any more."""
    entry = _object(raw)
    return entry.get("action") == "forget" or entry.get("reason") == REDACTED


def _names(raw: bytes, workflow_ids: Collection[str]) -> bool:
    """Whether a line of input has the id of a workflow as one of its values: requests.sql makes ids of them."""
    return any(isinstance(value, str) and value in workflow_ids for value in _object(raw).values())


def _letter(raw: bytes) -> DeadLetter | Note | None:
    try:
        return parse_entry(raw)
    except ValueError:
        return None


def _is_open(raw: bytes, closed: Collection[Position]) -> bool:
    entry = _letter(raw)
    return isinstance(entry, DeadLetter) and entry.position not in closed
