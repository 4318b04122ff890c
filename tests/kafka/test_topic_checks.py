"""Topics that would lose what an app needs are refused before a job is submitted, with all that must be changed."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import pytest

from switchyard.core.app import App
from switchyard.core.errors import SwitchyardError
from switchyard.core.report import silent
from switchyard.core.retention import WEEK_MS
from switchyard.core.topics import LARGEST_RECORD, OWN, Topics
from switchyard.deployment.submit import prepare_topics
from switchyard.kafka.admin import topic_settings
from switchyard.kafka.topic_checks import TopicFacts

SDR = App.load("sdr")
LEDGER, LEADS, STATUS = "sdr.routing-decisions", "sdr.incoming-leads", "sdr.workflow-status"
DEFAULTS = {"cleanup.policy": "delete", "retention.ms": str(WEEK_MS), "retention.bytes": "-1"}
OF_BROKER = {**DEFAULTS, "max.message.bytes": "1048588", "min.insync.replicas": "1"}


class Kafka:
    """What `prepare_topics` asks of a cluster, where somebody else may have made some of the topics."""

    bootstrap = "kafka.test:9092"

    def __init__(self, replicas: int = 1, partitions: int = 4, **keys: dict[int, bytes]) -> None:
        self.settings: dict[str, dict[str, str]] = {}
        self.replicas, self.partitions, self.keys = replicas, partitions, keys

    def set(self, name: str, **changes: str) -> None:
        made = topic_settings(SDR, "sdr", LARGEST_RECORD)[name]
        self.settings[name] = {**OF_BROKER, **made, **{key.replace("_", "."): item for key, item in changes.items()}}

    def create_topics(self, wanted: Mapping[str, Mapping[str, str]]) -> list[str]:
        new = [name for name in wanted if name not in self.settings]
        self.settings.update({name: {**OF_BROKER, **wanted[name]} for name in new})
        return new

    def facts(self, names: list[str], keyed: list[str]) -> dict[str, TopicFacts]:
        def first(name: str) -> dict[int, bytes]:
            return self.keys.get(name.partition(".")[2].replace("-", "_"), {}) if name in keyed else {}

        return {name: TopicFacts(self.settings[name], self.replicas, self.partitions, first(name)) for name in names}


def refusal(kafka: Kafka, app: App = SDR) -> str:
    with pytest.raises(SwitchyardError) as caught:
        prepare_topics(kafka, app, "sdr", silent)  # type: ignore[arg-type]
    text = str(caught.value)
    assert "--bootstrap-server kafka.test:9092 --alter --entity-type topics --entity-name TOPIC" in text
    return text


def changed(**limits: Any) -> App:
    file = SDR.registry.file
    registry = type(SDR.registry)(
        file.model_copy(update={"limits": file.limits.model_copy(update=limits)}),
        {item.type: SDR.registry.contracts[item.type].schema for item in SDR.registry.contracts.values()},
        "",
    )
    return App("sdr", SDR.folder, SDR.sql, registry)


def test_topics_as_they_are_made_are_right() -> None:
    assert prepare_topics(Kafka(), SDR, "sdr", silent) == 1048588  # type: ignore[arg-type]
    month = changed(deadline=30 * 86_400.0)
    assert prepare_topics(Kafka(), month, "sdr", silent) == 1048588  # type: ignore[arg-type]


def test_only_the_audit_is_kept_without_a_limit_of_time() -> None:
    facts = {name: TopicFacts(made, 1, 4, {}) for name, made in topic_settings(SDR, "sdr", LARGEST_RECORD).items()}
    assert set(facts) == {Topics("sdr").named(name) for name in (*OWN, "incoming-leads")} | {
        Topics("sdr").inbox(name) for name in SDR.registry.agents
    }
    assert [name for name, each in facts.items() if each.kept_ms == math.inf] == ["sdr.audit"]


@pytest.mark.parametrize(
    ("name", "changes", "words"),
    [
        (LEDGER, {"retention_bytes": "1048576"}, "drops records beyond 1048576 bytes of a partition, read or not"),
        (LEDGER, {"cleanup_policy": "compact,delete"}, "has cleanup.policy=compact,delete and can lose what is not"),
        (LEDGER, {"retention_ms": "3600000"}, "limits.deadline): set its retention.ms=86400000"),
        (LEDGER, {"retention_ms": "3600000"}, f"set its retention.ms={WEEK_MS}, or less for {LEADS}"),
        (LEDGER, {"min_insync_replicas": "2"}, "takes no record, for it has 1 replicas and asks for 2"),
        (LEADS, {"retention_ms": "-1"}, f"{LEDGER} keeps records for a shorter time than {LEADS}"),
        (LEADS, {"cleanup_policy": "compact"}, f"set its retention.ms=-1, or less for {LEADS}"),
        ("sdr.agent-messages", {"cleanup_policy": "compact"}, "sdr.agent-messages has cleanup.policy=compact"),
        ("sdr.agent.lead-scoring", {"retention_bytes": "9"}, "sdr.agent.lead-scoring drops records beyond 9 bytes"),
        ("sdr.control", {"cleanup_policy": "compact"}, "sdr.control has cleanup.policy=compact"),
        (
            STATUS,
            {"cleanup_policy": "delete"},
            "can lose the newest of each key: set its cleanup.policy=[compact,delete]",
        ),
        (STATUS, {"cleanup_policy": "compact"}, "keeps what it has for ever: set its cleanup.policy=[compact,delete]"),
        (STATUS, {"retention_ms": "-1"}, f"{STATUS} keeps what it has for ever: set its retention.ms={2 * WEEK_MS}"),
        (STATUS, {"retention_ms": "3600000"}, f"(limits.deadline): set its retention.ms={2 * WEEK_MS}"),
        ("sdr.memory", {"cleanup_policy": "delete"}, "sdr.memory has cleanup.policy=delete"),
        (
            "sdr.memory",
            {"retention_ms": "-1"},
            "sdr.memory keeps what it has for ever: set its retention.ms=8380800000",
        ),
        ("sdr.memory", {"retention_ms": str(WEEK_MS)}, "than agents remember, 7776000 s (memory.days): set its"),
        (
            "sdr.audit",
            {"cleanup_policy": "compact,delete"},
            "can lose the newest of each key: set its cleanup.policy=c",
        ),
        ("sdr.dead-letters", {"max_message_bytes": "1048588"}, "set its max.message.bytes=1463653"),
    ],
)
def test_a_topic_that_would_lose_something(name: str, changes: dict[str, str], words: str) -> None:
    kafka = Kafka()
    kafka.set(name, **changes)
    assert words in refusal(kafka)


def test_everything_is_said_at_once() -> None:
    kafka = Kafka(replicas=3)
    kafka.set(LEDGER, retention_bytes="9")
    kafka.set(STATUS, cleanup_policy="delete")
    text = refusal(kafka)
    for words in (
        "retention.bytes=-1",
        "cleanup.policy=[compact,delete]",
        f"{LEDGER} has 3 replicas, and a decision that one",
    ):
        assert words in text
    kafka.set(LEDGER, min_insync_replicas="2")
    kafka.set(STATUS)
    prepare_topics(kafka, SDR, "sdr", silent)  # type: ignore[arg-type]


def test_a_deadline_that_the_ledger_does_not_outlive() -> None:
    kafka = Kafka()
    kafka.set(LEDGER)
    assert "than a workflow may take, 2592000 s (limits.deadline)" in refusal(kafka, changed(deadline=2_592_000.0))


def test_a_topic_whose_number_of_partitions_was_changed() -> None:
    """Key 250 is of partition 0 of 4 and of 3 of 5, as Kafka's own partitioner has it."""
    place = next(number for number in range(4) if not _moved(Kafka(routing_decisions={number: b"250"})))
    assert _moved(Kafka(partitions=5, routing_decisions={place: b"250"}))
    assert _moved(Kafka(partitions=5, workflow_status={place: b"250"}))
    assert not _moved(Kafka(partitions=5, agent_messages={place: b"250"}))


def _moved(kafka: Kafka) -> bool:
    try:
        prepare_topics(kafka, SDR, "sdr", silent)  # type: ignore[arg-type]
    except SwitchyardError as error:
        assert "use another namespace (--namespace)" in str(error)
        return True
    return False
