"""The examples of docs/how-to work: all of them in one app, that of the tutorial."""

from __future__ import annotations

import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from switchyard import AgentAnswer, MemoryContext, StoredMemory
from switchyard.core.app import App
from switchyard.core.app_code import AppCode
from tests.pages import snippet, write_files

PAGES = ("tutorial.md", "how-to/own-router.md", "how-to/sql-function.md", "how-to/own-sink.md", "how-to/own-memory.md")
SWITCHYARD = Path(sys.executable).with_name("switchyard")
COMMENT = "    -- WHEN type = 'return.assessed'"


@pytest.fixture
def app(tmp_path: Path) -> Path:
    """The tutorial's app with what every page adds."""
    for page in PAGES:
        write_files(page, tmp_path)
    requests = tmp_path / "returns" / "sql" / "requests.sql"
    text = requests.read_text(encoding="utf-8")
    assert COMMENT in text
    rule = snippet("how-to/sql-function.md", "is_fragile")
    requests.write_text(text.replace(COMMENT, rule + COMMENT), encoding="utf-8")
    return tmp_path / "returns"


@pytest.mark.flink
@pytest.mark.parametrize(("command", "words"), [("lint", "no problems"), ("test", "2 of 2 cases passed")])
def test_an_app_with_all_of_it(command: str, words: str, app: Path) -> None:
    done = subprocess.run([SWITCHYARD, command, app], capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert words in done.stdout + done.stderr


def test_the_policy_ends_with_one_veto_and_waits_for_the_last_yes(app: Path) -> None:
    policy = AppCode(app).function("voting:one_veto")
    yes, no = AgentAnswer("stance.taken", {"stance": "yes"}), AgentAnswer("stance.taken", {"stance": "no"})
    assert policy({"a": yes}, ("a", "b")) is None
    assert policy({"a": yes, "b": yes}, ("a", "b")).vote == "yes"
    vetoed = policy({"a": yes, "b": no}, ("a", "b", "c"))
    assert (vetoed.vote, vetoed.dissent) == ("no", ("a",))


def test_the_memory_keeps_once_and_recalls_the_newest_first(
    app: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RETURNS_MEMORY", str(tmp_path))
    make: Any = AppCode(app).function("shared_memory:SharedMemory")
    limits = App.load(str(app)).registry.file.memory
    memory, other = (make(MemoryContext("returns", limits, threading.Event())) for _ in range(2))
    first = StoredMemory("explainer", "ada", "1", "wrote on Monday", at=1)
    entries = [first, replace(first, id="2", text="wrote on Friday", at=2), replace(first, id="3", expires=3)]
    memory.keep(entries)
    memory.keep(entries)
    assert other.recall("explainer", "ada", 5) == [entries[1], first]
    assert other.recall("explainer", "ada", 1) == [entries[1]]
    assert other.recall("refunder", "ada", 5) == []
