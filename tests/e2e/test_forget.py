"""A person who is forgotten: all topics, stores and mails of a real stack are searched afterwards."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from switchyard.core.app import App
from switchyard.core.erasure import Erasure, texts
from switchyard.core.topics import Topics
from switchyard.kafka.admin import Cluster, KafkaRecord
from switchyard.kafka.connection import KafkaConnection
from switchyard.local.mail_folder import mails_about
from switchyard.local.stack import Stack
from tests.e2e.conftest import CommandLine, files_with, until

pytestmark = pytest.mark.e2e

LEAD = "lead-1001"
LATER = ("kept", "superseded")


def address_of(lead: str) -> str:
    lines = (App.load("sdr").folder / "leads.jsonl").read_text().splitlines()
    return next(str(json.loads(line)["email"]) for line in lines if f'"{lead}"' in line)


def offsets(ranges: str) -> set[int]:
    """Those that a line of the receipt names."""
    ends = [item.split("-") for item in ranges.split(", ") if item]
    return {offset for item in ends for offset in range(int(item[0]), int(item[-1]) + 1)}


def with_address(cluster: Cluster, namespace: str, person: Erasure) -> list[KafkaRecord]:
    names = [name for name in cluster.topics() if name.startswith(f"{namespace}.")]
    records = [record for name in names for record in cluster.read(name)]
    return [item for item in records if any(map(person.mentions, [*texts(item.value), item.key.decode()]))]


def test_a_person_is_found_nowhere_but_where_the_receipt_says_until_when(
    command: CommandLine, stack: Stack, home: Path
) -> None:
    command.demo("sdr")
    info = stack.info()
    assert info is not None
    namespace = next(name for name in info.apps if name.startswith("sdr-"))
    named = ("--app", "sdr", "--namespace", namespace)
    cluster, topics = Cluster(KafkaConnection(info.kafka)), Topics(namespace)
    inboxes = topics.inboxes(App.load("sdr").registry.agents)
    until(lambda: all(cluster.consumed(group, [topic]) for topic, group in inboxes.items()), 60)
    address = address_of(LEAD)
    person = Erasure.of(address)
    stored = list((home / "state").glob(f"{namespace}*"))
    assert with_address(cluster, namespace, person)
    assert mails_about(info.mail_folder, namespace, person, ())
    assert any(address.encode() in path.read_bytes() for path in stored)

    told: list[dict[str, Any]] = command.objects("forget", "--subject", address.upper(), "--yes", *named)
    lines = {line["place"]: line for line in told}
    removed = {place.partition("[")[0] for place, line in lines.items() if line["done"] == "removed"}
    assert removed >= {"table effects", "the app's own: mails:forget", f"mails in {info.mail_folder}"}
    assert removed >= {topics.inbox("lead-scoring"), topics.agent_messages, topics.named("incoming-leads")}
    kept = {place.partition("[")[0] for place, line in lines.items() if line["done"] == "kept"}
    assert kept <= {topics.routing_decisions, topics.control, "Flink's checkpoints and savepoints"}

    left = with_address(cluster, namespace, person)
    assert {record.topic for record in left} <= {topics.routing_decisions, topics.workflow_status}
    for record in left:
        line = lines[f"{record.topic}[{record.partition}]"]
        assert line["done"] in LATER
        assert line["until"]
        assert record.offset in offsets(line["offsets"])
    assert mails_about(info.mail_folder, namespace, person, ()) == []
    assert [path.name for path in stored if address.encode() in path.read_bytes()] == []
    assert [path.name for path in files_with(home / "log", address) if namespace in path.name] == []

    assert LEAD not in {item["workflow_id"] for item in command.objects("workflows", *named)}
    (entry,) = command.objects("audit", *named)
    assert (entry["action"], entry["outcome"], entry["about"]) == ("forget", "done", person.digest)
    assert [line["place"] for line in entry["receipt"]] == [line["place"] for line in told]

    again = command.objects("forget", "--subject", address, "--yes", *named)
    assert {line["done"] for line in again} <= set(LATER)
    said = command.run("stop", "sdr", "--namespace", namespace, "--savepoint")
    savepoint = Path(said.partition("Its savepoint: ")[2].split()[0].removeprefix("file:"))
    assert savepoint.is_dir()
    assert files_with(savepoint, address) == []
