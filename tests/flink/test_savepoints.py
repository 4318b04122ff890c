"""What a savepoint says about the job that wrote it, as Flink's own classes read it."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pyflink.java_gateway import get_gateway
from pyflink.util.java_utils import to_jarray

from switchyard.core.app import App
from switchyard.core.errors import SwitchyardError
from switchyard.core.restore import ORCHESTRATOR_UID, source_uid, wrong_savepoint
from switchyard.flink import savepoint_metadata
from switchyard.flink.savepoints import names_in
from switchyard.local.jars import jars
from switchyard.testing.minicluster import MiniCluster
from tests.flink.support import created

pytestmark = pytest.mark.flink

ENUMERATOR = "org.apache.flink.connector.kafka.source.enumerator"


def test_a_savepoint_names_its_operators(tmp_path: Path, mini_cluster: Callable[..., MiniCluster]) -> None:
    app = App.load("sdr")
    job = mini_cluster(app)
    job.publish("agent-messages", created(1))
    job.until(lambda outputs: any(output.topic == "agent-inboxes" for output in outputs))
    names = names_in(str(job.stop_with_savepoint()), jars("flink"))
    assert names is not None
    sources = ("agent_messages", "routing_decisions", "control", "incoming_leads_topic")
    assert {ORCHESTRATOR_UID, *map(source_uid, sources)} <= set(names)
    assert wrong_savepoint(names, app.registry, "sdr", stateless=False) == []
    assert wrong_savepoint(names, app.registry, "sdr", stateless=True) != []


def test_a_source_of_kafka_names_its_topics(tmp_path: Path) -> None:
    states = [
        state(ORCHESTRATOR_UID),
        state(source_uid("agent_messages"), "sdr.agent-messages", "other.agent-messages"),
    ]
    write(tmp_path / "_metadata", states)
    topics = {"other.agent-messages", "sdr.agent-messages"}
    expected = {ORCHESTRATOR_UID, source_uid("agent_messages"), *topics}
    assert savepoint_metadata.names(tmp_path / "_metadata", jars("flink")) == expected


def test_what_is_no_state(tmp_path: Path) -> None:
    assert names_in(str(tmp_path), jars("flink")) is None
    (tmp_path / "_metadata").write_bytes(b"no state at all")
    with pytest.raises(SwitchyardError, match=r"_metadata cannot be read: it is no state of Flink's: "):
        names_in(str(tmp_path), jars("flink"))


def write(path: Path, states: list[Any]) -> None:
    """A `_metadata` as Flink writes it."""
    jvm = get_gateway().jvm
    checkpoint = jvm.org.apache.flink.runtime.checkpoint
    canonical = jvm.org.apache.flink.core.execution.SavepointFormatType.CANONICAL
    properties = checkpoint.CheckpointProperties.forSavepoint(False, canonical)
    metadata = checkpoint.metadata.CheckpointMetadata(1, states, [], properties)
    stream = jvm.java.io.DataOutputStream(jvm.java.io.FileOutputStream(str(path)))
    checkpoint.Checkpoints.storeCheckpointMetadata(metadata, stream)
    stream.close()


def state(uid: str, *topics: str) -> Any:
    """An operator's state; with topics, that of a source as Flink's coordinator and the Kafka connector write it."""
    jvm = get_gateway().jvm
    identity = jvm.org.apache.flink.runtime.jobgraph.OperatorID()
    operator = jvm.org.apache.flink.runtime.checkpoint.OperatorState(uid, uid, identity, 1, 128)
    if topics:
        loader = savepoint_metadata.connector_classes(tuple(jars("flink")))
        serializer = savepoint_metadata.new_instance(loader, f"{ENUMERATOR}.KafkaSourceEnumStateSerializer")
        splits = jvm.java.util.HashSet()
        for topic in topics:
            splits.add(split(loader, topic))
        written = serializer.serialize(make(loader, f"{ENUMERATOR}.KafkaSourceEnumState", splits, True))
        data = struct.pack(">iii", 1, serializer.getVersion(), len(written)) + bytes(written)
        handle = jvm.org.apache.flink.runtime.state.memory.ByteStreamStateHandle("coordinator", data)
        operator.setCoordinatorState(handle)
    return operator


def split(loader: Any, topic: str) -> Any:
    partition = make(loader, "org.apache.flink.kafka.shaded.org.apache.kafka.common.TopicPartition", topic, 0)
    read = make(loader, "org.apache.flink.connector.kafka.source.split.KafkaPartitionSplit", partition, 7)
    assigned = loader.loadClass(f"{ENUMERATOR}.AssignmentStatus").getEnumConstants()[0]
    return make(loader, f"{ENUMERATOR}.SplitAndAssignmentStatus", read, assigned)


def make(loader: Any, name: str, *arguments: Any) -> Any:
    """An object by the constructor that takes so many arguments."""
    jvm = get_gateway().jvm
    constructors = loader.loadClass(name).getConstructors()
    [constructor] = [item for item in constructors if item.getParameterCount() == len(arguments)]
    kinds = constructor.getParameterTypes()
    values = [
        jvm.java.lang.Long(value) if str(kind.getName()) == "long" else value
        for kind, value in zip(kinds, arguments, strict=True)
    ]
    return constructor.newInstance(to_jarray(jvm.java.lang.Object, values))
