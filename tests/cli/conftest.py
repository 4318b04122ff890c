"""The command line run in this process; Kafka is a dictionary of topics."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from switchyard.cli.main import app
from switchyard.kafka.admin import KafkaRecord
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

    def __init__(self, access: KafkaConnection) -> None:
        self.bootstrap = access.address
        self.user = access.username

    def topics(self) -> set[str]:
        return set(self.content)

    def read(self, topic: str) -> Iterator[KafkaRecord]:
        yield from self.content.get(topic, [])

    def partitions(self, topic: str) -> int:
        return 1 if topic in self.content else 0

    def last_written(self, topics: list[str]) -> int:
        return max((record.time for topic in topics for record in self.read(topic)), default=0)

    def unread(self, inboxes: Mapping[str, str]) -> list[str]:
        return [topic for topic in inboxes if topic in self.content]

    def follow(self, topics: list[str]) -> FakeFollower:
        return FakeFollower(self, topics)

    def send(self, topic: str, messages: list[tuple[bytes | None, bytes]]) -> None:
        for key, value in messages:
            self.add(topic, key or b"", value)

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
    fresh = type("Fresh", (FakeCluster,), {"content": {}})
    monkeypatch.setattr("switchyard.kafka.admin.Cluster", fresh)
    monkeypatch.setenv("SWITCHYARD_KAFKA", "kafka.test:9092")
    return fresh
