"""How an inbox is read: several messages at once, offsets committed without a gap; with a consumer of this test."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast

import pytest
from kafka import TopicPartition
from kafka.errors import KafkaError
from kafka.structs import OffsetAndMetadata
from sqlalchemy.exc import OperationalError

from switchyard.core import strictjson
from switchyard.core.errors import Rejected
from switchyard.kafka.admin import ConsumerGroup, GroupMember
from switchyard.kafka.connection import KafkaRefused
from switchyard.worker import inbox as module
from switchyard.worker.inbox import Inbox
from switchyard.worker.publisher import WorkerStopping

TOPIC = TopicPartition("ns.agent.echo", 0)


@dataclass
class Record:
    offset: int
    value: bytes
    topic: str = TOPIC.topic
    partition: int = TOPIC.partition
    timestamp: int = 1_700_000_000_000


class Consumer:
    """One partition; gives `records` once it is subscribed to, and keeps what is committed."""

    def __init__(self, *values: bytes) -> None:
        self.records = [Record(offset, value) for offset, value in enumerate(values)]
        self.given = 0
        self.commits: list[int] = []
        self.failing_commits = 0
        self.failing_last_commits = 0
        self.is_paused = False
        self.most_wanted = 0
        self.closed = False
        self.looks_before_it_is_there = 0
        self.listener: Any = None
        self.gets_partitions, self.is_assigned = True, False
        self.before: OffsetAndMetadata | None = OffsetAndMetadata(0, "store")
        self.stores: set[str] = set()

    def partitions_for_topic(self, topic: str) -> set[int]:
        self.looks_before_it_is_there -= 1
        return {0} if topic == TOPIC.topic and self.looks_before_it_is_there < 0 else set()

    def subscribe(self, topics: list[str], listener: Any) -> None:
        self.listener = listener
        self.is_assigned = self.gets_partitions
        if self.is_assigned:
            asyncio.run(listener.on_partitions_assigned({TOPIC}))

    def assignment(self) -> set[TopicPartition]:
        return {TOPIC}

    def paused(self) -> set[TopicPartition]:
        return {TOPIC} if self.is_paused else set()

    def pause(self, *partitions: TopicPartition) -> None:
        self.is_paused = True

    def resume(self, *partitions: TopicPartition) -> None:
        self.is_paused = False

    def poll(self, timeout_ms: int, max_records: int) -> dict[TopicPartition, list[Record]]:
        new = [] if self.is_paused or not self.is_assigned else self.records[self.given : self.given + max_records]
        self.given += len(new)
        if not new:
            time.sleep(0.001)
        return {TOPIC: new} if new else {}

    def commit(self, positions: dict[TopicPartition, Any], timeout_ms: int) -> None:
        if self.failing_commits:
            self.failing_commits -= 1
            raise KafkaError("not now")
        self._commit(positions)

    async def commit_async(self, positions: dict[TopicPartition, Any]) -> None:
        if self.failing_last_commits:
            self.failing_last_commits -= 1
            raise KafkaError("not now")
        self._commit(positions)

    def _commit(self, positions: dict[TopicPartition, Any]) -> None:
        self.stores.add(positions[TOPIC].metadata)
        self.commits.append(positions[TOPIC].offset)

    def committed(self, partition: TopicPartition, metadata: bool, timeout_ms: int) -> OffsetAndMetadata | None:
        return OffsetAndMetadata(self.commits[-1], "store") if self.commits else self.before

    def seek(self, partition: TopicPartition, offset: int) -> None:
        self.given = offset

    def position(self, partition: TopicPartition, timeout_ms: int) -> int:
        return self.given

    def close(self, **how: Any) -> None:
        self.closed = True


@dataclass
class Written:
    """A publisher that keeps what it is given; raises WorkerStopping for the events that are `refused`."""

    events: list[Any] = field(default_factory=list)
    dead_letters: list[Any] = field(default_factory=list)
    refused: set[str] = field(default_factory=set)

    def publish(self, topic: str, events: list[str]) -> None:
        if self.refused & set(events):
            raise WorkerStopping
        self.events += [(topic, event) for event in events]

    def write(self, topic: str, records: list[tuple[bytes, bytes]]) -> None:
        self.dead_letters += [(topic, strictjson.loads(value)) for _, value in records]


class Started:
    """An inbox whose handler is `handle`, read from `consumer`."""

    def __init__(self, consumer: Consumer, handle: Callable[[bytes], list[str]], concurrency: int) -> None:
        self.consumer, self.written, self.stop = consumer, Written(), threading.Event()
        self.ready = threading.Event()
        self.processor = processor = SimpleNamespace(
            agent=SimpleNamespace(name="echo"),
            namespace="ns",
            handle=lambda raw, since: handle(raw),
            hanging=0,
            effects=SimpleNamespace(id="store"),
        )
        kafka: Any = SimpleNamespace(check=lambda: None, client=dict, unreachable_reason=lambda: "it is away")
        publisher: Any = self.written
        self.inbox = Inbox(cast(Any, processor), kafka, publisher, self.stop, concurrency, self.ready)

    def end(self) -> None:
        self.stop.set()
        self.inbox.join()


Start = Callable[..., Started]


@pytest.fixture
def start(monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    """`start(consumer, handle)`: an inbox that is read; ended after the test."""
    monkeypatch.setattr(module, "PAUSE_S", 0.001)
    started: list[Started] = []

    def make(
        consumer: Consumer, handle: Callable[[bytes], list[str]], concurrency: int = 8, ready: bool = True
    ) -> Started:
        monkeypatch.setattr(module, "KafkaConsumer", lambda **how: consumer)
        item = Started(consumer, handle, concurrency)
        started.append(item)
        if ready:
            item.ready.set()
        item.inbox.start()
        return item

    yield make
    for item in started:
        item.end()


def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not true():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.001)


def echo(raw: bytes) -> list[str]:
    return [raw.decode()]


def test_answers_are_published_before_their_offsets_are_committed(start: Start) -> None:
    running = start(Consumer(b"a", b"b"), echo)
    until(lambda: running.consumer.commits[-1:] == [2])
    assert sorted(running.written.events) == [("ns.agent-messages", "a"), ("ns.agent-messages", "b")]
    until(lambda: running.inbox.handled == 2)
    assert (running.inbox.partitions, running.inbox.leading) == (1, True)
    running.end()
    assert running.consumer.closed
    assert not running.inbox.alive


def test_nothing_is_committed_past_a_message_that_a_handler_still_has(start: Start) -> None:
    go_on = threading.Event()

    def handle(raw: bytes) -> list[str]:
        assert raw != b"first" or go_on.wait(30)
        return echo(raw)

    running = start(Consumer(b"first", b"second", b"third"), handle)
    until(lambda: running.inbox.handled == 2)
    until(lambda: running.inbox.running == 1)
    assert set(running.consumer.commits) <= {0}
    go_on.set()
    until(lambda: running.consumer.commits[-1:] == [3])


def test_no_more_is_read_than_handlers_can_take(start: Start) -> None:
    go_on = threading.Event()

    def handle(raw: bytes) -> list[str]:
        assert go_on.wait(30)
        return echo(raw)

    running = start(Consumer(b"a", b"b", b"c"), handle, concurrency=2)
    until(lambda: running.inbox.running == 2)
    until(lambda: running.consumer.is_paused)
    assert (running.consumer.given, running.inbox.running) == (2, 2)
    go_on.set()
    until(lambda: running.consumer.commits[-1:] == [3])


def test_what_is_no_dispatch_becomes_a_dead_letter(start: Start) -> None:
    def handle(raw: bytes) -> list[str]:
        raise Rejected("not-json", "the value is not JSON")

    running = start(Consumer(b"\xff"), handle)
    until(lambda: running.consumer.commits[-1:] == [1])
    [(topic, letter)] = running.written.dead_letters
    assert (topic, letter["reason"]) == ("ns.dead-letters", "not-json")
    assert running.written.events == []


def test_a_database_that_is_away_is_waited_for(start: Start) -> None:
    tries: list[bytes] = []

    def handle(raw: bytes) -> list[str]:
        tries.append(raw)
        if len(tries) < 3:
            raise OperationalError("insert", None, Exception("gone"))
        return echo(raw)

    running = start(Consumer(b"a"), handle)
    until(lambda: running.consumer.commits[-1:] == [1])
    assert tries == [b"a"] * 3


def test_what_a_backend_raises_passes_no_message_over(start: Start) -> None:
    """It is told while it lasts."""
    mended = threading.Event()

    def handle(raw: bytes) -> list[str]:
        if raw == b"a" and not mended.is_set():
            raise KeyError("secret text")
        return echo(raw)

    running = start(Consumer(b"a", b"b"), handle)
    until(lambda: running.inbox.problem is not None and running.inbox.handled == 1)
    assert str(running.inbox.problem).startswith("echo cannot handle offset 0 of partition 0 (KeyError)")
    mended.set()
    until(lambda: running.consumer.commits[-1:] == [2])
    assert running.inbox.problem is None


def test_a_worker_whose_handlers_all_hang_ends_to_be_started_again(start: Start) -> None:
    running = start(Consumer(b"a"), echo, concurrency=2)
    until(lambda: running.consumer.commits[-1:] == [1])
    running.processor.hanging = 1
    assert running.inbox.hanging == 1
    assert not running.stop.is_set()
    running.processor.hanging = 2
    assert running.stop.wait(30)
    running.inbox.join()
    assert str(running.inbox.refusal).startswith("2 handlers of echo hang, so the worker ends")


def test_a_commit_that_fails_is_made_again(start: Start) -> None:
    consumer = Consumer(b"a")
    consumer.failing_commits = 2
    running = start(consumer, echo)
    until(lambda: running.consumer.commits[-1:] == [1])


def test_a_partition_that_another_worker_has_is_committed_no_longer(start: Start) -> None:
    go_on = threading.Event()

    def handle(raw: bytes) -> list[str]:
        assert raw == b"before" or go_on.wait(30)
        return echo(raw)

    running = start(Consumer(b"before", b"moved"), handle)
    until(lambda: running.consumer.commits[-1:] == [1])
    until(lambda: running.inbox.running == 1)
    asyncio.run(running.consumer.listener.on_partitions_revoked({TOPIC}))
    assert running.inbox.partitions == 0
    go_on.set()
    until(lambda: running.inbox.handled == 2)
    running.end()
    assert running.consumer.commits[-1:] == [1]


def test_partitions_that_come_back_are_read_on_from_what_is_committed(start: Start) -> None:
    """The client goes on where it was; what a handler has then would never be read again after a crash."""
    go_on = threading.Event()
    runs: list[bytes] = []

    def handle(raw: bytes) -> list[str]:
        runs.append(raw)
        assert raw != b"slow" or go_on.wait(30)
        return echo(raw)

    running = start(Consumer(b"before", b"slow", b"after"), handle)
    until(lambda: running.inbox.handled == 2 and running.consumer.commits[-1:] == [1])
    asyncio.run(running.consumer.listener.on_partitions_revoked({TOPIC}))
    asyncio.run(running.consumer.listener.on_partitions_assigned({TOPIC}))
    until(lambda: runs.count(b"slow") == 2)
    until(lambda: running.inbox.handled == 3)
    assert running.consumer.commits[-1] == 1
    go_on.set()
    until(lambda: running.consumer.commits[-1] == 3)
    assert runs.count(b"before") == 1


def test_a_worker_that_stops_lets_its_handlers_finish(start: Start) -> None:
    go_on = threading.Event()

    def handle(raw: bytes) -> list[str]:
        assert go_on.wait(30)
        return echo(raw)

    running = start(Consumer(b"a"), handle)
    until(lambda: running.inbox.running == 1)
    running.stop.set()
    until(lambda: running.consumer.is_paused)
    assert running.inbox.alive
    go_on.set()
    running.end()
    assert running.consumer.commits[-1:] == [1]


def test_what_was_not_published_is_read_again(start: Start) -> None:
    running = start(Consumer(b"a", b"b"), echo, ready=False)
    running.written.refused = {"b"}
    running.ready.set()
    until(lambda: running.inbox.handled == 1 and running.inbox.running == 0)
    running.end()
    assert running.consumer.commits[-1:] == [1]


def test_a_refusal_by_kafka_ends_the_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> None:
        raise KafkaRefused("Kafka at k:1 refused user me")

    refused = Started(Consumer(), echo, 1)
    monkeypatch.setattr(refused.inbox._kafka, "check", refuse)
    refused.inbox.start()
    assert refused.stop.wait(30)
    refused.inbox.join()
    assert str(refused.inbox.refusal) == "Kafka at k:1 refused user me"


def test_nothing_is_read_before_the_memory_is_complete(start: Start) -> None:
    waiting = start(Consumer(b"a"), echo, ready=False)
    assert waiting.consumer.listener is None
    waiting.ready.set()
    until(lambda: waiting.consumer.commits[-1:] == [1])


def test_an_inbox_may_be_made_after_its_worker(start: Start) -> None:
    consumer = Consumer(b"a")
    consumer.looks_before_it_is_there = 3
    start(consumer, echo)
    until(lambda: consumer.commits[-1:] == [1])


def test_what_is_finished_is_committed_when_partitions_move(start: Start) -> None:
    """A commit that fails then ends no session: who reads them next finds the answers in the store."""
    for failing in (0, 1):
        running = start(Consumer(b"a", b"b"), echo, ready=False)
        running.consumer.failing_commits = 1_000_000
        running.ready.set()
        until(lambda running=running: running.inbox.handled == 2)
        running.consumer.failing_last_commits = failing
        asyncio.run(running.consumer.listener.on_partitions_revoked({TOPIC}))
        assert running.consumer.commits == [2] * (1 - failing)
        assert running.inbox.partitions == 0
        running.end()


def test_a_client_that_does_not_come_back_is_told(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    consumer, gone, come_back = Consumer(b"a"), threading.Event(), threading.Event()
    poll = consumer.poll
    running = start(consumer, echo)
    until(lambda: consumer.commits[-1:] == [1])
    consumer.poll = lambda **how: gone.set() or (come_back.wait(30) and poll(**how))
    assert gone.wait(30)
    monkeypatch.setattr(module, "STUCK_S", 0.01)
    until(lambda: running.inbox.problem is not None)
    assert str(running.inbox.problem).startswith("the inbox of echo has not been polled for")
    monkeypatch.setattr(module, "STUCK_S", 60.0)
    come_back.set()
    until(lambda: running.inbox.problem is None)


@pytest.mark.parametrize(
    ("group", "unread"),
    [
        (ConsumerGroup(stable=True), True),
        (ConsumerGroup(True, (GroupMember("me", frozenset()),)), True),
        (ConsumerGroup(True, (GroupMember("other", frozenset()),)), True),
        (ConsumerGroup(True, (GroupMember("other", frozenset({TopicPartition("another", 0)})),)), True),
        (ConsumerGroup(True, (GroupMember("me", frozenset()), GroupMember("other", frozenset({TOPIC})))), False),
        (ConsumerGroup(False, (GroupMember("me", frozenset()), GroupMember("other", frozenset()))), False),
        (ConsumerGroup(False, (GroupMember("me", frozenset()),)), True),
    ],
)
def test_whether_anybody_reads_an_inbox(group: ConsumerGroup, unread: bool) -> None:
    assert group.reads(TOPIC.topic, but="me") is not unread


def test_a_consumer_without_partitions_that_nobody_else_has_is_made_anew(
    start: Start, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It says so, and is unhealthy until it has some."""
    groups = {"ns.echo": ConsumerGroup(stable=True)}
    monkeypatch.setattr(module, "IDLE_S", 0.01)
    monkeypatch.setattr(module, "Cluster", lambda kafka: SimpleNamespace(groups=lambda names: groups))
    consumer = Consumer(b"a")
    consumer.gets_partitions = False
    running = start(consumer, echo)
    until(lambda: running.inbox.problem is not None)
    assert running.inbox.problem == "nobody reads the inbox of echo; its consumer connects anew"
    until(lambda: running.inbox.problem in caplog.text)
    assert consumer.closed
    consumer.gets_partitions = True
    until(lambda: consumer.commits[-1:] == [1])
    until(lambda: running.inbox.problem is None)


def test_a_consumer_may_wait_beside_others_that_have_the_partitions(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[list[str]] = []
    group = ConsumerGroup(True, (GroupMember("other", frozenset({TOPIC})),))

    def groups(names: list[str]) -> dict[str, ConsumerGroup]:
        looks.append(names)
        return {"ns.echo": group}

    monkeypatch.setattr(module, "IDLE_S", 0.01)
    monkeypatch.setattr(module, "Cluster", lambda kafka: SimpleNamespace(groups=groups))
    consumer = Consumer()
    consumer.gets_partitions = False
    running = start(consumer, echo)
    until(lambda: len(looks) > 2)
    assert running.inbox.problem is None
    assert not consumer.closed


@pytest.mark.parametrize(
    ("before", "commits"),
    [(None, [0, 1]), (OffsetAndMetadata(0, ""), [0, 1]), (OffsetAndMetadata(0, "store"), [1])],
    ids=["nobody's", "an earlier release's", "this store's"],
)
def test_a_partition_is_claimed_for_the_store_before_it_is_read(
    start: Start, before: OffsetAndMetadata | None, commits: list[int]
) -> None:
    consumer = Consumer(b"a")
    consumer.before, consumer.failing_commits = before, 2
    start(consumer, echo)
    until(lambda: consumer.commits == commits)
    assert consumer.stores == {"store"}


def test_a_worker_with_another_store_is_refused_before_it_reads(start: Start) -> None:
    consumer = Consumer(b"a")
    consumer.before = OffsetAndMetadata(0, "of another machine")
    refused = start(consumer, echo)
    assert refused.stop.wait(30)
    refused.inbox.join()
    assert "in another store than this worker's" in str(refused.inbox.refusal)
    assert (consumer.given, consumer.commits) == (0, [])
