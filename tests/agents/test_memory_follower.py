"""The file beside a worker follows the topic `<ns>.memory`; with a consumer of this test."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from kafka import TopicPartition
from kafka.errors import KafkaError

from switchyard.worker.database import open_database
from switchyard.worker.memory import follower as module
from switchyard.worker.memory.backend import StoredMemory
from switchyard.worker.memory.follower import MemoryFollower
from switchyard.worker.memory.store import SqliteMemory

TOPIC = "ns.memory"


@dataclass
class Topic:
    """The topic's records, by partition; None where there is no topic yet."""

    partitions: dict[int, list[tuple[bytes, bytes | None]]] | None = None
    reads: list[tuple[int, int]] = field(default_factory=list)
    failures: int = 0


class Consumer:
    """Reads a Topic as Kafka's consumer does."""

    def __init__(self, topic: Topic) -> None:
        self._topic = topic
        self._positions: dict[TopicPartition, int] = {}

    def partitions_for_topic(self, name: str) -> set[int]:
        return set(self._topic.partitions or ())

    def assign(self, partitions: list[TopicPartition]) -> None:
        self._positions = dict.fromkeys(partitions, 0)

    def end_offsets(self, partitions: list[TopicPartition]) -> dict[TopicPartition, int]:
        return {item: len(self._records(item)) for item in partitions}

    def seek(self, partition: TopicPartition, offset: int) -> None:
        self._topic.reads.append((partition.partition, offset))
        self._positions[partition] = offset

    def position(self, partition: TopicPartition) -> int:
        return self._positions[partition]

    def poll(self, timeout_ms: int) -> dict[TopicPartition, list[Any]]:
        if self._topic.failures:
            self._topic.failures -= 1
            raise KafkaError("the broker went")
        batches: dict[TopicPartition, list[Any]] = {}
        for partition, position in self._positions.items():
            new = [SimpleNamespace(key=key, value=value) for key, value in self._records(partition)[position:]]
            if new:
                batches[partition] = new
                self._positions[partition] = position + len(new)
        if not batches:
            time.sleep(0.001)
        return batches

    def close(self, **how: Any) -> None:
        self._positions = {}

    def _records(self, partition: TopicPartition) -> list[tuple[bytes, bytes | None]]:
        assert self._topic.partitions is not None
        return self._topic.partitions[partition.partition]


def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not true():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.001)


def record(id: str, subject: str = "s") -> tuple[bytes, bytes]:
    return f"agent/{subject}/{id}".encode(), b'{"text":"text of %s","at":1,"expires":null}' % id.encode()


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[SqliteMemory]:
    engine = open_database(f"sqlite:///{tmp_path / 'memory.sqlite'}")
    yield SqliteMemory(engine, lambda records: None)
    engine.dispose()


@pytest.fixture
def follow(memory: SqliteMemory, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Topic], MemoryFollower]]:
    monkeypatch.setattr(module, "PAUSE_S", 0.001)
    stop = threading.Event()
    started: list[MemoryFollower] = []
    kafka: Any = SimpleNamespace(check=lambda: None, client=dict)

    def start(topic: Topic) -> MemoryFollower:
        monkeypatch.setattr(module, "KafkaConsumer", lambda **how: Consumer(topic))
        follower = MemoryFollower(memory, TOPIC, kafka, stop)
        started.append(follower)
        follower.start()
        return follower

    yield start
    stop.set()
    for follower in started:
        follower.join()


Follow = Callable[[Topic], MemoryFollower]


def texts(memory: SqliteMemory) -> list[str]:
    return sorted(entry.text for entry in memory.all("agent", "s"))


def test_a_file_is_rebuilt_and_followed(memory: SqliteMemory, follow: Follow) -> None:
    topic = Topic({0: [record("a")], 1: [record("b")]})
    follower = follow(topic)
    assert follower.restored.wait(30)
    assert texts(memory) == ["text of a", "text of b"]
    topic.partitions[0].append(record("c"))  # type: ignore[index]
    until(lambda: "text of c" in texts(memory))
    assert memory.positions() == {0: 2, 1: 1}


def test_what_was_trimmed_elsewhere_goes_here_too(memory: SqliteMemory, follow: Follow) -> None:
    topic = Topic({0: [record("a"), (record("a")[0], None), record("b")]})
    assert follow(topic).restored.wait(30)
    assert texts(memory) == ["text of b"]


def test_reading_goes_on_from_where_the_file_stands(memory: SqliteMemory, follow: Follow) -> None:
    memory.replay([record("a")], {0: 1})
    topic = Topic({0: [record("never read again"), record("b")]})
    assert follow(topic).restored.wait(30)
    assert topic.reads == [(0, 1)]
    assert texts(memory) == ["text of a", "text of b"]


def test_a_topic_that_was_made_anew_is_read_from_its_start(memory: SqliteMemory, follow: Follow) -> None:
    memory.replay([record("a")], {0: 9})
    topic = Topic({0: [record("b")]})
    assert follow(topic).restored.wait(30)
    assert topic.reads == [(0, 0)]
    assert texts(memory) == ["text of a", "text of b"]


def test_without_a_topic_nothing_has_been_remembered(memory: SqliteMemory, follow: Follow) -> None:
    topic = Topic(None)
    assert follow(topic).restored.wait(30)
    topic.partitions = {0: [record("a")]}
    until(lambda: texts(memory) == ["text of a"])


def test_further_partitions_are_read_too(memory: SqliteMemory, follow: Follow) -> None:
    topic = Topic({0: [record("a")]})
    assert follow(topic).restored.wait(30)
    topic.partitions = {0: [record("a")], 1: [record("b")]}
    until(lambda: texts(memory) == ["text of a", "text of b"])


def test_a_broker_that_goes_is_connected_to_again(memory: SqliteMemory, follow: Follow) -> None:
    follower = follow(Topic({0: [record("a")]}, failures=2))
    assert follower.restored.wait(30)
    assert texts(memory) == ["text of a"]


def test_what_is_no_memory_is_left_out(memory: SqliteMemory, follow: Follow, caplog: pytest.LogCaptureFixture) -> None:
    broken = [(b"agent/s/a", b"no JSON"), (b"no key", b"{}"), (b"agent/s/b", b'{"text":1,"at":1,"expires":null}')]
    assert follow(Topic({0: [*broken, record("c")]})).restored.wait(30)
    assert texts(memory) == ["text of c"]
    assert "3 records of ns.memory are no memory and are left out" in caplog.text


def test_a_file_that_is_complete_keeps_what_was_written_here(memory: SqliteMemory, follow: Follow) -> None:
    memory.keep([StoredMemory("agent", "s", "a", "text of a", 1)])
    assert follow(Topic({0: [record("a")]})).restored.wait(30)
    assert texts(memory) == ["text of a"]
