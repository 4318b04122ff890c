"""Agents of test cases that run the app's own handlers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from switchyard.core.app import App
from switchyard.local.model_server.scripted import ScriptedServer
from switchyard.testing.agents import CaseAgents
from switchyard.testing.cases import Case, load
from tests.agents.support import inbox_event

RECORD = '{"type": "record", "name": "n", "fields": [{"name": "n", "type": "int"}]}'
AGENTS = """
app: diary
starts: [asked]
ends: [answered]
agents:
  - {name: ada, description: Keeps a diary., accepts: [asked], emits: [answered]}
"""
HANDLERS = """
async def ada(task):
    before = task.memory.recall("s", 100)
    task.memory.remember("s", "something")
    return {"n": len(before)}
"""
OWN = """
from pathlib import Path


class Lists:
    def __init__(self, context):
        self.entries = []

    def recall(self, agent, subject, limit):
        return self.entries[:limit]

    def keep(self, entries):
        self.entries += entries
        (Path(__file__).parent / "kept").write_text(str(len(self.entries)))
"""
CASES = """
- name: a diary
  handlers: real
  workflow: w1
  events: [{type: asked, data: {n: 1}}]
  expect: {status: completed}
"""


@pytest.fixture
def app(tmp_path: Path) -> App:
    for name, text in (
        ("agents.yaml", AGENTS),
        ("handlers.py", HANDLERS),
        ("own.py", OWN),
        ("contracts/asked.avsc", RECORD),
        ("contracts/answered.avsc", RECORD),
        ("sql/tests/cases.yaml", CASES),
    ):
        file = tmp_path / "diary" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return App.load(str(tmp_path / "diary"))


Make = Callable[[str], CaseAgents]


@pytest.fixture
def agents(app: App, tmp_path: Path, scripted_model: ScriptedServer) -> Iterator[Make]:
    made: list[CaseAgents] = []

    def make(memory: str) -> CaseAgents:
        made.append(CaseAgents(app, "diary", tmp_path / "agents", scripted_model.base_url, memory))
        return made[-1]

    yield make
    for item in made:
        item.close()


@pytest.mark.parametrize(("memory", "own"), [("sqlite", False), ("own:Lists", True)])
def test_a_handler_remembers_where_the_settings_say(memory: str, own: bool, app: App, agents: Make) -> None:
    case: Case = load(app)[0]
    answering = agents(memory)
    numbers = [
        answering.answer(case, "ada", inbox_event("ada", "asked", {"n": 1}, id=id).json().encode())[0].data
        for id in ("e1", "e2")
    ]
    assert numbers == [{"n": 0}, {"n": 1}]
    kept = app.folder / "kept"
    assert kept.exists() == own
    assert not own or kept.read_text() == "2"
