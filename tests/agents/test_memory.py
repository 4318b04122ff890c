"""What agents remember: with their answers, apart from each other, and again after the file is gone."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from switchyard.core.errors import SettingsError
from switchyard.core.settings import Settings
from switchyard.environment import read_settings
from switchyard.worker.database import open_database
from switchyard.worker.effects import EffectStore
from switchyard.worker.memory import backend
from switchyard.worker.memory.backend import AgentMemory, Recollection, StoredMemory
from switchyard.worker.memory.mem0 import open_mem0
from switchyard.worker.memory.store import WEEK, Record, SqliteMemory
from switchyard.worker.processor import Processor
from switchyard.worker.publisher import WorkerStopping
from switchyard.worker.task import Task
from tests.agents.support import SCORED, SDR, inbox_event
from tests.agents.test_processor import PROFILED, SCORED_LEAD

MESSAGE = inbox_event("lead-scoring", "lead.profiled", PROFILED)
RESEARCHED = inbox_event("lead-scoring", "lead.profiled", PROFILED, id="e2")


class Topic:
    """A topic of one partition; `away` is what writing to it raises."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.away: Exception | None = None

    def write(self, records: Sequence[Record]) -> None:
        if self.away is not None:
            raise self.away
        self.records += records

    def compacted(self) -> list[Record]:
        return list(dict(self.records).items())


class Clock:
    """The time of `switchyard.worker.memory.backend`, microseconds since 1970; each look takes one."""

    def __init__(self) -> None:
        self.at = 1_700_000_000_000_000

    def __call__(self) -> int:
        self.at += 1
        return self.at


@pytest.fixture
def topic() -> Topic:
    return Topic()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    for module in ("backend", "store", "trim"):
        monkeypatch.setattr(f"switchyard.worker.memory.{module}.now", clock)
    return clock


@pytest.fixture
def files(tmp_path: Path) -> Iterator[Callable[[str], Engine]]:
    """Opens a database file by its name."""
    opened: list[Engine] = []

    def open_file(name: str) -> Engine:
        opened.append(open_database(f"sqlite:///{tmp_path / name}"))
        return opened[-1]

    yield open_file
    for engine in opened:
        engine.dispose()


@pytest.fixture
def memories(files: Any, topic: Topic) -> SqliteMemory:
    return SqliteMemory(files("memory.sqlite"), topic.write)


@pytest.fixture
def handle(memories: SqliteMemory, settings: Settings, database: Engine) -> Callable[..., list[Any]]:
    """Lets one agent's handler have one message; answers the events."""

    def run(handler: Any, event: Any = MESSAGE, agent: str = "lead-scoring") -> list[Any]:
        effects = EffectStore(database, "test")
        registry = SDR.registry
        found = registry.agents[agent]
        return Processor(found, registry, handler, effects, memories, "test", settings, database).handle(
            event.json().encode()
        )

    return run


def remembering(*texts: str, subject: str = "ada/ACME", ttl: float | None = None) -> Any:
    def handler(task: Task) -> Any:
        for text in texts:
            task.memory.remember(subject, text, ttl)
        return SCORED_LEAD

    return handler


def texts(memories: SqliteMemory, agent: str = "lead-scoring", subject: str = "ada/ACME", limit: int = 10) -> list[str]:
    return [entry.text for entry in memories.recall(agent, subject, limit)]


def entry(number: int, text: str = "", agent: str = "a", subject: str = "s", **more: Any) -> StoredMemory:
    return StoredMemory(agent, subject, f"{number:032x}", text or f"text {number}", at=backend.now(), **more)


def test_the_newest_come_first_and_no_more_than_asked(handle: Any) -> None:
    handle(remembering("one", "two"))
    seen: list[list[Recollection]] = []

    def recalling(task: Task) -> Any:
        task.memory.remember("ada/ACME", "three")
        seen.append(task.memory.recall("ada/ACME", 2))
        seen.append(task.memory.recall("ada/ACME", 1))
        seen.append(task.memory.recall("nobody", 5))
        return SCORED_LEAD

    handle(recalling, RESEARCHED)
    assert [[item.text for item in found] for found in seen] == [["two", "one"], ["two"], []]
    assert seen[0][0].at > seen[0][1].at


def test_two_agents_with_the_same_subject_see_different_memories(memories: SqliteMemory) -> None:
    scoring, profile = AgentMemory(memories, "lead-scoring", "k1"), AgentMemory(memories, "lead-profile", "k1")
    scoring.remember("ada", "from scoring")
    profile.remember("ada", "from profile")
    memories.keep([*scoring.pending, *profile.pending])
    assert [item.text for item in scoring.recall("ada", 9)] == ["from scoring"]
    assert [item.text for item in profile.recall("ada", 9)] == ["from profile"]


def test_agents_and_subjects_with_slashes_stay_apart(memories: SqliteMemory, files: Any, topic: Topic) -> None:
    memories.keep([entry(1, agent="a", subject="b/c/d"), entry(2, agent="a", subject="b/c"), entry(3, agent="a-b")])
    moved = SqliteMemory(files("moved.sqlite"), topic.write)
    assert moved.replay(topic.records, {}) == 0
    for store in (memories, moved):
        assert texts(store, "a", "b/c/d") == ["text 1"]
        assert texts(store, "a", "b/c") == ["text 2"]
        assert texts(store, "a-b", "s") == ["text 3"]


def test_a_repeated_delivery_remembers_nothing_twice(handle: Any, memories: SqliteMemory, topic: Topic) -> None:
    first = handle(remembering("one", "one"))
    again = handle(remembering("one", "one"))
    handle(remembering("other"), inbox_event("lead-scoring", "lead.profiled", PROFILED, attempt=1))
    assert [event.json() for event in again] == [event.json() for event in first]
    assert texts(memories) == ["one", "one"]
    assert len(topic.records) == 2


def test_a_failed_handler_remembers_nothing(handle: Any, memories: SqliteMemory, topic: Topic) -> None:
    def failing(task: Task) -> Any:
        task.memory.remember("ada/ACME", "half")
        raise RuntimeError

    def wrong(task: Task) -> Any:
        task.memory.remember("ada/ACME", "half")
        return {**SCORED, "more": 1}

    assert handle(failing)[0].type == "agent.failed"
    assert handle(wrong, RESEARCHED)[0].type == "agent.failed"
    assert (texts(memories), topic.records) == ([], [])
    handle(remembering("whole"), inbox_event("lead-scoring", "lead.profiled", PROFILED, attempt=1))
    assert texts(memories) == ["whole"]


def test_nothing_is_answered_before_it_is_in_the_topic(handle: Any, memories: SqliteMemory, topic: Topic) -> None:
    topic.away = WorkerStopping()
    with pytest.raises(WorkerStopping):
        handle(remembering("one"))
    assert texts(memories) == []
    topic.away = None
    assert handle(remembering("never run again"))[0].type == "lead.scored"
    assert texts(memories) == ["one"]
    assert len(topic.records) == 1


def test_a_file_that_is_gone_is_rebuilt(memories: SqliteMemory, files: Any, topic: Topic, clock: Clock) -> None:
    memories.keep([entry(number) for number in range(5)])
    memories.keep([entry(9, expires=clock.at + 3_600_000_000)])
    memories.forget(memories.recall("a", "s", 9)[-2:])
    moved = SqliteMemory(files("moved.sqlite"), topic.write)
    assert moved.replay(topic.compacted(), {0: len(topic.records)}) == 0
    assert moved.recall("a", "s", 9) == memories.recall("a", "s", 9)
    assert len(moved.recall("a", "s", 9)) == 4
    assert moved.positions() == {0: 8}


def test_a_file_that_is_behind_is_brought_up(memories: SqliteMemory, files: Any, topic: Topic) -> None:
    behind = SqliteMemory(files("behind.sqlite"), topic.write)
    memories.keep([entry(1), entry(2)])
    behind.replay(topic.records, {0: 2})
    memories.keep([entry(3)])
    memories.forget(memories.all("a", "s")[-1:])
    behind.replay(topic.records[2:], {0: 4})
    assert texts(behind, "a", "s") == texts(memories, "a", "s") == ["text 3", "text 2"]
    assert behind.positions() == {0: 4}


def test_what_was_trimmed_does_not_come_back(memories: SqliteMemory, topic: Topic, clock: Clock) -> None:
    kept = entry(1)
    memories.keep([kept])
    memories.forget([kept])
    memories.keep([kept])
    memories.replay(topic.records[:1], {})
    assert memories.all("a", "s") == []
    assert [value is None for _, value in topic.records] == [False, True]
    clock.at += WEEK + 1_000
    memories.purge_tombstones()
    memories.replay(topic.compacted(), {})
    assert memories.all("a", "s") == []


def test_records_that_are_no_memory_are_left_out(memories: SqliteMemory) -> None:
    good = (b"a/s/1", b'{"text":"t","at":1,"expires":null}')
    broken: list[Record] = [
        (b"", None),
        (b"a", b"{}"),
        (b"a/s/", b"{}"),
        (b"\xff/s/1", b"{}"),
        (b"a/s/2", b"{"),
        (b"a/s/2", b"[]"),
        (b"a/s/2", b'{"text":1,"at":1,"expires":null}'),
        (b"a/s/2", b'{"text":"t","at":true,"expires":null}'),
        (b"a/s/2", b'{"text":"t","at":1}'),
        (b"a/s/2", b'{"text":"t","at":18446744073709551615,"expires":null}'),
        (b"a/s/2", b'{"text":"t","at":1,"expires":9223372036854775808}'),
        (b"a/s/2", b"[" * 100 + b"]" * 100),
    ]
    assert memories.replay([*broken, good], {}) == len(broken)
    assert texts(memories, "a", "s") == ["t"]


def test_what_has_expired_is_not_recalled(handle: Any, memories: SqliteMemory, clock: Clock) -> None:
    handle(remembering("brief", ttl=1.5))
    handle(remembering("lasting"), RESEARCHED)
    assert texts(memories) == ["lasting", "brief"]
    clock.at += 1_500_000
    assert texts(memories) == ["lasting"]


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda it: it.remember("s", ""), "a text of 1 to 65536 bytes"),
        (lambda it: it.remember("s", "é" * 40_000), "shorten it"),
        (lambda it: it.remember("s", None), "a text of 1"),
        (lambda it: it.remember("", "t"), "subject is a text"),
        (lambda it: it.remember("s", "\ud800"), "surrogates"),
        (lambda it: it.remember("\ud800", "t"), "surrogates"),
        (lambda it: it.remember("s" * 257, "t"), "1 to 256"),
        (lambda it: it.remember("s", "t", ttl=0), "ttl is a number of seconds above 0"),
        (lambda it: it.remember("s", "t", ttl=float("nan")), "not nan"),
        (lambda it: it.remember("s", "t", ttl=float("inf")), "not inf"),
        (lambda it: it.recall("s", 0), "at least one"),
        (lambda it: it.recall(7, 1), "not 7"),
    ],
)
def test_wrong_calls_are_told(memories: SqliteMemory, call: Any, said: str) -> None:
    task_memory = AgentMemory(memories, "a", "k")
    with pytest.raises(ValueError, match=said):
        call(task_memory)
    assert task_memory.pending == ()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"memory": "mem0"}, "set SWITCHYARD_MEM0_CONFIG"),
        ({"memory": "mem0", "mem0_config": "mem0.yaml"}, "write the whole path"),
        ({"memory": "a backend"}, "SWITCHYARD_MEMORY: String should match"),
    ],
)
def test_mem0_needs_its_settings(given: dict[str, str], said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        read_settings(**given)


def test_mem0_needs_its_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "mem0.yaml"
    file.write_text("{}")
    for name in ("MEM0_DIR", "MEM0_TELEMETRY"):
        monkeypatch.setenv(name, "")
    monkeypatch.setitem(sys.modules, "mem0", None)
    with pytest.raises(SettingsError, match=r"pip install 'switchyard\[mem0\]'"):
        open_mem0(file, tmp_path)
