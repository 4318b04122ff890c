"""The stack's key for dispatches: one for its life, nobody else's to read, and the environment's where that has one."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from switchyard.core.settings import SHORTEST_KEY
from switchyard.environment import read_own_access
from switchyard.local import dispatch_key
from switchyard.local.layout import Layout


def test_it_is_made_once_and_read_by_its_owner_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    layout = Layout(tmp_path)
    made = dispatch_key.environment(layout, {})
    assert made == dispatch_key.environment(layout, {})
    assert made != dispatch_key.environment(Layout(tmp_path / ".."), {"SWITCHYARD_DISPATCH_KEY": "k" * SHORTEST_KEY})
    assert stat.S_IMODE(layout.dispatch_key.stat().st_mode) == 0o600
    for name, value in made.items():
        monkeypatch.setenv(name, value)
    key = read_own_access().dispatch_key
    assert key is not None
    assert key.get_secret_value() == made["SWITCHYARD_DISPATCH_KEY"]
    assert made["SWITCHYARD_DISPATCH_KEY"] not in repr(read_own_access())


def test_the_environment_has_the_first_word(tmp_path: Path) -> None:
    given = {"SWITCHYARD_DISPATCH_KEY": "k" * SHORTEST_KEY, "OTHER": "x"}
    assert dispatch_key.environment(Layout(tmp_path), given) == {"SWITCHYARD_DISPATCH_KEY": "k" * SHORTEST_KEY}
    assert not list(tmp_path.iterdir())
