"""A memory backend of one's own: found by name, checked, used by a worker's handlers."""

from __future__ import annotations

import sys
import threading
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from switchyard.core.agents_file import MemoryLimits
from switchyard.core.app_code import AppCode
from switchyard.core.errors import SettingsError
from switchyard.worker.memory import loading
from switchyard.worker.memory.backend import AgentMemory, MemoryContext
from switchyard.worker.memory.loading import is_trimmable, open_backend

OWN = '''
from switchyard import MemoryContext, StoredMemory


class Lists:
    """A backend of a few lines."""

    def __init__(self, context):
        self.namespace, self.entries = context.namespace, []

    def recall(self, agent, subject, limit):
        about = [entry for entry in self.entries if (entry.agent, entry.subject) == (agent, subject)]
        return sorted(about, key=lambda entry: -entry.at)[:limit]

    def keep(self, entries):
        self.entries += [entry for entry in entries if entry not in self.entries]


def lists(context: MemoryContext) -> Lists:
    return Lists(context)


def broken(context):
    raise RuntimeError("secret text")


def half(context):
    return type("Half", (), {"recall": print})()


number = 7
'''
CONTEXT = MemoryContext("ns", MemoryLimits(), threading.Event())


@pytest.fixture
def code(tmp_path: Path) -> AppCode:
    (tmp_path / "own.py").write_text(OWN)
    (tmp_path / "failing.py").write_text("import no_such_package\n")
    (tmp_path / "raising.py").write_text("raise RuntimeError('secret text')\n")
    return AppCode(tmp_path)


def test_a_file_of_the_apps_folder(code: AppCode) -> None:
    backend = open_backend("own:lists", CONTEXT, code)
    memory = AgentMemory(backend, "a", "key")
    memory.remember("s", "first")
    memory.remember("s", "second")
    backend.keep(memory.pending)
    backend.keep(memory.pending)
    assert [item.text for item in memory.recall("s", 9)] == ["second", "first"]
    assert not is_trimmable(backend)


def test_an_installed_module_and_an_entry_point(tmp_path: Path, code: AppCode, monkeypatch: pytest.MonkeyPatch) -> None:
    installed = tmp_path / "site"
    installed.mkdir()
    (installed / "lists_of_this_test.py").write_text(OWN)
    monkeypatch.syspath_prepend(str(installed))
    assert type(open_backend("lists_of_this_test:Lists", CONTEXT, code)).__name__ == "Lists"
    point = EntryPoint("lists", "lists_of_this_test:lists", loading.ENTRY_POINTS)
    monkeypatch.setattr(loading, "entry_points", lambda group: [point])
    assert type(open_backend("lists", CONTEXT, code)).__name__ == "Lists"
    sys.modules.pop("lists_of_this_test")


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("elsewhere", "there is no such backend; write one of sqlite, mem0, or module:object"),
        ("nowhere:make", "there is no module 'nowhere', neither installed nor as nowhere.py in "),
        ("no.where:make", "there is no module 'no.where'"),
        ("own:missing", "own has no 'missing'"),
        ("own:number", "int cannot be called; it takes a MemoryContext and returns a backend"),
        ("own:half", "Half has no method 'keep', which every MemoryBackend has"),
        ("own:broken", "it raised RuntimeError; the log has the trace"),
        ("failing:make", "failing cannot be imported: No module named 'no_such_package'"),
        ("raising:make", "raising cannot be imported: it raised RuntimeError"),
    ],
)
def test_what_is_wrong_is_a_sentence(name: str, sentence: str, code: AppCode) -> None:
    with pytest.raises(SettingsError) as raised:
        open_backend(name, CONTEXT, code)
    assert str(raised.value).startswith(f"SWITCHYARD_MEMORY is {name}: {sentence}")
    assert "secret" not in str(raised.value)
