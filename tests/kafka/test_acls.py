"""Who is given which right, and how the commands are written."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

from switchyard.cli.main import app as command_line
from switchyard.core.app import App, shipped
from switchyard.core.topics import LARGEST_RECORD, Topics
from switchyard.flink.stateless_job import GROUP
from switchyard.kafka.acls import JOB_GROUPS, MATRIX, ROLES, Grant, grants, matrix_table
from switchyard.kafka.admin import topic_settings

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def rights() -> dict[tuple[str, str], tuple[str, ...]]:
    """Operations of sdr's users, by user and topic or group."""
    return {(item.user, item.name): item.operations for item in grants(App.load("sdr"), "ns")}


@pytest.mark.parametrize("name", shipped())
def test_every_topic_has_its_rights(name: str) -> None:
    app = App.load(name)
    granted = {item.name for item in grants(app, "ns") if item.resource == "topic"}
    assert granted == set(topic_settings(app, "ns", LARGEST_RECORD))


def test_the_intake_writes_inputs_alone(rights: dict[tuple[str, str], tuple[str, ...]]) -> None:
    intake = {name: operations for (user, name), operations in rights.items() if user == "ns.intake"}
    assert intake == {"ns.incoming-leads": ("Write",)}


def test_an_agent_reads_its_inbox_and_no_other(rights: dict[tuple[str, str], tuple[str, ...]]) -> None:
    agent = {name: operations for (user, name), operations in rights.items() if user == "ns.agent.send-email"}
    assert agent == {
        "ns.agent.send-email": ("Read",),
        "ns.send-email": ("Read",),
        "ns.agent-messages": ("Write",),
        "ns.memory": ("Read", "Write"),
        "ns.dead-letters": ("Write",),
    }


def test_only_the_job_writes_ledger_and_inboxes_and_only_people_control(
    rights: dict[tuple[str, str], tuple[str, ...]],
) -> None:
    topics = Topics("ns")
    people: set[str]
    for topic, people in (
        (topics.routing_decisions, set()),
        (topics.inbox("send-email"), set()),
        (topics.workflow_status, set()),
        (topics.audit, {"ns.eraser"}),
        (topics.control, {"ns.operator", "ns.eraser"}),
    ):
        writers = {user for (user, name), item in rights.items() if name == topic and "Write" in item}
        assert writers == {"ns.orchestrator", *people}
        assert not any("Delete" in item for (user, _), item in rights.items() if user != "ns.eraser")
    assert {item for (user, _), item in rights.items() if user == "ns.viewer"} == {("Read",), ("Describe",)}


def test_the_jobs_groups_are_those_of_its_tables() -> None:
    assert GROUP in JOB_GROUPS
    assert all(set(rights) <= set(ROLES) for rights in MATRIX.values())


def test_names_are_words_to_a_shell() -> None:
    grant = Grant("ns.it's; rm -rf /", "topic", "$(reboot)\n", ("Read", "Write"))
    words = shlex.split(grant.command("host:1 `x`"))
    assert words[words.index("--allow-principal") + 1] == "User:ns.it's; rm -rf /"
    assert words[words.index("--bootstrap-server") + 1] == "host:1 `x`"
    assert words[-6:] == ["--operation", "Read", "--operation", "Write", "--topic", "$(reboot)\n"]


def test_the_command_prints_a_line_for_each_grant(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SWITCHYARD_HOME", str(tmp_path))
    done = CliRunner().invoke(command_line, ["topics", "sdr", "--acls", "--kafka", "host:9"])
    assert done.output.splitlines() == [item.command("host:9") for item in grants(App.load("sdr"), "sdr")]
    listed = CliRunner().invoke(command_line, ["topics", "sdr", "--namespace", "other"]).output.splitlines()
    assert listed == list(topic_settings(App.load("sdr"), "other", LARGEST_RECORD))


def test_the_page_shows_the_matrix_as_it_is() -> None:
    assert "\n".join(matrix_table()) in (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
