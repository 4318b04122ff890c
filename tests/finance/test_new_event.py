"""A new event type takes an entry in agents.yaml, a contract and a function; no other file is touched."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from switchyard.core.app import App
from switchyard.core.settings import Settings
from tests.agents.support import ScriptedModel
from tests.finance.support import FINANCE, answers, event, in_memory, offline_answer, processors

AGENT = """
  - name: {name}
    description: {description}
    accepts: [{type}]
    emits: [risk.assessed]
"""
FUNCTION = """

def {function}(task: Task) -> dict[str, Any]:
    return risk.assess(Brief.of({{**task.data, "tickers": list(prices.source().tickers)}}))
"""
NEW: dict[str, tuple[str, str, dict[str, Any]]] = {
    "market.crashed": ("crash-watcher", "Measures what is at risk when a whole market crashes.", {"fall": 0.2}),
    "regulation.changed": (
        "compliance-officer",
        "Looks at what new rules of a regulator touch.",
        {"rule": "no shorts"},
    ),
    "whale.moved": ("whale-watcher", "Looks at very large orders of one holder.", {"holder": "x", "shares": 1e6}),
}


def contract(type: str, data: dict[str, Any]) -> str:
    kinds = {str: "string", float: "double"}
    fields = [{"name": name, "type": kinds[value.__class__]} for name, value in data.items()]
    return json.dumps({"type": "record", "name": type.replace(".", "_"), "fields": fields})


def contents(folder: Path) -> dict[str, bytes]:
    found = [path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    return {str(path.relative_to(folder)): path.read_bytes() for path in found}


@pytest.mark.parametrize("type", NEW)
def test_a_new_event_type_needs_yaml_a_contract_and_a_function(
    type: str, tmp_path: Path, settings: Settings, database: Engine
) -> None:
    name, description, more = NEW[type]
    data = {**more, "as_of": "2008-10-31"}
    folder = tmp_path / "finance"
    shutil.copytree(FINANCE.folder, folder)
    before = contents(folder)

    agents, handlers = folder / "agents.yaml", folder / "handlers.py"
    text = agents.read_text().replace("starts: [", f"starts: [{type}, ")
    agents.write_text(text + AGENT.format(name=name, description=description, type=type))
    handlers.write_text(handlers.read_text() + FUNCTION.format(function=name.replace("-", "_")))
    (folder / "contracts" / f"{type}.avsc").write_text(contract(type, data))

    changed = {path for path, raw in contents(folder).items() if before.get(path) != raw}
    assert changed == {"agents.yaml", "handlers.py", f"contracts/{type}.avsc"}
    app = App.load(str(folder))
    run = in_memory(app, processors(app, settings, database, ScriptedModel(offline_answer)))
    run.publish(event(type, data))
    run.settle()
    assert [dispatch.agent for dispatch in run.dispatches] == [name]
    assert len(answers(run, "risk.assessed")[0]["weights"]) == 5
    assert run.status("w-e1") == "completed"
    run.publish(event(type, {**data, "surprise": 1}, "e2"))
    run.settle()
    assert [letter.reason for letter in run.dead_letters] == ["contract-violation"]
