"""An operator at work: dead letters sent again, approvals, a pause, a cancel, on one job and without workers."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from switchyard.cli.main import app
from switchyard.core.control import Control
from switchyard.core.event import Event
from switchyard.core.job_config import job_name
from switchyard.core.settings import Settings
from switchyard.flink.rest import Flink, wait_for
from switchyard.kafka.admin import Cluster
from switchyard.kafka.connection import KafkaConnection
from switchyard.local.info import StackInfo
from tests.e2e.conftest import CommandLine
from tests.e2e.test_demo import copy_of_sdr

pytestmark = pytest.mark.e2e

NAMESPACE = "operated"
MESSAGES, CONTROL = f"{NAMESPACE}.agent-messages", f"{NAMESPACE}.control"


class Operator:
    """Commands about one app in one namespace, run in this process."""

    def __init__(self, kafka: str, folder: str) -> None:
        self.app = folder
        self.env = {"SWITCHYARD_KAFKA": kafka}

    def run(self, *arguments: str, code: int = 0) -> str:
        """What it says. Fails where the exit code is another."""
        place = () if arguments[-1] == self.app else ("--app", self.app)
        result = CliRunner().invoke(app, [*arguments, *place, "--namespace", NAMESPACE], env=self.env)
        assert result.exit_code == code, f"switchyard {' '.join(arguments)}: {result.output}"
        return result.output

    def objects(self, *listing: str) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.run(*listing, "--json").splitlines()]

    def eventually(self, found: Callable[[dict[str, Any]], bool], *listing: str) -> dict[str, Any]:
        """The first object of a listing for which it is so."""

        def look() -> dict[str, Any] | None:
            return next((item for item in self.objects(*listing) if found(item)), None)

        return wait_for(look, 120, f"switchyard {' '.join(listing)} never showed it")


@pytest.fixture(scope="module")
def operator(home: Path, info: StackInfo, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operator]:
    folder = copy_of_sdr(tmp_path_factory.mktemp("operated") / "sdr")
    agents = folder / "agents.yaml"
    text = agents.read_text().replace("  - name: lead-scoring\n", "  - name: lead-scoring\n    approval: required\n")
    agents.write_text(text)
    CommandLine(home).run("submit", str(folder), "--namespace", NAMESPACE)
    yield Operator(info.kafka, str(folder))
    for job in Flink(info.flink).jobs(job_name(NAMESPACE)):
        Flink(info.flink).cancel(job.id)


LEAD = {
    "lead_id": "operated-1",
    "name": "Ada Lovelace",
    "email": "ada@analytical.example",
    "company": "Analytical",
    "title": "Countess",
    "source": "website",
    "interest": "engines",
    "message": "Tell me more.",
}
NEW = {**LEAD, "created_at": "2026-03-02T08:00:00Z"}
PROFILE = {
    **LEAD,
    "research": {"source": "none", "industry": "", "employees": None, "facts": []},
    "summary": "A countess who asks about engines.",
}


def event(workflow: str, type: str, data: dict[str, object]) -> tuple[bytes, bytes]:
    """A record for agent-messages."""
    made = Event.new(id=workflow, source="tests", type=type, workflow_id=workflow, data=data)
    return workflow.encode(), made.json().encode()


def in_the_middle(workflow: str, type: str, data: dict[str, object]) -> list[tuple[bytes | None, bytes]]:
    """Records for the control topic: only an operator may begin with an event that the app does not start with."""
    _, raw = event(workflow, type, data)
    again = Event.parse(raw).again("tests/0/0", data)
    asked = Control.new("retry", "tests", "", "ada", workflow_id=workflow, event=again.object())
    return list(asked.records(Settings().shards))


def test_a_dead_letter_is_mended_and_sent_again_once(operator: Operator, info: StackInfo, tmp_path: Path) -> None:
    cluster = Cluster(KafkaConnection(info.kafka))
    cluster.send(MESSAGES, [event("mended", "lead.created", {**NEW, "email": "none"})])
    letter = operator.eventually(lambda item: item["reason"] == "contract-violation", "dead-letters", "list")
    number = str(letter["number"])
    assert "mend it with --edit" in operator.run("dead-letters", "retry", number, code=1)

    editor = tmp_path / "editor"
    editor.write_text('#!/bin/sh\nsed -i s/none/ada@analytical.example/ "$1"\n')
    editor.chmod(0o755)
    operator.env["VISUAL"] = str(editor)
    operator.run("dead-letters", "retry", number, "--edit")
    operator.eventually(lambda item: item["workflow_id"] == "mended" and item["hops"] == 1, "workflows")
    assert operator.objects("dead-letters", "list") == []

    (retried,) = [item for item in cluster.read(CONTROL) if Event.parse(item.value).type == "control.retry"]
    cluster.send(CONTROL, [(retried.key, retried.value)])
    status = operator.eventually(lambda item: item["duplicates"] == 1, "workflows")
    assert (status["workflow_id"], status["dispatches"]) == ("mended", 1)


def test_a_person_approves_rejects_pauses_and_cancels(operator: Operator, info: StackInfo) -> None:
    cluster = Cluster(KafkaConnection(info.kafka))
    for workflow in ("asks-1", "asks-2"):
        cluster.send(CONTROL, in_the_middle(workflow, "lead.profiled", PROFILE))
    first = operator.eventually(lambda item: item["workflow_id"] == "asks-1", "approvals", "list")
    second = operator.eventually(lambda item: item["workflow_id"] == "asks-2", "approvals", "list")
    assert first["agent"] == "lead-scoring"
    assert "A countess who asks about engines." in operator.run("approvals", "show", first["id"][:8])
    assert "lead-scoring gets lead.profiled" in operator.run("approvals", "approve", first["id"][:8])
    operator.run("approvals", "reject", second["id"][:8], "--reason", "not now")
    stopped = operator.eventually(lambda item: item["status"] == "stopped", "workflows")
    assert (stopped["workflow_id"], stopped["code"]) == ("asks-2", "rejected")
    assert "approved by" in operator.run("trace", "asks-1")

    operator.run("pause", operator.app)
    cluster.send(MESSAGES, [event("held", "lead.created", NEW)])
    assert "is paused since" in operator.run("workflows")
    assert "Workflow asks-1 is cancelled." in operator.run("cancel", "asks-1", "--reason", "no use")
    assert "ended already: cancelled" in operator.run("cancel", "asks-1", code=1)
    assert not any(item["workflow_id"] == "held" for item in operator.objects("workflows"))
    operator.run("resume", operator.app)
    operator.eventually(lambda item: item["workflow_id"] == "held" and item["hops"] == 1, "workflows")
    assert "is paused" not in operator.run("workflows")

    asked = [(item["action"], item["workflow_id"], item["outcome"]) for item in operator.objects("audit")]
    assert ("approve", "asks-1", "done") in asked
    assert ("reject", "asks-2", "done") in asked
    assert ("cancel", "asks-1", "done") in asked
    assert [action for action, _, _ in asked if action in ("pause", "resume")] == ["pause", "resume"]
    assert all(item["by"].endswith(" (unverified)") for item in operator.objects("audit") if item["action"] == "pause")
