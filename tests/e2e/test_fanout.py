"""A fan-out on a real broker and cluster: one of its agents is killed in the middle of its handler."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from switchyard.core.bundled import ROOT
from switchyard.core.topics import Topics
from switchyard.kafka.admin import Cluster
from switchyard.kafka.connection import KafkaConnection
from switchyard.local.info import StackInfo
from tests.e2e.conftest import MODEL_VARIABLES, CommandLine, until

pytestmark = pytest.mark.e2e

AGENTS = """
app: panel
starts: [asked]
ends: [asked.gathered]
gathers:
  - {on: asked, policy: quorum, quorum: 3, vote: view, deadline: 15}
agents:
  - {name: ada, description: Says yes., accepts: [asked], emits: [said]}
  - {name: bob, description: Says no., accepts: [asked], emits: [said]}
  - {name: eve, description: Takes long., accepts: [asked], emits: [said]}
"""
HANDLERS = """
import pathlib, time
def ada(task):
    return {'view': 'yes'}
def bob(task):
    return {'view': 'no'}
def eve(task):
    pathlib.Path(__file__).with_name('thinking').touch()
    time.sleep(60)
"""
RULE = """
CREATE TEMPORARY VIEW routing_requests AS
SELECT *, CASE WHEN type = 'asked' THEN ARRAY['ada', 'bob', 'eve'] ELSE CAST(NULL AS ARRAY<STRING>) END AS rule_agents
FROM events;
"""
FIELDS = {"asked": "question", "said": "view"}
ASKED = {
    "specversion": "1.0",
    "id": "q1",
    "source": "tests",
    "type": "asked",
    "workflowid": "q1",
    "data": {"question": "now?"},
}


@pytest.fixture
def panel(tmp_path: Path) -> Path:
    folder = tmp_path / "panel"
    for name in ("contracts", "sql"):
        (folder / name).mkdir(parents=True)
    (folder / "agents.yaml").write_text(AGENTS)
    (folder / "handlers.py").write_text(HANDLERS)
    for name, field in FIELDS.items():
        schema = {"type": "record", "name": name, "fields": [{"name": field, "type": "string"}]}
        (folder / "contracts" / f"{name}.avsc").write_text(json.dumps(schema))
    (folder / "sql" / "requests.sql").write_text(RULE)
    (folder / "sql" / "dispatch.sql").write_bytes(ROOT.joinpath("sql", "sdr", "dispatch.sql").read_bytes())
    return folder


@pytest.fixture
def worker(panel: Path, info: StackInfo, tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Starts a worker of some agents; those that still run at the end are killed."""
    env = {**os.environ, "SWITCHYARD_KAFKA": info.kafka, "SWITCHYARD_HOME": str(tmp_path)}
    for name in MODEL_VARIABLES[:3]:
        env.pop(name, None)
    started: list[subprocess.Popen[bytes]] = []

    def start(*agents: str) -> subprocess.Popen[bytes]:
        named = [word for agent in agents for word in ("--agent", agent)]
        command = [sys.executable, "-m", "switchyard.worker", str(panel), *named]
        with (tmp_path / "worker.log").open("ab") as out:
            started.append(subprocess.Popen(command, stdout=out, stderr=out, env=env))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait()


def test_an_agent_killed_in_a_fan_out_is_missing_and_the_rest_counts(
    panel: Path, worker: Callable[..., subprocess.Popen[bytes]], command: CommandLine, info: StackInfo
) -> None:
    command.run("submit", str(panel))
    worker("ada", "bob")
    victim = worker("eve")
    cluster, inboxes = Cluster(KafkaConnection(info.kafka)), Topics("panel").inboxes(("ada", "bob", "eve"))
    until(lambda: cluster.unread(inboxes) == [], 60)  # the gather's deadline leaves no time for their start
    command.run("send", "-", "--app", str(panel), "--topic", "agent-messages", stdin=json.dumps(ASKED).encode())
    until((panel / "thinking").exists, 60)
    victim.send_signal(signal.SIGKILL)
    until(lambda: command.objects("workflows", "--app", str(panel))[0]["status"] == "completed", 60)

    shown = command.run("trace", "q1", "--app", str(panel))
    assert "✗ ada: yes" in shown
    assert "✗ bob: no" in shown
    assert "- eve: no answer within 15 s" in shown
    assert "quorum: partial; no vote" in shown
    command.run("stop", str(panel))
