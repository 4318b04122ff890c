"""Workers that join while their inboxes are being made, and while partitions move, on a real broker under load."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any, cast

import pytest

from switchyard.core.event import Event
from switchyard.core.topics import Topics
from switchyard.kafka.admin import Cluster
from switchyard.kafka.connection import KafkaConnection
from switchyard.local.info import StackInfo
from switchyard.worker.inbox import Inbox
from switchyard.worker.publisher import Publisher
from tests.agents.support import inbox_event
from tests.e2e.conftest import until

pytestmark = pytest.mark.e2e

ROUNDS, AGENTS = 10, 5
BURN = "while True: pass"


@pytest.fixture
def load() -> Iterator[None]:
    """Every core is busy, with what gives way to the broker."""
    busy = [subprocess.Popen(["nice", sys.executable, "-c", BURN]) for _ in range(os.cpu_count() or 1)]
    yield
    for process in busy:
        process.kill()
        process.wait()


class Workers:
    """Inboxes whose handlers note what they were given; `gate` holds them up."""

    def __init__(self, kafka: str, namespace: str) -> None:
        self.topics = Topics(namespace)
        self.stop, self.ready, self.gate = threading.Event(), threading.Event(), threading.Event()
        self.gate.set()
        self.ready.set()
        self.handled: list[tuple[str, str]] = []
        self.inboxes: list[Inbox] = []
        self._kafka = KafkaConnection(kafka)
        self._publisher = Publisher(self._kafka, self.stop)

    def join(self, agent: str, store: str = "store") -> Inbox:
        def handle(raw: bytes, since: float) -> list[Event]:
            self.gate.wait(30)
            self.handled.append((agent, Event.parse(raw).id))
            return []

        names = SimpleNamespace(agent=SimpleNamespace(name=agent), namespace=self.topics.namespace)
        processor = cast(
            Any, SimpleNamespace(**vars(names), handle=handle, hanging=0, effects=SimpleNamespace(id=store))
        )
        inbox = Inbox(processor, self._kafka, self._publisher, self.stop, 4, self.ready)
        self.inboxes.append(inbox)
        inbox.start()
        return inbox

    def close(self) -> None:
        self.gate.set()
        self.stop.set()
        for inbox in self.inboxes:
            inbox.join()
        self._publisher.close()


def send(cluster: Cluster, topic: str, agent: str, *ids: str) -> None:
    messages = [inbox_event(agent, "asked", {}, id=id).json().encode() for id in ids]
    cluster.send(topic, [(id.encode(), message) for id, message in zip(ids, messages, strict=True)])


def test_workers_that_join_while_their_topics_are_made_all_read_them(info: StackInfo, load: None) -> None:
    """Fifty times."""
    agents = [f"agent-{number}" for number in range(AGENTS)]
    cluster = Cluster(KafkaConnection(info.kafka))
    for number in range(ROUNDS):
        workers = Workers(info.kafka, f"joining-{number}")
        inboxes = workers.topics.inboxes(agents)
        try:
            with ThreadPoolExecutor(AGENTS + 1) as at_once:
                made = at_once.submit(cluster.create_topics, {topic: {} for topic in inboxes})
                list(at_once.map(workers.join, agents))
                made.result()
            for topic, agent in zip(inboxes, agents, strict=True):
                send(cluster, topic, agent, "e1")
            until(lambda workers=workers: len(workers.handled) == AGENTS, 60)
            assert cluster.unread(inboxes) == []
        finally:
            workers.close()
        until(lambda inboxes=inboxes: cluster.unread(inboxes) == list(inboxes), 60)


def test_partitions_move_without_a_new_connection(info: StackInfo, caplog: pytest.LogCaptureFixture) -> None:
    """Offsets are committed on the way: no message is given to a handler again."""
    caplog.set_level(logging.WARNING)
    cluster = Cluster(KafkaConnection(info.kafka))
    workers = Workers(info.kafka, "rebalanced")
    topic = workers.topics.inbox("echo")
    cluster.create_topics({topic: {}})
    try:
        first = workers.join("echo")
        until(lambda: first.partitions == 4, 60)
        ids = [f"e{number}" for number in range(40)]
        send(cluster, topic, "echo", *ids)
        until(lambda: len(workers.handled) == 40, 60)
        second = workers.join("echo")
        until(lambda: (first.partitions, second.partitions) == (2, 2), 60)
        send(cluster, topic, "echo", "last")
        until(lambda: ("echo", "last") in workers.handled, 60)
    finally:
        workers.close()
    assert sorted(workers.handled) == sorted([("echo", id) for id in [*ids, "last"]])
    assert not [record for record in caplog.records if record.name == "switchyard.worker"]


def test_a_second_store_is_refused(info: StackInfo) -> None:
    """Two machines with a SQLite file each: whichever comes later ends, whether the first one runs or not."""
    cluster = Cluster(KafkaConnection(info.kafka))
    workers = Workers(info.kafka, "stores")
    topic = workers.topics.inbox("echo")
    cluster.create_topics({topic: {}})
    try:
        first = workers.join("echo")
        send(cluster, topic, "echo", "e1")
        until(lambda: len(workers.handled) == 1 and first.partitions == 4, 60)
    finally:
        workers.close()
    others = Workers(info.kafka, "stores")
    try:
        second = others.join("echo", "of another machine")
        assert others.stop.wait(60)
        second.join()
        assert "in another store than this worker's" in str(second.refusal)
    finally:
        others.close()
    again = Workers(info.kafka, "stores")
    try:
        again.join("echo")
        send(cluster, topic, "echo", "e2")
        until(lambda: again.handled == [("echo", "e2")], 60)
    finally:
        again.close()
    assert others.handled == []
