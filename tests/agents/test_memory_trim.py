"""Trimming: by count, age and tokens, the oldest first; a summary in their place."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from switchyard.core.agents_file import MemoryLimits
from switchyard.core.app_code import AppCode
from switchyard.core.settings import Settings
from switchyard.kafka.connection import KafkaConnection
from switchyard.worker.memory.backend import DAY, Recollection, StoredMemory
from switchyard.worker.memory.service import MemoryService
from switchyard.worker.memory.store import SqliteMemory
from switchyard.worker.memory.trim import Trimmer, to_trim
from tests.agents.support import SDR
from tests.agents.test_memory import Clock, Topic, clock, entry, files, memories, texts, topic

__all__ = ["clock", "files", "memories", "topic"]

Make = Callable[..., Trimmer]


@pytest.fixture
def trimmer(memories: SqliteMemory) -> Make:
    def make(summarise: Any = None, mine: Any = lambda agent: True, **limits: Any) -> Trimmer:
        return Trimmer(memories, MemoryLimits(**limits), summarise, mine, threading.Event())

    return make


def at(at: int, tokens: int = 1, expires: int | None = None) -> StoredMemory:
    return StoredMemory("a", "s", f"{at:032x}", "x" * (4 * tokens), at, expires)


@pytest.mark.parametrize(
    ("entries", "limits", "old", "over"),
    [
        ([at(3), at(2), at(1)], {"entries": 3}, [], []),
        ([at(3), at(2), at(1)], {"entries": 2}, [], [1]),
        ([at(3), at(2), at(1)], {"entries": 1}, [], [2, 1]),
        ([at(3, 5), at(2, 5), at(1, 5)], {"tokens": 10}, [], [1]),
        ([at(3, 5), at(2, 6), at(1, 1)], {"tokens": 10}, [], [2, 1]),
        ([at(3, 99), at(2)], {"tokens": 10}, [], [2]),
        ([at(3, 99)], {"tokens": 10}, [], []),
        ([at(3), at(2), at(1)], {"days": (DAY - 2) / DAY}, [2, 1], []),
        ([at(3), at(2, expires=DAY), at(1)], {"entries": 1}, [2], [1]),
        ([at(3), at(2, expires=DAY + 1), at(1)], {"entries": 2}, [], [1]),
    ],
)
def test_what_is_too_old_and_what_is_too_much(
    entries: list[StoredMemory], limits: dict[str, Any], old: list[int], over: list[int]
) -> None:
    found = to_trim(entries, MemoryLimits(**limits), at=DAY)
    assert [[item.at for item in group] for group in found] == [old, over]


def test_each_agent_and_subject_has_limits_of_its_own(
    memories: SqliteMemory, trimmer: Make, topic: Topic, clock: Clock
) -> None:
    memories.keep([entry(n, subject=subject, agent=agent) for n in range(4) for subject in "st" for agent in "ab"])
    memories.keep([entry(9, subject="u")])
    trimmer(entries=2, mine=lambda agent: agent == "a").round()
    assert texts(memories, "a", "s") == texts(memories, "a", "t") == ["text 3", "text 2"]
    assert len(texts(memories, "b", "s")) == 4, "another worker trims that agent"
    assert texts(memories, "a", "u") == ["text 9"]
    assert [key for key, value in topic.records if value is None] == [
        f"a/{subject}/{number:032x}".encode() for subject in "st" for number in (1, 0)
    ]


def test_age_and_ttl(memories: SqliteMemory, trimmer: Make, clock: Clock) -> None:
    memories.keep([entry(1), entry(2, expires=clock.at + 2 * DAY)])
    clock.at += DAY // 2
    memories.keep([entry(3)])
    trimming = trimmer(days=1.0)
    trimming.round()
    assert texts(memories, "a", "s") == ["text 3", "text 2", "text 1"]
    clock.at += DAY // 2
    trimming.round()
    assert texts(memories, "a", "s") == ["text 3"]


def test_a_summary_takes_the_place_of_the_older_half(memories: SqliteMemory, trimmer: Make, clock: Clock) -> None:
    asked: list[tuple[str, str, list[str]]] = []

    def summarise(agent: str, subject: str, trimmed: list[Recollection]) -> str:
        asked.append((agent, subject, [item.text for item in trimmed]))
        return f"summary {len(asked)}"

    trimming = trimmer(summarise, entries=4)
    memories.keep([entry(number) for number in range(4)])
    trimming.round()
    assert asked == []
    memories.keep([entry(4)])
    trimming.round()
    trimming.round()
    assert asked == [("a", "s", ["text 0", "text 1", "text 2"])]
    assert texts(memories, "a", "s") == ["text 4", "text 3", "summary 1"]
    memories.keep([entry(5), entry(6)])
    trimming.round()
    assert asked[1:] == [("a", "s", ["summary 1", "text 3", "text 4"])]
    assert texts(memories, "a", "s") == ["text 6", "text 5", "summary 2"]


def test_no_summary_a_long_one_and_one_that_fails(memories: SqliteMemory, trimmer: Make, clock: Clock) -> None:
    def failing(*asked: Any) -> str:
        raise RuntimeError

    for number in range(5):
        memories.keep([entry(number)])
    trimmer(failing, entries=4).round()
    assert len(texts(memories, "a", "s")) == 5, "what is to be summarised stays"
    trimmer(lambda *asked: None, entries=4).round()
    assert texts(memories, "a", "s") == ["text 4", "text 3"]
    trimmer(lambda *asked: "x" * 100, entries=1, tokens=40).round()
    assert texts(memories, "a", "s") == ["text 4"]


def test_an_agent_that_is_gone_is_forgotten_in_time(settings: Settings, clock: Clock) -> None:
    publisher: Any = type("Nobody", (), {"write": lambda self, topic, records: None})()
    kafka, stop = KafkaConnection("127.0.0.1:1"), threading.Event()
    (settings.home / "state").mkdir(parents=True)
    service = MemoryService(SDR, AppCode(SDR.folder), "ns", settings, kafka, publisher, lambda agent: False, stop)
    names = ("lead-scoring", "gone")
    service.memories.keep([entry(number, agent=name) for number, name in enumerate(names)])
    clock.at += 91 * DAY
    (trimming,) = [thread for thread in service._threads if isinstance(thread, Trimmer)]
    trimming.round()
    memories: Any = service.memories
    assert [len(memories.all(name, "s")) for name in names] == [1, 0]
    stop.set()
    service.start()
    service.join()
