"""One suite for `switchyard.kafka.admin.Cluster` and for the dictionary that stands for it in tests of commands."""

from __future__ import annotations

import itertools
import secrets
import time
from collections.abc import Callable

import pytest

from switchyard.kafka.admin import Cluster, Follower, KafkaRecord
from switchyard.kafka.connection import KafkaConnection
from switchyard.local.info import StackInfo
from tests.cli.conftest import FakeCluster, FakeFollower

PATIENCE_S = 30
AnyCluster = Cluster | FakeCluster


@pytest.fixture(params=["fake", pytest.param("real", marks=pytest.mark.e2e)])
def cluster(request: pytest.FixtureRequest) -> AnyCluster:
    if request.param == "fake":
        return FakeCluster.empty()(KafkaConnection("kafka.test:9092"))
    info: StackInfo = request.getfixturevalue("info")
    return Cluster(KafkaConnection(info.kafka))


@pytest.fixture
def topic(cluster: AnyCluster) -> Callable[[], str]:
    """Makes an empty topic of its own."""

    def make() -> str:
        name = f"contract-{secrets.token_hex(4)}.things"
        if isinstance(cluster, FakeCluster):
            cluster.content[name] = []
        else:
            assert cluster.create_topics({name: {}}) == [name]
        return name

    return make


def pairs(records: list[KafkaRecord]) -> list[tuple[bytes, bytes]]:
    return sorted((record.key, record.value) for record in records)


def polled(follower: Follower | FakeFollower, count: int) -> list[KafkaRecord]:
    """The next records, at least so many."""
    records: list[KafkaRecord] = []
    deadline = time.monotonic() + PATIENCE_S
    while len(records) < count:
        assert time.monotonic() < deadline, f"{len(records)} of {count} records came"
        records += follower.poll(0.1)
    return records


def test_topics_are_known_by_name(cluster: AnyCluster, topic: Callable[[], str]) -> None:
    one, other = topic(), topic()
    assert {one, other} <= cluster.topics()
    assert "contract-nowhere.things" not in cluster.topics()
    assert cluster.partitions(one) >= 1
    assert cluster.partitions("contract-nowhere.things") == 0
    assert cluster.bootstrap.count(":") == 1


def test_an_inbox_without_a_reader_is_known(cluster: AnyCluster, topic: Callable[[], str]) -> None:
    name = topic()
    assert cluster.unread({name: "contract-nobody", "contract-nowhere.things": "contract-nobody"}) == [name]


def test_what_is_sent_is_read_as_the_bytes_it_was(cluster: AnyCluster, topic: Callable[[], str]) -> None:
    name = topic()
    assert list(cluster.read(name)) == []
    sent = [(b"k1", b"one"), (None, b"\xff\x00"), (b"k1", b"two"), (b"k2", b"three")]
    cluster.send(name, sent)
    records = list(cluster.read(name))
    assert pairs(records) == sorted((key or b"", value) for key, value in sent)
    assert {record.topic for record in records} == {name}
    assert [record.value for record in records if record.key == b"k1"] == [b"one", b"two"], "one key keeps its order"
    for _, group in itertools.groupby(
        sorted(records, key=lambda it: (it.partition, it.offset)), lambda it: it.partition
    ):
        offsets = [record.offset for record in group]
        assert offsets == list(range(len(offsets)))
    assert pairs(list(cluster.read(name))) == pairs(records), "reading takes nothing away"
    assert cluster.last_written([name, topic()]) == max(record.time for record in records)


def test_a_topic_that_is_not_there_holds_nothing(cluster: AnyCluster) -> None:
    assert list(cluster.read("contract-nowhere.things")) == []
    assert cluster.last_written(["contract-nowhere.things"]) == 0
    follower = cluster.follow(["contract-nowhere.things"])
    assert follower.poll(0.1) == []
    follower.close()


def test_when_something_was_written_last(cluster: AnyCluster, topic: Callable[[], str]) -> None:
    one, other, empty = topic(), topic(), topic()
    assert cluster.last_written([empty, "contract-nowhere.things"]) == 0
    cluster.send(one, [(b"k1", b"1"), (b"k2", b"2"), (b"k1", b"3")])
    cluster.send(other, [(b"k", b"4")])
    newest = {name: max(record.time for record in cluster.read(name)) for name in (one, other)}
    assert cluster.last_written([one, empty]) == newest[one]
    assert cluster.last_written([one, other, empty]) == max(newest.values())


def test_a_follower_goes_on_where_it_stopped(cluster: AnyCluster, topic: Callable[[], str]) -> None:
    one, other = topic(), topic()
    cluster.send(one, [(b"k", b"1"), (b"k", b"2")])
    follower = cluster.follow([one, other])
    assert [record.value for record in polled(follower, 2)] == [b"1", b"2"]
    cluster.send(other, [(b"k", b"3")])
    (last,) = polled(follower, 1)
    assert (last.topic, last.value) == (other, b"3")
    assert follower.poll(0.1) == []
    follower.close()


def test_records_before_an_offset_are_deleted_and_a_tombstone_has_no_value(
    cluster: AnyCluster, topic: Callable[[], str]
) -> None:
    name = topic()
    cluster.send(name, [(b"k", b"1"), (b"k", b"2"), (b"k", None)])
    _, second, last = cluster.read(name)
    assert (last.key, last.value) == (b"k", b"")
    cluster.delete_before(name, second.partition, second.offset)
    assert list(cluster.read(name)) == [second, last]
    assert cluster.committed(name) == {}
    assert set(cluster.topic_config([name])) == {name}
