"""`switchyard forget`: what is about somebody, what is done about it, and what the receipt says."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from kafka.structs import OffsetAndMetadata

from switchyard.core.app import App
from switchyard.core.audit import AuditEntry
from switchyard.core.control import Control
from switchyard.core.deadletter import DeadLetter, Note, Position
from switchyard.core.erasure import Erasure
from switchyard.core.errors import Rejected, SwitchyardError
from switchyard.core.event import Event
from switchyard.core.ledger.record import Decision
from switchyard.core.ledger.subject import Subject
from switchyard.core.model import Usage
from switchyard.core.orchestrator.workflow import Workflow, status_event
from switchyard.core.retention import DAY_MS, WEEK_MS
from switchyard.core.settings import Settings
from switchyard.core.shards import shard_of
from switchyard.kafka.admin import topic_settings
from switchyard.kafka.erasure import SLACK_MS, gone_by
from switchyard.local.mail_server import store
from switchyard.worker.database import database_url, open_database
from switchyard.worker.effects import EffectStore
from switchyard.worker.task import Answer
from tests.cli.conftest import FakeCluster, Run

ADA, BOB = "ada@analytical.example", "bob@elsewhere.example"
NOW = int(time.time() * 1000)
INBOX = "sdr.agent.lead-ingestion"
FORGET = ("forget", "--subject", ADA.upper())


def event(workflow: str, address: str) -> Event:
    data = {"lead_id": workflow, "email": address}
    return Event.new(id=workflow, source="t", type="lead.created", workflow_id=workflow, data=data)


def decision(about: Event) -> bytes:
    made = Decision(
        subject=Subject.of_event(about),
        workflow_id=about.workflow_id,
        event=about.json(),
        topic="sdr.agent-messages",
        partition=0,
        offset=0,
        action="dispatch",
        decided_by="rule",
        reason="so",
        at=1,
        agents=("lead-ingestion",),
    )
    return made.json().encode()


def letter(offset: int, raw: bytes) -> DeadLetter:
    return DeadLetter.of(Rejected("not-json", "no"), raw, Position("sdr.incoming-leads", 0, offset), NOW)


class World:
    """A Kafka in which three leads went through the app, and a job that forgets."""

    def __init__(self, kafka: type[FakeCluster]) -> None:
        self.kafka = kafka
        for name in topic_settings(App.load("sdr"), "sdr", 1 << 20):
            kafka.content[name] = []
        self.leads = [event("lead-0", BOB), event("lead-1", ADA), event("lead-2", BOB)]
        for lead in self.leads:
            key = lead.workflow_id.encode()
            self.add("incoming-leads", b"", json.dumps(lead.data).encode())
            self.add("agent-messages", key, lead.json().encode())
            self.add("routing-decisions", str(shard_of(lead.workflow_id, 16)).encode(), decision(lead))
            self.add("agent.lead-ingestion", key, lead.json().encode())
            self.status(lead.workflow_id)
        self.add("dead-letters", b"", letter(7, b"broken " + BOB.encode()).json().encode())
        self.add("dead-letters", b"", letter(8, b"{broken " + ADA.encode()).json().encode())
        self.add("memory", f"lead-scoring/{ADA}/1".encode(), b'{"text": "a", "at": 1, "expires": null}')
        self.add("memory", b"lead-scoring/bob/2", b'{"text": "b", "at": 1, "expires": null}')
        cancelled = AuditEntry("r1", 1, "cancel", "carl", f"{ADA} asked", "done", "lead-1")
        self.add("audit", b"r1", cancelled.json().encode())
        for topic in ("incoming-leads", "agent-messages"):
            self.commit(f"sdr.{topic}", "sdr.orchestrator", 3)
        self.commit(INBOX, "sdr.lead-ingestion", 3)

    def add(self, topic: str, key: bytes, value: bytes) -> None:
        self.kafka.add(f"sdr.{topic}", key, value, NOW)

    def status(self, workflow: str, **changes: Any) -> None:
        summary = {**Workflow(workflow, 1_000, "completed", 2_000).summary("sdr"), **changes}
        self.add("workflow-status", workflow.encode(), status_event("sdr", summary).json().encode())

    def commit(self, topic: str, group: str, offset: int, store: str = "") -> None:
        self.kafka.offsets.setdefault(topic, {})[group] = {0: OffsetAndMetadata(offset, store, -1)}

    def left(self, topic: str) -> list[bytes]:
        return [record.value for record in self.kafka.read(self.kafka, f"sdr.{topic}")]  # type: ignore[arg-type]


@pytest.fixture
def world(kafka: type[FakeCluster], monkeypatch: pytest.MonkeyPatch) -> World:
    made = World(kafka)
    send = kafka.send

    def answered(self: FakeCluster, topic: str, messages: Any) -> None:
        send(self, topic, messages)
        if topic == "sdr.control":
            control = Control.of(Event.parse(messages[0][1]))
            made.add("audit", control.event.id.encode(), AuditEntry.of(control, NOW).json().encode())

    monkeypatch.setattr(kafka, "send", answered)
    return made


def receipt(output: str) -> dict[str, dict[str, Any]]:
    return {line["place"]: line for line in map(json.loads, output.splitlines())}


def test_everything_is_found_and_removed_or_has_its_date(run: Run, world: World) -> None:
    result = run(*FORGET, "--yes", "--json")
    assert result.exit_code == 0, result.output
    told = receipt(result.stdout)
    done = {place: (line["found"], line["done"], line["offsets"]) for place, line in told.items()}
    assert done == {
        "sdr.incoming-leads[0]": (1, "removed", "1"),
        "sdr.agent-messages[0]": (1, "removed", "1"),
        f"{INBOX}[0]": (1, "removed", "1"),
        "sdr.routing-decisions[0]": (1, "kept", "1"),
        "sdr.dead-letters[0]": (1, "kept", "1"),
        "sdr.memory[0]": (1, "superseded", "0"),
        "sdr.workflow-status[0]": (1, "superseded", "1"),
        "sdr.audit[0]": (1, "superseded", "0"),
        "sdr.control": (1, "kept", ""),
        "Flink's checkpoints and savepoints": (1, "kept", ""),
    }
    assert all(line["until"] for place, line in told.items() if not place.startswith("Flink"))
    assert told["sdr.dead-letters[0]"]["note"] == "older dead letters are open"
    assert "older ones of others that go along, all done with: 1" in told["sdr.incoming-leads[0]"]["note"]
    for topic in ("incoming-leads", "agent-messages", "agent.lead-ingestion"):
        assert [BOB in value.decode() for value in world.left(topic)] == [True], topic
    assert world.kafka.content["sdr.memory"][-1].key == f"lead-scoring/{ADA}/1".encode()
    assert world.left("memory")[-1] == b""


def test_the_audit_has_the_receipt_and_no_word_of_who_it_was(run: Run, world: World) -> None:
    run(*FORGET, "--yes")
    result = run("audit", "--json")
    entries = {item["action"]: item for item in map(json.loads, result.stdout.splitlines())}
    assert entries["forget"]["about"] == Erasure.of(ADA).digest
    assert {line["place"] for line in entries["forget"]["receipt"]} >= {"sdr.control", "sdr.routing-decisions[0]"}
    assert (entries["cancel"]["by"], entries["cancel"]["workflow_id"]) == ("carl", "lead-1")
    assert ADA not in result.stdout
    request = Control.of(Event.parse(world.left("control")[0]))
    assert request.workflow_ids == ("lead-1",)
    assert ADA not in request.event.json()


def test_what_is_there_is_shown_before_anybody_agrees(run: Run, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    before = {name: list(records) for name, records in world.kafka.content.items()}
    monkeypatch.setattr("switchyard.cli.formatting.on_terminal", lambda: True)
    result = run(*FORGET, input="n\n")
    assert "Workflows that are forgotten as a whole: lead-1" in result.output
    assert "sdr.incoming-leads[0]" in result.output
    assert "nothing was done" in result.output
    assert (world.kafka.content, world.kafka.begins) == (before, {})
    assert "give --yes" in run(*FORGET, "--json").output


def test_what_has_not_ended_is_not_forgotten(run: Run, world: World) -> None:
    world.status("lead-1", status="running", ended_at=None)
    result = run(*FORGET, "--yes")
    assert result.exit_code == 1
    assert "switchyard cancel lead-1" in result.output


def test_what_kafka_refuses_is_not_told_as_removed(run: Run, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: FakeCluster, topic: str, partition: int, offset: int) -> None:
        raise SwitchyardError(f"Kafka does not delete records of {topic}: no right")

    monkeypatch.setattr(world.kafka, "delete_before", refuse)
    world.add("audit", b"r2", f"no entry, {ADA}".encode())
    told = receipt(run(*FORGET, "--yes", "--json").stdout)
    line = told["sdr.incoming-leads[0]"]
    assert (line["done"], line["note"]) == (
        "kept",
        "it could not be removed: Kafka does not delete records of sdr.incoming-leads: no right",
    )
    assert line["until"]
    assert told["sdr.audit[0]"]["offsets"] == "0-1"
    assert ADA not in run("audit", "--json").stdout


def test_a_paused_app_may_hold_what_nobody_can_search(run: Run, world: World) -> None:
    for key, value in Control.new("pause", "tests", "", "carl").records(16):
        world.add("control", key, value)
    assert "switchyard resume sdr" in run(*FORGET, "--yes").output
    assert world.kafka.begins == {}


def test_an_event_that_waits_for_its_decision_is_not_forgotten(run: Run, world: World) -> None:
    world.add("agent-messages", b"lead-9", event("lead-9", ADA).json().encode())
    world.status("lead-9", status="queued", ended_at=None)
    assert "workflow lead-9 has not ended" in run(*FORGET, "--yes").output


def test_an_address_in_an_event_that_names_another_workflow_does_not_make_it_theirs(run: Run, world: World) -> None:
    """What was not let in is no part of the workflow that it names."""
    world.add("agent-messages", b"lead-2", event("lead-2", ADA).json().encode())
    world.commit("sdr.agent-messages", "sdr.orchestrator", 4)
    told = receipt(run(*FORGET, "--yes", "--json").stdout)
    assert told["sdr.agent-messages[0]"]["offsets"] == "1, 3"
    assert told["sdr.workflow-status[0]"]["offsets"] == "1"


@pytest.mark.parametrize(
    ("change", "topic", "note"),
    [
        (lambda it: it.commit(INBOX, "sdr.lead-ingestion", 1), INBOX, "sdr.lead-ingestion has not said"),
        (lambda it: it.commit("sdr.incoming-leads", "crm", 1), "sdr.incoming-leads", "crm has not said"),
        (lambda it: it.kafka.offsets.clear(), "sdr.agent-messages", "sdr.orchestrator has not said"),
        (lambda it: it.status("lead-0", status="running"), "sdr.agent-messages", "older events are of workflows"),
    ],
)
def test_what_others_need_is_kept_until_its_time(
    run: Run, world: World, change: Callable[[World], None], topic: str, note: str
) -> None:
    change(world)
    line = receipt(run(*FORGET, "--yes", "--json").stdout)[f"{topic}[0]"]
    assert (line["done"], line["note"][: len(note)]) == ("kept", note)
    assert len(world.left(topic.removeprefix("sdr."))) == 3


def test_dead_letters_go_once_the_older_ones_are_settled(run: Run, world: World) -> None:
    world.add("dead-letters", b"", Note("discarded", "sdr.incoming-leads", 0, 7, NOW, "carl").json().encode())
    assert receipt(run(*FORGET, "--yes", "--json").stdout)["sdr.dead-letters[0]"]["done"] == "removed"
    assert len(world.left("dead-letters")) == 1


def test_a_workflow_is_forgotten_by_its_id(run: Run, world: World) -> None:
    told = receipt(run("forget", "--subject", "lead-2", "--yes", "--json").stdout)
    assert {place: line["offsets"] for place, line in told.items() if line["offsets"]} == {
        "sdr.incoming-leads[0]": "2",
        "sdr.agent-messages[0]": "2",
        f"{INBOX}[0]": "2",
        "sdr.routing-decisions[0]": "2",
        "sdr.workflow-status[0]": "2",
    }


def test_of_whom_nothing_is_known_nothing_is_done(run: Run, world: World) -> None:
    result = run("forget", "--subject", "nobody@analytical.example", "--yes")
    assert (result.exit_code, result.output) == (0, "Nothing in sdr is about it.\n")
    assert world.left("control") == []


def test_stores_and_mails_here_are_forgotten_with_it(run: Run, world: World, tmp_path: Path) -> None:
    settings = Settings(home=tmp_path / "home")
    (settings.home / "state").mkdir(parents=True)
    engine = open_database(database_url(settings, "sdr"))
    effects = EffectStore(engine, "sdr")
    effects.put("k", "lead-scoring", [Answer("lead.scored", {"score": 7})], Usage(), workflow_id="lead-1")
    (settings.home / "mail").mkdir()
    mail = store(settings.home / "mail" / "sdr", "<1@x>", f"To: {ADA}\r\n\r\nHello".encode())
    world.commit(INBOX, "sdr.lead-ingestion", 3, effects.id)
    told = receipt(run(*FORGET, "--yes", "--json").stdout)
    assert told["table effects"]["found"] == told[f"mails in {settings.home / 'mail'}"]["found"] == 1
    assert not mail.exists()
    assert effects.concerning(Erasure(None, frozenset(("lead-1",)))) == []
    engine.dispose()


def test_another_store_than_the_workers_is_refused(run: Run, world: World) -> None:
    world.commit(INBOX, "sdr.lead-ingestion", 3, "of-another-machine")
    result = run(*FORGET, "--yes")
    assert result.exit_code == 1
    assert "set SWITCHYARD_DATABASE" in result.output


def test_when_a_record_is_gone_for_certain() -> None:
    settings = {"cleanup.policy": "delete", "retention.ms": str(WEEK_MS), "segment.ms": str(DAY_MS)}
    assert gone_by(settings, 5) == 5 + WEEK_MS + DAY_MS + SLACK_MS
    assert gone_by({**settings, "retention.ms": "-1"}, 5) is None
    assert gone_by({**settings, "cleanup.policy": "compact"}, 5) is None


def test_every_topic_is_gone_within_the_month_that_the_law_gives() -> None:
    for name, settings in topic_settings(App.load("sdr"), "sdr", 1 << 20).items():
        until = gone_by(settings, 0)
        if "compact" in settings["cleanup.policy"]:
            assert int(settings["segment.ms"]) + int(settings["max.compaction.lag.ms"]) == 2 * DAY_MS
        else:
            assert until is not None, name
            assert until < 30 * DAY_MS, name
