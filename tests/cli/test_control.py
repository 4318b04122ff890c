"""What an operator asks of a workflow or an app: cancel, pause, resume, approvals."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from switchyard.cli.control_client import shards_from
from switchyard.core.control import Control
from switchyard.core.deadletter import DeadLetter, Position
from switchyard.core.errors import Rejected, SwitchyardError
from switchyard.core.event import Event
from switchyard.core.ids import dispatch_id
from switchyard.core.ledger.record import Decision, Fence, Record
from switchyard.core.ledger.subject import Subject
from switchyard.core.orchestrator.workflow import Workflow, status_event
from switchyard.core.shards import shard_keys, shard_of
from switchyard.kafka.admin import KafkaRecord
from tests.cli.conftest import FakeCluster, Run
from tests.core.toy import opened

STATUS, CONTROL, LEDGER, LETTERS = (
    f"sdr.{name}" for name in ("workflow-status", "control", "routing-decisions", "dead-letters")
)

Job = Callable[[Control], None]


def decision(workflow: str) -> Decision:
    return Decision(
        subject=Subject("event", "1"),
        workflow_id=workflow,
        event=opened(1, workflow).json(),
        topic="sdr.agent-messages",
        partition=0,
        offset=0,
        action="dispatch",
        decided_by="rule",
        reason="so",
        at=1,
        agents=("triage", "fixing"),
    )


WAITING = dispatch_id("event/1", "fixing", 0)


def tell(kafka: type[FakeCluster], workflow: str = "w1", **changes: Any) -> None:
    """A status event as the job writes it."""
    summary = {**Workflow(workflow, 1_000).summary("sdr"), **changes}
    kafka.add(STATUS, workflow.encode(), status_event("sdr", summary).json().encode())


def approval(identity: str = WAITING, agent: str = "fixing") -> dict[str, Any]:
    return {"id": identity, "agent": agent, "type": "ticket.opened", "content": "c", "since": 2_000, "until": None}


@pytest.fixture
def topics(kafka: type[FakeCluster], monkeypatch: pytest.MonkeyPatch) -> type[FakeCluster]:
    """The topics of sdr; a job that never answers gives up at once."""
    kafka.content.update({name: [] for name in (STATUS, CONTROL, LEDGER, LETTERS)})
    monkeypatch.setattr("switchyard.cli.control_client.PATIENCE_S", 0.0)
    return kafka


@pytest.fixture
def job(topics: type[FakeCluster], monkeypatch: pytest.MonkeyPatch) -> Callable[[Job], None]:
    """Set what a job does about a control event as soon as it is written."""

    def answer(act: Job) -> None:
        add = topics.add

        def added(topic: str, key: bytes, value: bytes, time: int = 0) -> None:
            add(topic, key, value, time)
            if topic == CONTROL:
                act(Control.parse(value, int(key), 16))

        monkeypatch.setattr(topics, "add", staticmethod(added))

    return answer


def asked(kafka: type[FakeCluster]) -> list[Control]:
    return [Control.parse(item.value, int(item.key), 16) for item in kafka.content[CONTROL]]


def test_cancel_waits_until_it_is_done(run: Run, topics: type[FakeCluster], job: Callable[[Job], None]) -> None:
    tell(topics, status="completed", ended_at=1_500)
    tell(topics)
    job(lambda control: tell(topics, status="cancelled", reason=control.reason, ended_at=2_000))
    assert run("cancel", "w1", "--reason", "no use").stdout == "Workflow w1 is cancelled.\n"
    (control,) = asked(topics)
    assert (control.kind, control.event.workflow_id, control.reason) == ("cancel", "w1", "no use")
    assert control.by
    assert topics.content[CONTROL][0].key == str(shard_of("w1", 16)).encode()


def test_cancel_is_only_for_what_runs(run: Run, topics: type[FakeCluster], job: Callable[[Job], None]) -> None:
    tell(topics, "w2", status="completed", ended_at=1_700_049_600_000)
    assert "workflow w2 ended already: completed at 2023-11-1" in run("cancel", "w2").stderr
    assert "list the workflows: switchyard workflows --app sdr" in run("cancel", "w9").stderr
    assert asked(topics) == []
    tell(topics)
    job(lambda control: tell(topics, status="completed", ended_at=2_000))
    assert "workflow w1 came to its end before: it is completed" in run("cancel", "w1").stderr


def test_what_to_do_where_no_job_acts(run: Run, topics: type[FakeCluster]) -> None:
    tell(topics)
    result = run("cancel", "w1")
    assert result.exit_code == 1
    assert "the job has not acted on it" in result.stderr
    assert "start it with `switchyard submit sdr`" in result.stderr


def test_a_refusal_by_the_job_is_told(run: Run, topics: type[FakeCluster], job: Callable[[Job], None]) -> None:
    tell(topics)

    def refuse(control: Control) -> None:
        error = Rejected("wrong-shard", "it stands elsewhere")
        letter = DeadLetter.of(error, control.event.json().encode(), Position(CONTROL, 0, 0), 1)
        topics.add(LETTERS, b"", letter.json().encode())

    job(refuse)
    assert "the job refused it, wrong-shard: it stands elsewhere" in run("cancel", "w1").stderr


def test_pause_tells_every_shard_and_workflows_says_so(run: Run, topics: type[FakeCluster]) -> None:
    tell(topics)
    topics.add(CONTROL, b"0", b"no control event")
    said = run("pause", "sdr").stdout
    assert "Told 16 shards of sdr to pause" in said
    assert {int(item.key) for item in topics.content[CONTROL][1:]} == set(shard_keys(16))
    (by,) = {Control.of(Event.parse(item.value)).by for item in topics.content[CONTROL][1:]}
    assert f"by {by}. Go on: switchyard resume sdr" in run("workflows").stdout
    assert "Told 16 shards of sdr to go on." in run("resume", "sdr").stdout
    assert "paused" not in run("workflows").stdout


def test_pausing_before_there_are_topics(run: Run, kafka: type[FakeCluster]) -> None:
    assert "`switchyard submit sdr --namespace other` creates it" in run("pause", "sdr", "--namespace", "other").stderr


def test_the_number_of_shards_follows_from_the_ledger() -> None:
    def written(*records: Record, shards: int) -> list[tuple[KafkaRecord, Record]]:
        keys = [
            record.shard if isinstance(record, Fence) else shard_of(record.workflow_id, shards) for record in records
        ]
        return [
            (KafkaRecord("t", 0, 0, 0, str(key).encode(), b""), item) for key, item in zip(keys, records, strict=True)
        ]

    many = [decision(f"w{number}") for number in range(40)]
    assert shards_from([], 16) == 16
    assert shards_from(written(*many, shards=16), 16) == 16
    assert shards_from(written(*many, shards=5), 16) == 5
    assert shards_from([(KafkaRecord("t", 0, 0, 0, b"no key", b""), many[0]), *written(*many, shards=5)], 16) == 5
    other = next(key for key in shard_keys(12) if key not in shard_keys(16))
    with pytest.raises(SwitchyardError, match="set SWITCHYARD_SHARDS"):
        shards_from(written(Fence(other, "x", 1), shards=12), 16)


def test_approvals_are_listed_and_shown(run: Run, topics: type[FakeCluster]) -> None:
    assert run("approvals", "list").stdout == "Nothing waits for approval.\n"
    tell(topics, approvals=[approval()])
    tell(topics, "w2", approvals=[approval("f" * 32)])
    tell(topics, "w2", status="stopped", code="rejected", approvals=[])
    topics.add(LEDGER, str(shard_of("w1", 16)).encode(), decision("w1").json().encode())
    (item,) = [json.loads(line) for line in run("approvals", "list", "--json").stdout.splitlines()]
    assert (item["id"], item["workflow_id"], item["agent"], item["until"]) == (WAITING, "w1", "fixing", None)
    assert item["since"] == "1970-01-01T00:00:02.000Z"
    listing = run("approvals", "list").stdout
    assert WAITING[:8] in listing
    assert WAITING[:9] not in listing
    shown = run("approvals", "show", WAITING[:5]).stdout
    assert '"text": "ticket 1"' in shown
    assert "decided by  rule" in shown
    assert json.loads(run("approvals", "show", WAITING, "--json").stdout)["event"]["id"] == "ticket-1"
    told = run("workflows").stdout
    assert "running (1 approval)" in told
    assert "stopped (rejected)" in told
    assert "switchyard approvals list" in told


def test_an_id_must_be_known_and_unique(run: Run, topics: type[FakeCluster]) -> None:
    tell(topics, approvals=[approval("ab" + "0" * 30), approval("ab" + "1" * 30)])
    assert "'ab' begins several: ab000000, ab111111" in run("approvals", "approve", "ab").stderr
    assert "nothing that waits for approval has an id that begins with 'c'" in run("approvals", "show", "c").stderr
    assert run("approvals", "reject", "ab0").exit_code == 2
    assert "say why with --reason" in run("approvals", "reject", "ab0", "--reason", " ").stderr
    assert asked(topics) == []


def test_an_approval_waits_until_it_is_gone(run: Run, topics: type[FakeCluster], job: Callable[[Job], None]) -> None:
    tell(topics)
    tell(topics, approvals=[approval()])
    job(lambda control: tell(topics, approvals=[]))
    said = run("approvals", "approve", WAITING[:6]).stdout
    assert said == "fixing gets ticket.opened of workflow w1, which is running.\n"
    (control,) = asked(topics)
    assert (control.kind, control.approval, control.event.workflow_id) == ("approve", WAITING, "w1")


def test_a_rejection_stops_the_workflow(run: Run, topics: type[FakeCluster], job: Callable[[Job], None]) -> None:
    tell(topics, approvals=[approval()])
    job(lambda control: tell(topics, status="stopped", code="rejected", reason=control.reason, approvals=[]))
    said = run("approvals", "reject", WAITING, "--reason", "too dear").stdout
    assert said == "fixing does not get ticket.opened of workflow w1, which is stopped.\n"
    (control,) = asked(topics)
    assert (control.kind, control.reason) == ("reject", "too dear")


def test_an_approval_that_comes_too_late(run: Run, topics: type[FakeCluster], job: Callable[[Job], None]) -> None:
    tell(topics, approvals=[approval()])
    job(lambda control: tell(topics, status="stopped", reason="fixing was not approved in time", approvals=[]))
    result = run("approvals", "approve", WAITING)
    assert result.exit_code == 1
    assert "workflow w1 is stopped: fixing was not approved in time" in result.stderr


def test_a_workflow_is_shown_as_far_as_it_is_kept(run: Run, topics: type[FakeCluster]) -> None:
    """Kafka drops decisions and statuses by their age, and not both at once."""
    topics.add(LEDGER, b"250", decision("w1").json().encode())
    tell(topics, "w2", status="completed", ended_at=2_000)
    assert [item["workflow_id"] for item in map(json.loads, run("workflows", "--json").stdout.splitlines())] == ["w2"]
    assert "fixing" in run("trace", "w1").stdout
    assert "completed" in run("trace", "w2").stdout
    assert "no status of workflow 'w1' stands in sdr.workflow-status" in run("cancel", "w1").stderr
    assert "nothing is known of workflow 'w3'" in run("trace", "w3").stderr
