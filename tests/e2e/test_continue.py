"""A job ends, by a person or by a crash, and another goes on from where it was."""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from switchyard.core.job_config import job_name
from switchyard.core.ledger.record import Decision, parse_record
from switchyard.flink.rest import Flink
from switchyard.kafka.admin import Cluster
from switchyard.kafka.connection import KafkaConnection
from switchyard.local.info import StackInfo
from switchyard.local.stack import Stack
from switchyard.local.submitted_jobs import SubmittedJobs
from tests.e2e.conftest import CommandLine
from tests.e2e.test_demo import copy_of_sdr, message_ids
from tests.e2e.test_submit import send_leads, wait_for_decisions

pytestmark = pytest.mark.e2e

NAMESPACE = "kept"
ONE_MORE_SINK = "\nINSERT INTO agent_inboxes\nSELECT ENCODE(workflow_id, 'UTF-8'), ENCODE(event, 'UTF-8'), `topic`\n"


def until(look: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + 90
    while not look():
        assert time.monotonic() < deadline, what
        time.sleep(0.3)


def values(info: StackInfo, topic: str) -> list[bytes]:
    return [item.value for item in Cluster(KafkaConnection(info.kafka)).read(f"{NAMESPACE}.{topic}")]


def test_workflows_go_on_after_a_stop_an_edit_and_a_killed_jobmanager(
    command: CommandLine, stack: Stack, info: StackInfo, tmp_path: Path
) -> None:
    flink, submitted_jobs, where = Flink(info.flink), SubmittedJobs(stack.layout), ("--namespace", NAMESPACE)
    command.run("submit", "sdr", *where)
    send_leads(command, NAMESPACE)
    wait_for_decisions(info, NAMESPACE, 25)
    (first,) = flink.jobs(job_name(NAMESPACE))

    other = CommandLine(command.home, SWITCHYARD_SHARDS="8")
    said = other.run("submit", "sdr", *where, code=1)
    assert "SWITCHYARD_SHARDS is 8, and the state has 16 shards" in said
    assert flink.jobs(job_name(NAMESPACE)) == [first]

    *_, told = command.run("stop", "sdr", "--savepoint", *where).splitlines()
    again = shlex.split(told.removeprefix("Continue from it: switchyard "))
    assert again[:3] == ["submit", "sdr", "--from"]
    assert flink.jobs(job_name(NAMESPACE)) == submitted_jobs.wanted() == []
    edited = copy_of_sdr(tmp_path / "edited")
    with (edited / "sql" / "dispatch.sql").open("a") as file:
        file.write(f"{ONE_MORE_SINK}FROM dispatches\nWHERE FALSE;\n")
    command.run(*(str(edited) if word == "sdr" else word for word in again))
    before = len(values(info, "dead-letters"))
    Cluster(KafkaConnection(info.kafka)).send(f"{NAMESPACE}.incoming-leads", [(None, b"{broken")])
    until(lambda: len(values(info, "dead-letters")) > before, "the job that goes on reads nothing")
    records = [parse_record(value) for value in values(info, "routing-decisions")]
    assert len([item for item in records if isinstance(item, Decision)]) == 25
    assert len(values(info, "agent.lead-ingestion")) == 25

    stack.add_app("sdr", NAMESPACE, {"SDR_DAY_SECONDS": "0.05"})
    wait_for_decisions(info, NAMESPACE, 30)
    (second,) = submitted_jobs.wanted()
    (jobmanager,) = (item.pid for item in stack.status() if item.process == "flink-jobmanager")
    assert jobmanager is not None
    psutil.Process(jobmanager).kill()
    until(
        lambda: [job.job_id for job in submitted_jobs.wanted()] not in ([], [second.job_id]),
        "the job did not come back",
    )

    def completed() -> bool:
        found = command.objects("workflows", "--app", "sdr", *where)
        return [item["status"] for item in found] == ["completed"] * 25

    until(completed, "workflows are left over")
    ids = message_ids(info)
    assert len(ids) == len(set(ids))
    stack.remove_app(NAMESPACE)
    said = command.run("stop", "sdr", *where)
    assert "Its newest checkpoint: " in said
    assert submitted_jobs.wanted() == []
