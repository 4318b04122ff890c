"""Submitting: what it checks, what it replaces, and a cluster whose Python has only apache-flink."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import venv
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import distribution
from pathlib import Path

import pytest

from switchyard.core.app import App
from switchyard.core.bundled import ROOT
from switchyard.core.job_config import job_name
from switchyard.core.ledger.record import Decision, parse_record
from switchyard.deployment.shipping import closure
from switchyard.flink.jvm import QUICK_START
from switchyard.flink.rest import Flink, wait_for
from switchyard.kafka.admin import Cluster
from switchyard.kafka.connection import KafkaConnection
from switchyard.local.flink_cluster import wheel
from switchyard.local.info import StackInfo
from tests.e2e.conftest import CommandLine, files_with, until
from tests.e2e.test_demo import copy_of_sdr

pytestmark = pytest.mark.e2e


def python_with_only_flink(folder: Path) -> Path:
    """A virtual environment of its own that sees apache-flink and what that needs, and nothing else."""
    venv.create(folder, symlinks=True, with_pip=False)
    packages = next((folder / "lib").glob("python*/site-packages"))
    for name in closure(("apache-flink",)):
        for file in distribution(name).files or ():
            top = file.parts[0]
            target = Path(str(distribution(name).locate_file(top)))
            if top != ".." and top != "__pycache__" and not (packages / top).exists():
                (packages / top).symlink_to(target)
    return folder / "bin" / "python"


def effective_decisions(info: StackInfo, namespace: str) -> list[Decision]:
    values = [item.value for item in Cluster(KafkaConnection(info.kafka)).read(f"{namespace}.routing-decisions")]
    records = [parse_record(value) for value in values if value != b"not a record"]
    found = {(item.subject, item.attempt): item for item in reversed(records) if isinstance(item, Decision)}
    return list(found.values())


def wait_for_decisions(info: StackInfo, namespace: str, count: int) -> list[Decision]:
    deadline = time.monotonic() + 120
    while len(found := effective_decisions(info, namespace)) < count:
        assert time.monotonic() < deadline, f"{len(found)} of {count} decisions"
        time.sleep(0.3)
    return found


def send_leads(command: CommandLine, namespace: str) -> None:
    command.run("send", str(App.load("sdr").folder / "leads.jsonl"), "--app", "sdr", "--namespace", namespace)


def test_a_cluster_with_only_apache_flink_gets_our_packages_and_keeps_bad_input_of_any_size(
    command: CommandLine, info: StackInfo, tmp_path: Path
) -> None:
    python = python_with_only_flink(tmp_path / "bare")
    said = command.run("submit", "sdr", "--namespace", "shipped", "--ship-python", "--python", str(python))
    assert "shipped.agent-messages" in said
    cluster = Cluster(KafkaConnection(info.kafka))
    largest = b"x" * ((1 << 20) - 100)
    cluster.send(
        "shipped.agent-messages", [(None, b"\xff\x00 not json"), (None, largest), (b"k", b'{"specversion":"1.0"}')]
    )
    cluster.send("shipped.incoming-leads", [(None, b"[1, 2]")])
    cluster.send("shipped.routing-decisions", [(b"not a shard", b"not a record")])
    send_leads(command, "shipped")
    found = wait_for_decisions(info, "shipped", 25)
    assert Counter(item.agents for item in found) == {("lead-ingestion",): 25}
    letters = command.objects("dead-letters", "list", "--app", "sdr", "--namespace", "shipped")
    reasons = Counter((item["topic"].removeprefix("shipped."), item["reason"]) for item in letters)
    assert reasons[("agent-messages", "not-json")] == 1
    assert reasons[("agent-messages", "too-large")] == 1
    assert reasons[("agent-messages", "not-a-cloudevent")] == 1
    assert reasons[("routing-decisions", "not-json")] == 1
    assert reasons[("incoming-leads", "contract-violation")] == 3
    cancel(info, "shipped")


def test_a_job_is_replaced_and_started_by_hand_and_nothing_is_asked_again(
    command: CommandLine, info: StackInfo, tmp_path: Path
) -> None:
    """Submitted with a key in the environment, replaced with a savepoint, then without state by the plain line."""
    key = "sk-of-the-one-who-submits"
    CommandLine(command.home, OPENAI_API_KEY=key).run("submit", "sdr")
    send_leads(command, "sdr")
    first = wait_for_decisions(info, "sdr", 25)
    flink = Flink(info.flink)
    before = flink.jobs(job_name("sdr"))

    broken = copy_of_sdr(tmp_path / "broken")
    (broken / "sql" / "dispatch.sql").write_text("INSERT INTO agent_inboxes\nSELECT nothing FROM dispatches;\n")
    said = command.run("submit", str(broken), "--namespace", "sdr", code=1)
    assert "dispatch.sql, statement 1, line 2: Column 'nothing' not found" in said
    assert flink.jobs(job_name("sdr")) == before

    said = command.run("submit", "sdr")
    assert "Continuing from " in said
    after = flink.jobs(job_name("sdr"))
    assert len(before) == len(after) == 1
    assert before[0].id != after[0].id

    cancel(info, "sdr")
    by_hand(command, info)
    (job,) = flink.jobs(job_name("sdr"))
    wait_for(lambda: flink.running(job.id) or None, 60, f"the job did not run: {flink.trouble(job.id)}")
    Cluster(KafkaConnection(info.kafka)).send("sdr.incoming-leads", [(None, b"{broken")])
    deadline = time.monotonic() + 60
    while sum(1 for _ in Cluster(KafkaConnection(info.kafka)).read("sdr.dead-letters")) < 5:
        assert time.monotonic() < deadline
        time.sleep(0.3)
    records = [parse_record(item.value) for item in Cluster(KafkaConnection(info.kafka)).read("sdr.routing-decisions")]
    decisions = [item for item in records if isinstance(item, Decision)]
    assert len(decisions) == len(first) == 25
    cancel(info, "sdr")

    assert (command.home / "log" / "flink-client.log").is_file()
    assert files_with(command.home, "switchyard sdr")
    assert not files_with(command.home, key)


UDFS = """
from pyflink.table.udf import udf

INTRODUCTIONS = {"lead.created": "lead-ingestion"}


@udf(result_type="STRING")
def first_agent(event_type):
    return INTRODUCTIONS.get(event_type)
"""
SINKS = """
CREATE TEMPORARY TABLE ledger_files (workflow_id STRING, agents ARRAY<STRING>, decided_by STRING) WITH (
  'connector' = 'filesystem', 'format' = 'json', 'path' = 'file://{folder}/${{namespace}}'
);
INSERT INTO ledger_files SELECT workflow_id, agents, decided_by FROM decisions;
"""


def test_functions_and_sinks_of_an_app_work_on_a_cluster_that_never_sees_its_folder(
    command: CommandLine, info: StackInfo, tmp_path: Path
) -> None:
    folder, lake = copy_of_sdr(tmp_path / "own"), tmp_path / "lake"
    (folder / "udfs.py").write_text(UDFS)
    (folder / "sql" / "sinks.sql").write_text(SINKS.format(folder=lake))
    requests = folder / "sql" / "requests.sql"
    rule = "WHEN first_agent(type) IS NOT NULL THEN ARRAY[first_agent(type)]\n    WHEN FALSE"
    requests.write_text(requests.read_text().replace("WHEN FALSE", rule))
    command.run("submit", str(folder), "--namespace", "brought")
    folder.rename(tmp_path / "gone")
    send_leads(command, "brought")
    found = wait_for_decisions(info, "brought", 25)
    assert {(item.agents, item.decided_by) for item in found} == {(("lead-ingestion",), "rule")}

    def written() -> bool:
        files = (lake / "brought").glob("*part-*")
        lines = [line for file in files for line in file.read_text().split("\n")[:-1]]
        rows = [json.loads(line) for line in lines]
        return len({row["workflow_id"] for row in rows if row["agents"] == ["lead-ingestion"]}) == 25

    until(written, 60)
    cancel(info, "brought")


def by_hand(command: CommandLine, info: StackInfo) -> None:
    """Submit with the plain `flink run` line of docs/how-to/own-cluster.md."""
    page = (ROOT / "docs" / "how-to" / "own-cluster.md").read_text()
    line = next(block for block in page.split("```") if block.strip().startswith("flink run"))
    for name, value in (
        ("flink run", f"{wheel() / 'bin' / 'flink'} run"),
        ("-pyclientexec .venv/bin/python", f"-pyclientexec {sys.executable}"),
        ("-pyexec python3", f"-pyexec {sys.executable}"),
        ("HOST:PORT", info.kafka),
    ):
        assert name in line
        line = line.replace(name, value)
    model = {"OPENAI_BASE_URL": info.model_base_url, "SWITCHYARD_MODEL": "offline"}
    env = {**command.env, **info.flink_env, **model, "JVM_ARGS": " ".join(QUICK_START)}
    subprocess.run(["bash", "-c", line], env=env, cwd=ROOT, check=True, timeout=120, capture_output=True)


def cancel(info: StackInfo, namespace: str) -> None:
    flink = Flink(info.flink)
    for job in flink.jobs(job_name(namespace)):
        flink.cancel(job.id)


def test_what_is_wrong_is_said_before_anything_happens(command: CommandLine, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    command.run("new", "app", str(broken))
    requests = broken / "sql" / "requests.sql"
    requests.write_text(requests.read_text().replace("FROM events", "FROM evnts"))
    wrong = {
        ("nowhere",): ["there is no such app"],
        ("sdr", "--kafka", "127.0.0.1:1"): ["no Kafka broker answers at 127.0.0.1:1"],
        ("sdr", "--flink", "http://127.0.0.1:1"): ["no Flink answers"],
        (str(broken),): ["requests.sql, statement", "evnts"],
    }
    with ThreadPoolExecutor() as pool:
        said = list(pool.map(lambda arguments: command.run("submit", *arguments, code=1), wrong))
    for words, sentence in zip(wrong.values(), said, strict=True):
        assert all(word in sentence for word in words), sentence
        assert "Traceback" not in sentence
