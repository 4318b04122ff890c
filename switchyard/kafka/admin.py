"""Kafka for the command line: topics, and reading a topic from its beginning to its end."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import ConfigResource, ConfigResourceType, NewTopic
from kafka.errors import (
    CoordinatorNotAvailableError,
    KafkaError,
    KafkaTimeoutError,
    TopicAlreadyExistsError,
)
from kafka.structs import OffsetAndMetadata
from tenacity import Retrying, retry_if_result, stop_after_delay, wait_fixed

from switchyard.core.app import App
from switchyard.core.errors import SwitchyardError
from switchyard.core.fields import LATEST
from switchyard.core.retention import DAY_MS, DEAD_LETTERS_MS, WEEK_MS
from switchyard.core.topics import Topics
from switchyard.kafka.connection import KafkaConnection
from switchyard.kafka.topic_checks import TopicFacts

T = TypeVar("T")

PARTITIONS = 4
BOOTSTRAP_MS = 10_000
CLOSE_S = 5.0


class KafkaUnreachable(SwitchyardError):
    """No broker answers at the address."""


@dataclass(frozen=True)
class KafkaRecord:
    """One record: key and value are the bytes that were sent, `time` milliseconds since 1970."""

    topic: str
    partition: int
    offset: int
    time: int
    key: bytes
    value: bytes


def topic_settings(app: App, namespace: str, largest_record: int) -> dict[str, dict[str, str]]:
    """Every topic of an app with its settings. The ledger is kept longer than the events, and than a workflow takes.

    No size limits what is kept: it would drop what nobody has read yet. Only the audit is kept without a limit of time.
    Kafka drops and compacts whole segments, none of which it writes to, so one holds a day at most.
    """
    topics = Topics(namespace)
    file = app.registry.file
    daily = {"segment.ms": str(DAY_MS)}
    unsized = {**daily, "cleanup.policy": "delete", "retention.bytes": "-1"}
    compacted = {**daily, "cleanup.policy": "compact", "max.compaction.lag.ms": str(DAY_MS)}
    newest = {**compacted, "cleanup.policy": "compact,delete", "retention.bytes": "-1"}
    kept = {**unsized, "retention.ms": str(WEEK_MS)}
    ledger_ms = max(2 * WEEK_MS, int(file.limits.deadline * 1000) + WEEK_MS)
    memory_ms = int(file.memory.days * DAY_MS) + WEEK_MS
    return {
        **{topics.named(item.topic): kept for item in file.inputs},
        topics.agent_messages: kept,
        topics.routing_decisions: {**unsized, "retention.ms": str(ledger_ms)},
        **{topics.inbox(name): kept for name in app.registry.agents},
        topics.control: {**unsized, "retention.ms": str(2 * WEEK_MS)},
        topics.audit: compacted,
        topics.workflow_status: {**newest, "retention.ms": str(ledger_ms)},
        topics.memory: {**newest, "retention.ms": str(memory_ms), "delete.retention.ms": str(WEEK_MS)},
        topics.dead_letters: {
            **unsized,
            "retention.ms": str(DEAD_LETTERS_MS),
            "max.message.bytes": str(largest_record * 4 // 3 + 65536),
        },
    }


@dataclass(frozen=True)
class GroupMember:
    """One member of a consumer group: the id that its client gave itself, and what it reads."""

    client_id: str
    partitions: frozenset[TopicPartition]


@dataclass(frozen=True)
class ConsumerGroup:
    """A consumer group; it is `stable` unless its partitions are being given out just now."""

    stable: bool
    members: tuple[GroupMember, ...] = ()

    def reads(self, topic: str, but: str = "") -> bool:
        """Whether a member reads the topic or, other than the client `but`, may be about to."""
        if not self.stable:
            return any(member.client_id != but for member in self.members)
        return any(item.topic == topic for member in self.members for item in member.partitions)


class Cluster:
    """A Kafka cluster. Every method raises KafkaUnreachable where no broker answers, KafkaRefused where it refuses."""

    def __init__(self, access: KafkaConnection) -> None:
        self.bootstrap = access.address
        self._access = access

    @property
    def user(self) -> str | None:
        """Who Kafka says that we are; None where it asks for no login."""
        return self._access.username

    def topics(self) -> set[str]:
        with self._admin() as admin:
            return set(admin.list_topics())

    def create_topics(self, wanted: Mapping[str, Mapping[str, str]], partitions: int = PARTITIONS) -> list[str]:
        """Create those that are missing; answers their names."""
        with self._admin() as admin:
            missing = sorted(set(wanted) - set(admin.list_topics()))
            new = [
                NewTopic(name, num_partitions=partitions, replication_factor=-1, topic_configs=dict(wanted[name]))
                for name in missing
            ]
            if new:
                try:
                    admin.create_topics(new)
                except TopicAlreadyExistsError:
                    return self.create_topics(wanted, partitions)
            return missing

    def topic_config(self, names: list[str]) -> dict[str, dict[str, str]]:
        """The settings in force, by topic. Raises SwitchyardError where Kafka does not tell them."""
        return self._told(self._topic_config, names, "settings")

    def facts(self, names: list[str], keyed: list[str]) -> dict[str, TopicFacts]:
        """What Kafka tells of these topics; of those that are `keyed` the first keys, too. Raises as `topic_config`."""
        settings = self.topic_config(names)
        replicas = self._told(self._replicas, names, "partitions")
        first: dict[str, dict[int, bytes]] = {name: {} for name in names}
        for record in self._oldest(keyed):
            if record.key:
                first[record.topic][record.partition] = record.key
        return {
            name: TopicFacts(settings[name], min(replicas[name]), len(replicas[name]), first[name]) for name in names
        }

    def _told(self, ask: Callable[[list[str]], dict[str, T]], names: list[str], what: str) -> dict[str, T]:
        """Kafka may tell nothing yet of a topic that was just made, so it is asked again."""
        again = Retrying(
            retry=retry_if_result(lambda answers: not all(answers.get(name) for name in names)),
            stop=stop_after_delay(BOOTSTRAP_MS / 1000),
            wait=wait_fixed(0.2),
            retry_error_callback=lambda state: state.outcome and state.outcome.result(),
        )
        answers: dict[str, T] = again(ask, names)
        missing = [name for name in names if not answers.get(name)]
        if missing:
            raise SwitchyardError(
                f"Kafka at {self.bootstrap} does not tell the {what} of {missing[0]}; may this user read them?"
            )
        return answers

    def _topic_config(self, names: list[str]) -> dict[str, dict[str, str]]:
        with self._admin() as admin:
            resources = [ConfigResource(ConfigResourceType.TOPIC, name) for name in names]
            answers = admin.describe_configs(resources, config_filter="all")
        return {
            name: {key: item["value"] for key, item in values.items()}
            for named in answers.values()
            for name, values in named.items()
        }

    def _replicas(self, names: list[str]) -> dict[str, list[int]]:
        """How many replicas each partition has."""
        with self._admin() as admin:
            described = admin.describe_topics(names)
        return {topic["name"]: [len(item["replica_nodes"]) for item in topic["partitions"]] for topic in described}

    def _oldest(self, topics: list[str]) -> list[KafkaRecord]:
        """The oldest record of each partition that holds any."""
        oldest: dict[TopicPartition, KafkaRecord] = {}
        with self._consumer() as consumer:
            partitions = _assign(consumer, topics)
            ends = consumer.end_offsets(partitions)
            while any(item not in oldest and consumer.position(item) < ends[item] for item in partitions):
                for item, records in consumer.poll(timeout_ms=1000).items():
                    oldest[item] = _message(records[0])
                    consumer.pause(item)
        return list(oldest.values())

    def partitions(self, topic: str) -> int:
        with self._consumer() as consumer:
            return len(consumer.partitions_for_topic(topic) or ())

    def read(self, topic: str) -> Iterator[KafkaRecord]:
        """Everything that is in a topic now, partition by partition as it comes; nothing where there is no such topic.

        A reader that is given up half-way keeps its connection until the process ends: closing it then, as late as at
        the interpreter's exit, would wait for an I/O thread that is gone.
        """
        consumer = self.consumer()
        partitions = _assign(consumer, [topic])
        ends = consumer.end_offsets(partitions)
        while any(consumer.position(item) < ends[item] for item in partitions):
            for records in consumer.poll(timeout_ms=1000).values():
                yield from (_message(record) for record in records)
        _close(consumer)

    def last_written(self, topics: list[str]) -> int:
        """When the newest record of these topics was written, milliseconds since 1970; 0 where they hold none."""
        newest = 0
        with self._consumer() as consumer:
            partitions = _partitions(consumer, topics)
            first, ends = consumer.beginning_offsets(partitions), consumer.end_offsets(partitions)
            filled = [item for item in partitions if ends[item] > first[item]]
            consumer.assign(filled)
            for item in filled:
                consumer.seek(item, ends[item] - 1)
            while any(consumer.position(item) < ends[item] for item in filled):
                for records in consumer.poll(timeout_ms=1000).values():
                    newest = max(newest, *(record.timestamp for record in records))
        return newest

    def consumed(self, group: str, topics: list[str]) -> bool:
        """Whether the group has committed the end of every partition of these topics that holds anything."""
        with self._consumer() as consumer:
            ends = consumer.end_offsets(_partitions(consumer, topics))
        with self._admin() as admin:
            try:
                committed = admin.list_group_offsets(group).get(group, {})
            except CoordinatorNotAvailableError:  # no group has ever committed to this broker
                committed = {}
        return all(end == 0 or (item in committed and committed[item].offset >= end) for item, end in ends.items())

    def committed(self, topic: str) -> dict[str, dict[int, OffsetAndMetadata]]:
        """What each consumer group that has read a topic has committed of it, by partition."""
        with self._admin() as admin:
            try:
                # One without a protocol commits and never joins, as Flink does.
                names = [item["group_id"] for item in admin.list_groups() if item["protocol_type"] in ("consumer", "")]
                offsets = admin.list_group_offsets(dict.fromkeys(names)) if names else {}
            except CoordinatorNotAvailableError:  # no group has ever committed to this broker
                offsets = {}
        mine = {
            group: {
                item.partition: committed
                for item, committed in found.items()
                if item.topic == topic and committed.offset >= 0
            }
            for group, found in offsets.items()
        }
        return {group: found for group, found in mine.items() if found}

    def delete_before(self, topic: str, partition: int, offset: int) -> None:
        """Remove every record of a partition below an offset. Raises SwitchyardError where Kafka does not."""
        with self._admin() as admin:
            try:
                admin.delete_records({TopicPartition(topic, partition): offset}, timeout_ms=BOOTSTRAP_MS)
            except KafkaError as error:
                what = str(error) or type(error).__name__
                raise SwitchyardError(f"Kafka does not delete records of {topic}: {what}") from None

    def groups(self, names: Sequence[str]) -> dict[str, ConsumerGroup]:
        """Consumer groups by name; one that is not there has no members."""
        with self._admin() as admin:
            try:
                described = admin.describe_groups(list(names))
            except CoordinatorNotAvailableError:  # no group has ever joined this broker
                described = {}
        return {name: _group(described[name]) if name in described else ConsumerGroup(True) for name in names}

    def unread(self, inboxes: Mapping[str, str]) -> list[str]:
        """Those of the topics that are there and that nobody reads; `inboxes` are groups by topic."""
        topics = self.topics()
        there = {topic: group for topic, group in inboxes.items() if topic in topics}
        groups = self.groups(sorted(set(there.values())))
        return [topic for topic, group in there.items() if not groups[group].reads(topic)]

    def follow(self, topics: list[str]) -> Follower:
        """A reader that goes on where it stopped; see `Follower.poll`."""
        return Follower(self, topics)

    def send(self, topic: str, messages: Sequence[tuple[bytes | None, bytes | None]]) -> None:
        """Write (key, value) pairs and wait until the broker has them. Raises SwitchyardError where it refuses one.

        In a compacted topic a pair without a value is a tombstone: it takes back what its key had.
        """
        producer = self._open(KafkaProducer, max_request_size=64 * 1024 * 1024, acks="all", linger_ms=5)
        try:
            futures = [producer.send(topic, key=key, value=value) for key, value in messages]
            for future in futures:
                future.get(timeout=60)
        except KafkaError as error:
            what = str(error) or type(error).__name__
            raise SwitchyardError(f"Kafka did not take a message for {topic}: {what}") from None
        finally:
            producer.close()

    @contextmanager
    def _admin(self) -> Iterator[Any]:
        admin = self._open(KafkaAdminClient)
        try:
            yield admin
        finally:
            _close(admin)

    @contextmanager
    def _consumer(self) -> Iterator[Any]:
        consumer = self.consumer()
        try:
            yield consumer
        finally:
            _close(consumer)

    def consumer(self) -> Any:
        return self._open(KafkaConsumer, enable_auto_commit=False, group_id=None, auto_offset_reset="earliest")

    def _open(self, client: Callable[..., Any], **options: Any) -> Any:
        self._access.check()
        try:
            return client(**self._access.client(), bootstrap_timeout_ms=BOOTSTRAP_MS, **options)
        except KafkaTimeoutError:
            raise KafkaUnreachable(
                f"{self._access.unreachable_reason()}; start the local stack with `switchyard up`, "
                "or say where Kafka is with --kafka HOST:PORT"
            ) from None


class Follower:
    """Reads topics from their beginning, a batch at a time."""

    def __init__(self, cluster: Cluster, topics: list[str]) -> None:
        self._consumer = cluster.consumer()
        _assign(self._consumer, topics)

    def poll(self, timeout_s: float) -> list[KafkaRecord]:
        """What has come, waiting up to `timeout_s` for the first."""
        batches = self._consumer.poll(timeout_ms=int(timeout_s * 1000))
        return [_message(record) for records in batches.values() for record in records]

    def close(self) -> None:
        _close(self._consumer)


def _partitions(consumer: Any, topics: list[str]) -> list[TopicPartition]:
    """The partitions of those topics that there are."""
    return [TopicPartition(topic, number) for topic in topics for number in consumer.partitions_for_topic(topic) or ()]


def _assign(consumer: Any, topics: list[str]) -> list[TopicPartition]:
    """Let the consumer read these topics from their beginning; answers their partitions."""
    partitions = _partitions(consumer, topics)
    consumer.assign(partitions)
    if partitions:
        consumer.seek_to_beginning(*partitions)
    return partitions


def _close(client: Any) -> None:
    """Close without waiting for ever: a client waits for its I/O thread, which ends when its broker is gone."""
    closing = threading.Thread(target=client.close, daemon=True)
    closing.start()
    closing.join(CLOSE_S)


def _group(described: Mapping[str, Any]) -> ConsumerGroup:
    members = tuple(
        GroupMember(
            member["client_id"],
            frozenset(
                TopicPartition(item["topic"], number)
                for item in (member["member_assignment"] or {}).get("assigned_partitions", ())
                for number in item["partitions"]
            ),
        )
        for member in described["members"]
    )
    return ConsumerGroup(described["group_state"] in ("Stable", "Empty", "Dead"), members)


def _message(record: Any) -> KafkaRecord:
    """A record; its time, which its producer may set to anything, as one that a calendar has."""
    moment = min(max(record.timestamp, 0), LATEST)
    return KafkaRecord(record.topic, record.partition, record.offset, moment, record.key or b"", record.value or b"")
