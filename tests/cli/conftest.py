"""The command line run in this process; Kafka is a dictionary of topics."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from kafka.structs import OffsetAndMetadata
from typer.testing import CliRunner, Result

from switchyard.cli.main import app
from switchyard.core.app import App
from switchyard.kafka.admin import KafkaRecord, topic_settings
from switchyard.kafka.connection import KafkaConnection

Run = Callable[..., Result]

VARIABLES = (
    *("SWITCHYARD_KAFKA", "SWITCHYARD_FLINK", "SWITCHYARD_MODEL"),
    *("OPENAI_BASE_URL", "OPENAI_API_KEY"),
)


NO_TRACE = "Traceback"
"""What no command may print."""


class FakeCluster:
    """What the commands use of `switchyard.kafka.admin.Cluster`, as tests/e2e/test_cluster_contract.py checks."""

    content: dict[str, list[KafkaRecord]]
    begins: dict[str, int]
    """The first offset that is left of a topic, where records were deleted."""
    offsets: dict[str, dict[str, dict[int, OffsetAndMetadata]]]
    """What groups have committed, by topic."""

    def __init__(self, access: KafkaConnection) -> None:
        self.bootstrap = access.address
        self.user = access.username

    def topics(self) -> set[str]:
        return set(self.content)

    def read(self, topic: str) -> Iterator[KafkaRecord]:
        yield from self.content.get(topic, [])[self.begins.get(topic, 0) :]

    def partitions(self, topic: str) -> int:
        return 1 if topic in self.content else 0

    def last_written(self, topics: list[str]) -> int:
        return max((record.time for topic in topics for record in self.read(topic)), default=0)

    def unread(self, inboxes: Mapping[str, str]) -> list[str]:
        return [topic for topic in inboxes if topic in self.content]

    def follow(self, topics: list[str]) -> FakeFollower:
        return FakeFollower(self, topics)

    def send(self, topic: str, messages: Sequence[tuple[bytes | None, bytes | None]]) -> None:
        for key, value in messages:
            self.add(topic, key or b"", value or b"")

    def topic_config(self, names: list[str]) -> dict[str, dict[str, str]]:
        return {name: dict(topic_settings(App.load("sdr"), "sdr", 1 << 20).get(name, {})) for name in names}

    def committed(self, topic: str) -> dict[str, dict[int, OffsetAndMetadata]]:
        return self.offsets.get(topic, {})

    def delete_before(self, topic: str, partition: int, offset: int) -> None:
        self.begins[topic] = max(offset, self.begins.get(topic, 0))

    @classmethod
    def empty(cls) -> type[FakeCluster]:
        """A Kafka of its own."""
        return type("Fresh", (cls,), {"content": {}, "begins": {}, "offsets": {}})

    @classmethod
    def add(cls, topic: str, key: bytes, value: bytes, time: int = 0) -> None:
        kept = cls.content.setdefault(topic, [])
        kept.append(KafkaRecord(topic, 0, len(kept), time, key, value))


class FakeFollower:
    """What the commands use of `switchyard.kafka.admin.Follower`."""

    def __init__(self, cluster: FakeCluster, topics: list[str]) -> None:
        self._cluster = cluster
        self._positions = {topic: 0 for topic in topics if topic in cluster.content}

    def poll(self, timeout_s: float) -> list[KafkaRecord]:
        records = []
        for topic, position in self._positions.items():
            new = self._cluster.content[topic][position:]
            self._positions[topic] += len(new)
            records += new
        return records

    def close(self) -> None:
        pass


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for variable in VARIABLES:
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("SWITCHYARD_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("SWITCHYARD_APP", "sdr")


@pytest.fixture
def run() -> Run:
    """`run("lint", "sdr", input=…)`: a command as a person types it, its result with stdout and stderr."""
    runner = CliRunner()

    def run(*arguments: str, **given: Any) -> Result:
        result = runner.invoke(app, list(arguments), **given)
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        assert NO_TRACE not in result.output
        return result

    return run


@pytest.fixture
def kafka(monkeypatch: pytest.MonkeyPatch) -> type[FakeCluster]:
    """An empty Kafka, the one that the commands find."""
    fresh = FakeCluster.empty()
    monkeypatch.setattr("switchyard.kafka.admin.Cluster", fresh)
    monkeypatch.setenv("SWITCHYARD_KAFKA", "kafka.test:9092")
    return fresh
