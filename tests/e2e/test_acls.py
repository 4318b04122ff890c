"""What `topics --acls` prints is enough for an app to run, user by user, and gives no more, on a broker with ACLs."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import ACL, ACLOperation, ACLPermissionType, ACLResourcePatternType, ResourcePattern, ResourceType
from kafka.errors import TopicAuthorizationFailedError

from switchyard.core.app import App
from switchyard.core.event import Event
from switchyard.core.topics import Topics
from switchyard.kafka.acls import grants, user_of
from switchyard.kafka.admin import Cluster
from switchyard.local.health import Health
from switchyard.local.ports import free_port
from switchyard.local.stack import Stack
from tests.e2e.conftest import KAFKA_PASSWORD, CommandLine
from tests.e2e.secured import Secured, secured_broker

pytestmark = pytest.mark.e2e

NAMESPACE = "guarded"
AGENT = "lead-ingestion"
TOPICS = Topics(NAMESPACE)
IMPLIED = {"READ": "DESCRIBE", "WRITE": "DESCRIBE", "DESCRIBE_CONFIGS": "DESCRIBE_CONFIGS", "CREATE": "CREATE"}
"""Beside itself; an operation that is not here implies no other."""
TOOL = f"#!{sys.executable}\nimport json, sys\nprint(json.dumps(sys.argv[1:]))\n"


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    """The broker, with a user for each part of the app and the rights that the printed commands give."""
    folder = tmp_path_factory.mktemp("guarded")
    with secured_broker(folder, KAFKA_PASSWORD) as broker:
        broker.add_users(KAFKA_PASSWORD, *{grant.user for grant in grants(App.load("sdr"), NAMESPACE)})
        admin = KafkaAdminClient(bootstrap_servers=broker.plain)
        done = admin.create_acls([acl for words in commands(folder, broker) for acl in acls(words)])
        admin.close()
        assert done["failed"] == []
        yield broker


def commands(folder: Path, broker: Secured) -> list[list[str]]:
    """What each printed command is given by a shell."""
    tool = folder / "bin" / "kafka-acls"
    tool.parent.mkdir()
    tool.write_text(TOOL)
    tool.chmod(0o755)
    command = CommandLine(folder / "home")
    script = command.run("topics", "sdr", "--namespace", NAMESPACE, "--acls", "--kafka", broker.address)
    path = f"{tool.parent}:{command.env['PATH']}"
    run = subprocess.run(["sh", "-e", "-c", script], env={"PATH": path}, capture_output=True, check=True)
    return [json.loads(line) for line in run.stdout.splitlines()]


def acls(words: list[str]) -> list[ACL]:
    """What Kafka's tool would ask for."""
    options = argparse.ArgumentParser()
    for name in ("--bootstrap-server", "--command-config", "--allow-principal"):
        options.add_argument(name, required=True)
    options.add_argument("--add", action="store_true", required=True)
    options.add_argument("--operation", action="append", required=True)
    resource = options.add_mutually_exclusive_group(required=True)
    resource.add_argument("--topic")
    resource.add_argument("--group")
    asked = options.parse_args(words)
    kind = ResourceType.TOPIC if asked.topic else ResourceType.GROUP
    pattern = ResourcePattern(kind, asked.topic or asked.group, ACLResourcePatternType.LITERAL)
    operations = [ACLOperation[_upper(name)] for name in asked.operation]
    return [ACL(asked.allow_principal, "*", item, ACLPermissionType.ALLOW, pattern) for item in operations]


def _upper(operation: str) -> str:
    return "DESCRIBE_CONFIGS" if operation == "DescribeConfigs" else operation.upper()


def test_the_app_runs_with_these_rights(home: Path, stack: Stack, guarded: Secured) -> None:
    def as_user(role: str, agent: str | None = None) -> dict[str, str]:
        return {**guarded.environment, "SWITCHYARD_KAFKA_USERNAME": user_of(NAMESPACE, role, agent)}

    def command(role: str) -> CommandLine:
        return CommandLine(home, **as_user(role), SWITCHYARD_KAFKA_PASSWORD=KAFKA_PASSWORD)

    app = ("--app", "sdr", "--namespace", NAMESPACE)
    command("orchestrator").run("submit", "sdr", "--namespace", NAMESPACE)
    port = free_port()
    worker = [sys.executable, "-m", "switchyard.worker", "sdr", "--namespace", NAMESPACE, "--agent", AGENT]
    environment = {**as_user("agent", AGENT), "SWITCHYARD_HOME": str(home)}
    health = Health("http", f"http://127.0.0.1:{port}/health")
    stack.add_program(AGENT, [*worker, "--health-port", str(port)], environment, health, port)
    # For the offline model, which answers for apps of the stack: this worker is none of them.
    apps = json.loads(stack.layout.apps_file.read_text())
    stack.layout.apps_file.write_text(json.dumps({**apps, NAMESPACE: str(App.load("sdr").folder)}))
    try:
        lead = (App.load("sdr").folder / "leads.jsonl").read_bytes().splitlines()[0]
        command("intake").run("send", "-", *app, stdin=lead)
        follower = Cluster(guarded.access(KAFKA_PASSWORD)).follow([TOPICS.agent_messages])
        deadline, answers = time.monotonic() + 60, 0
        while not answers:
            assert time.monotonic() < deadline, "the agent does not answer"
            answers += sum(Event.parse(item.value).type == "lead.profiled" for item in follower.poll(1.0))
        follower.close()
        (shown,) = command("viewer").objects("workflows", *app)
        assert shown["status"] == "running"
        assert AGENT in command("viewer").run("trace", shown["workflow_id"], *app)
        assert command("viewer").objects("dead-letters", "list", *app) == []
        command("operator").run("cancel", shown["workflow_id"], *app)
        assert command("viewer").objects("workflows", *app)[0]["status"] == "cancelled"
        command("operator").run("pause", "sdr", "--namespace", NAMESPACE)
        told = command("viewer").run("resume", "sdr", "--namespace", NAMESPACE, code=1)
        assert f"Kafka did not take a message for {TOPICS.control}" in told
    finally:
        stack.remove_program(AGENT)
        command("orchestrator").run("stop", "sdr", "--namespace", NAMESPACE)


def test_nobody_has_more_than_the_matrix_says(guarded: Secured) -> None:
    """As the broker itself judges, of every topic for every user."""
    app = App.load("sdr")
    granted = {(item.user, item.name): item.operations for item in grants(app, NAMESPACE)}
    topics = sorted({item.name for item in grants(app, NAMESPACE) if item.resource == "topic"})
    Cluster(guarded.access(KAFKA_PASSWORD)).create_topics({name: {} for name in topics})
    for user in sorted({user for user, _ in granted}):
        told = authorized(guarded, user, topics)
        for topic in topics:
            wanted = {_upper(item) for item in granted.get((user, topic), ())}
            assert told[topic] == wanted | {IMPLIED.get(item, item) for item in wanted}, (user, topic)


def authorized(guarded: Secured, user: str, topics: list[str]) -> dict[str, set[str]]:
    """The operations that a user may do, by topic."""
    admin = KafkaAdminClient(**guarded.access(KAFKA_PASSWORD, user).client())
    try:
        answers = admin.describe_topic_partitions(topics)["topics"]
    finally:
        admin.close()
    return {item["name"]: {ACLOperation(number).name for number in operations(item)} for item in answers}


def operations(topic: dict[str, Any]) -> list[int]:
    """Kafka's bit field: bit N is operation N. None is told to whom the topic is not shown."""
    told = topic["topic_authorized_operations"]
    return [] if topic["error_code"] else [number for number in range(3, 14) if told >> number & 1]


@pytest.mark.parametrize(
    "topic", [TOPICS.routing_decisions, TOPICS.inbox("send-email"), TOPICS.control, TOPICS.agent_messages]
)
def test_the_intake_writes_nothing_but_input(guarded: Secured, topic: str) -> None:
    access = guarded.access(KAFKA_PASSWORD, user_of(NAMESPACE, "intake"))
    producer = KafkaProducer(**access.client(), max_block_ms=60_000)
    try:
        with pytest.raises(TopicAuthorizationFailedError):
            producer.send(topic, b"{}").get(timeout=60)
    finally:
        producer.close()


def test_an_agent_reads_no_other_inbox(guarded: Secured) -> None:
    access = guarded.access(KAFKA_PASSWORD, user_of(NAMESPACE, "agent", AGENT))
    consumer = KafkaConsumer(**access.client(), group_id=None, auto_offset_reset="earliest")
    try:
        own, other = (TOPICS.inbox(name) for name in (AGENT, "send-email"))
        consumer.assign([TopicPartition(own, 0)])
        assert consumer.end_offsets([TopicPartition(own, 0)])
        assert consumer.partitions_for_topic(own)
        assert not consumer.partitions_for_topic(other)
    finally:
        consumer.close()
