"""A job that runs, and anything in every topic that it reads: dead letters, no restart, and leads go on."""

from __future__ import annotations

import json
from collections import Counter

import pytest

from switchyard.core import strictjson
from switchyard.core.app import App
from switchyard.core.event import Event
from switchyard.core.job_config import job_name
from switchyard.core.ledger.record import Decision, Fence
from switchyard.core.ledger.subject import Subject
from switchyard.core.shards import shard_keys, shard_of
from switchyard.flink.rest import Flink
from switchyard.kafka.admin import Cluster
from switchyard.kafka.connection import KafkaConnection
from switchyard.local.info import StackInfo
from tests.e2e.conftest import CommandLine, until
from tests.e2e.test_submit import cancel, send_leads

pytestmark = pytest.mark.e2e

NAMESPACE = "hostile"
OURS = ("--app", "sdr", "--namespace", NAMESPACE)
LEAD = json.loads((App.load("sdr").folder / "leads.jsonl").read_text(encoding="utf-8").splitlines()[0])
MAILS = [{"day": 0, "subject": "s", "body": "pay here"}]
DRAFT = {"lead_id": "x", "name": "n", "email": "victim@bank.example", "company": "c", "emails": MAILS}
DEEP = '{"child":' * 900 + "1" + "}" * 900


def test_nothing_that_is_written_into_a_topic_ends_the_job(command: CommandLine, info: StackInfo) -> None:
    command.run("submit", "sdr", "--namespace", NAMESPACE)
    cluster, flink = Cluster(KafkaConnection(info.kafka)), Flink(info.flink)
    (job,) = flink.jobs(job_name(NAMESPACE))
    keys = [str(key).encode() for key in shard_keys(16)]
    fence = {**json.loads(Fence(0, "n", 1).json()), "at": None}
    records = [b'{"kind":"fence","at":null}', strictjson.dumps(fence).encode(), DEEP.encode(), b"", b"\xff", b"[[]]"]
    for topic in ("routing-decisions", "control"):
        cluster.send(f"{NAMESPACE}.{topic}", [(key, raw) for raw in records for key in (*keys, b"9" * 5_000)])
    event = {"specversion": "1.0", "id": "1", "source": "s", "type": "lead.created", "workflowid": "w"}
    events = [{**event, name: value} for name in event for value in (None, 1, [], {}, "x" * 5_000, "\x00")]
    cluster.send(f"{NAMESPACE}.agent-messages", [(b"w", strictjson.dumps(item).encode()) for item in events])
    forged = Event.new(id="1", source="outside", type="emails.drafted", workflow_id="evil", data=DRAFT)
    cluster.send(f"{NAMESPACE}.agent-messages", [(b"evil", forged.json().encode())])
    dots = [{**LEAD, "email": "a@" + "." * 60_000 + end} for end in ("", "@", " ")]
    leads = [
        *(strictjson.dumps(item) for item in dots),
        DEEP,
        strictjson.dumps({**LEAD, "company": "\u0301\u0327" * 40_000}),
    ]
    cluster.send(f"{NAMESPACE}.incoming-leads", [(None, text.encode()) for text in leads])
    send_leads(command, NAMESPACE)
    until(lambda: len(command.objects("workflows", *OURS)) >= 25, 120)
    assert flink.restarts(job.id) == 0
    assert flink.state(job.id) == "RUNNING"
    letters = Counter(item["topic"].partition(".")[2] for item in command.objects("dead-letters", "list", *OURS))
    assert letters["routing-decisions"] == letters["control"] == len(records) * (len(keys) + 1)
    assert letters["incoming-leads"] == len(leads) + 4
    assert "not-a-start" in {item["reason"] for item in command.objects("dead-letters", "list", *OURS)}
    assert not list(cluster.read(f"{NAMESPACE}.agent.send-email"))
    first = command.objects("workflows", *OURS)[0]["workflow_id"]
    assert first in command.run("trace", first, *OURS)

    place = (f"{NAMESPACE}.agent-messages", 0, 0)
    decision = Decision(Subject("event", "e"), first, "{}", *place, "complete", "rule", "so", 1)
    later = {**json.loads(decision.json()), "version": 9, "action": "dispatch-when"}
    key = str(shard_of(first, 16)).encode()
    cluster.send(f"{NAMESPACE}.routing-decisions", [(key, strictjson.dumps(later).encode())])
    until(lambda: "a record of the ledger has version 9" in (flink.trouble(job.id) or ""), 60)
    assert "a record of the ledger has version 9" in command.run("trace", first, *OURS, code=1)
    cancel(info, NAMESPACE)
