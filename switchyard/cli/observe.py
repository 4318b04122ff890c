"""What one namespace has done so far, read from its topics: the ledger, the statuses, the dead letters."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from switchyard.cli.reading import has_ended
from switchyard.core.app import App
from switchyard.core.deadletter import DeadLetter, parse_entry
from switchyard.core.ledger.effective import FirstRecords
from switchyard.core.ledger.record import Decision, parse_record
from switchyard.core.summary import parse_summary
from switchyard.core.topics import Topics
from switchyard.kafka.admin import Cluster, Follower, KafkaRecord


@dataclass
class Observed:
    """`decisions` are the effective ones in ledger order; `records` all. `workflows` are the newest summaries."""

    records: list[Decision] = field(default_factory=list)
    workflows: dict[str, dict[str, Any]] = field(default_factory=dict)
    dead_letters: dict[tuple[str, int, int], DeadLetter] = field(default_factory=dict)
    _first: FirstRecords = field(default_factory=FirstRecords)

    @property
    def decisions(self) -> list[Decision]:
        """The effective records, in ledger order."""
        return self._first.records

    def add(self, message: KafkaRecord, topics: Topics) -> Decision | None:
        """Take in a record of one of the three topics; answers a decision that is effective and new.

        What is no record of its topic is left out: the job keeps it as a dead letter.
        """
        try:
            if message.topic == topics.workflow_status:
                summary = parse_summary(message.value)
                self.workflows[summary["workflow_id"]] = summary
            elif message.topic == topics.dead_letters:
                letter = parse_entry(message.value)
                if isinstance(letter, DeadLetter):
                    self.dead_letters[(letter.topic, letter.partition, letter.offset)] = letter
            else:
                record = parse_record(message.value)
                if isinstance(record, Decision):
                    return self._decision(record)
        except ValueError:
            pass
        return None

    def _decision(self, record: Decision) -> Decision | None:
        self.records.append(record)
        return record if self._first.add(record) else None

    def derive_workflows(self) -> None:
        """For a stateless job, which writes no statuses: they follow from the ledger."""
        from switchyard.core.orchestrator.ledger_view import derive

        self.workflows = derive(self.records)

    @property
    def all_ended(self) -> bool:
        return bool(self.workflows) and all(has_ended(item) for item in self.workflows.values())


class TopicObserver:
    """Follows a namespace's topics from their beginning."""

    def __init__(self, cluster: Cluster, app: App, namespace: str, stateless: bool = False) -> None:
        self.topics = Topics(namespace)
        self.observed = Observed()
        self._cluster = cluster
        self._stateless = stateless
        self._inputs = [self.topics.named(item.topic) for item in app.registry.file.inputs]
        self._follower: Follower = cluster.follow(
            [self.topics.routing_decisions, self.topics.workflow_status, self.topics.dead_letters]
        )

    def poll(self, timeout_s: float) -> list[Decision]:
        """Read on; answers the effective decisions that are new."""
        new = self._take(self._follower.poll(timeout_s))
        if self._stateless and new:
            self.observed.derive_workflows()
        return new

    def finished(self) -> bool:
        """Whether nothing is left to do: all input is in a checkpoint of the job, and every workflow has ended.

        The job commits offsets when a checkpoint is complete, and a checkpoint flushes what was written before. So once
        the offsets stand at the ends, all that the input led to is in the topics, or in a workflow that still runs.
        """
        group = f"{self.topics.namespace}.{'stateless' if self._stateless else 'orchestrator'}"
        if not self._cluster.consumed(group, [*self._inputs, self.topics.agent_messages]):
            return False
        while new := self._follower.poll(0.2):
            self._take(new)
        if self._stateless:
            self.observed.derive_workflows()
        return self.observed.all_ended or not self.observed.workflows

    def close(self) -> None:
        self._follower.close()

    def _take(self, messages: Iterable[KafkaRecord]) -> list[Decision]:
        decisions = [self.observed.add(message, self.topics) for message in messages]
        return [decision for decision in decisions if decision is not None]
