"""`new app` and `new agent`: what they write is sound, and nothing is overwritten."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from switchyard.cli.linting import code, contracts, names
from switchyard.core.app import App
from switchyard.core.app_code import AppCode
from tests.cli.conftest import Run


@pytest.fixture
def folder(run: Run, tmp_path: Path) -> Path:
    assert run("new", "app", str(tmp_path / "helpdesk")).exit_code == 0
    return tmp_path / "helpdesk"


def sound(folder: Path) -> App:
    app = App.load(str(folder))
    assert not [*contracts.unreadable_predecessors(app), *code.unusable_functions(app), *names.unknown_agents(app)]
    return app


def test_a_new_app_has_its_own_name_and_a_sample_input(folder: Path) -> None:
    app = sound(folder)
    assert app.name == "helpdesk"
    topic = app.registry.file.inputs[0]
    lines = (folder / f"{topic.topic.removeprefix('incoming-')}.jsonl").read_bytes().splitlines()
    assert lines
    for line in lines:
        app.registry.contracts[topic.type].check(yaml.safe_load(line))
    assert not any(
        "skeleton" in path.read_text() for path in folder.rglob("*") if path.suffix in (".md", ".yaml", ".py")
    )


@pytest.mark.parametrize("name", ["null", "Bad_Name", "9lives", "sdr", "a" * 41])
def test_a_name_that_cannot_be_is_refused(run: Run, tmp_path: Path, name: str) -> None:
    assert run("new", "app", str(tmp_path / name)).exit_code == 1
    assert not (tmp_path / name).exists()


def test_nothing_is_overwritten(run: Run, folder: Path) -> None:
    (folder / "README.md").write_text("mine")
    result = run("new", "app", str(folder))
    assert result.exit_code == 1
    assert "exists already; nothing was changed" in result.stderr
    assert (folder / "README.md").read_text() == "mine"


def test_a_new_agent_keeps_comments_and_answers_by_its_contract(run: Run, folder: Path) -> None:
    file = folder / "agents.yaml"
    file.write_text(file.read_text().replace("agents:", "# who works here\nagents:") + "# the end\n")
    assert run("new", "agent", "escalate", "--app", str(folder)).exit_code == 0
    described = ["--accepts", "request.sorted", "--emits", "reply.written", "--description", "Ends: old cases, only."]
    assert run("new", "agent", "close-case", "--app", str(folder), *described).exit_code == 0
    app = sound(folder)
    assert list(app.registry.agents) == ["triage", "reply", "escalate", "close-case"]
    assert app.registry.ends("escalate.done")
    assert app.registry.agents["close-case"].description == "Ends: old cases, only."
    assert "# who works here\nagents:" in file.read_text()
    offline = AppCode(folder)
    facts = {"request_id": "r", "sender": "a@b.example", "text": "t", "kind": "spam"}
    for agent, event_type in (("escalate", "escalate.done"), ("close_case", "reply.written")):
        app.registry.contracts[event_type].check(offline.function(f"offline:{agent}")(facts))


@pytest.mark.parametrize("ends", ["ends:\n  - reply.written\n", "ends: []\n", ""])
def test_a_new_type_ends_its_branch_however_ends_is_written(run: Run, folder: Path, ends: str) -> None:
    file = folder / "agents.yaml"
    file.write_text(file.read_text().replace("ends: [reply.written]\n", ends))
    assert run("new", "agent", "escalate", "--app", str(folder)).exit_code == 0
    assert sound(folder).registry.ends("escalate.done")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["reply"], "has an agent 'reply' already"),
        (["Reply Two"], "cannot be an agent's name"),
        (["none"], "cannot be an agent's name"),
        (["null"], "means something else in YAML or Python"),
        (["import"], "means something else in YAML or Python"),
        (["escalate", "--emits", "true"], "--emits true: write lower-case words"),
        (["late", "--accepts", "lead.lost"], "there is no such event type"),
        (["late", "--emits", "agent.failed"], "--emits agent.failed"),
        (["late", "--accepts", "reply.written", "--emits", "request.sorted"], "nothing was changed"),
    ],
)
def test_an_agent_that_cannot_be_changes_nothing(run: Run, folder: Path, arguments: list[str], sentence: str) -> None:
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    result = run("new", "agent", *arguments, "--app", str(folder))
    assert result.exit_code == 1
    assert sentence in result.stderr
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before
