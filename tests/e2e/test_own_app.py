"""docs/first-agent.md, as a newcomer follows it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.conftest import CommandLine

pytestmark = pytest.mark.e2e


def test_an_app_of_ones_own_from_nothing(command: CommandLine, tmp_path: Path) -> None:
    folder = tmp_path / "helpdesk"
    assert "lint" in command.run("new", "app", str(folder))
    assert "no problems" in command.run("lint", str(folder))
    assert "cases passed" in command.run("test", str(folder))
    figures = command.demo(str(folder))
    assert figures["workflows"] == figures["completed"] > 0
    assert figures["dead_letters"] == 0
    command.run("new", "agent", "summarizer", "--app", str(folder))
    assert "no problems" in command.run("lint", str(folder))
