"""An app from `switchyard new`, as a newcomer makes it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.e2e.conftest import CommandLine

pytestmark = [pytest.mark.e2e, pytest.mark.own_stack]


def test_an_app_of_ones_own_from_nothing(command: CommandLine, tmp_path: Path) -> None:
    folder = tmp_path / "helpdesk"
    assert "lint" in command.run("new", "app", str(folder))
    with ThreadPoolExecutor() as pool:
        linted, tested = pool.map(lambda check: command.run(check, str(folder)), ("lint", "test"))
    assert "no problems" in linted
    assert "cases passed" in tested
    figures = command.demo(str(folder))
    assert figures["workflows"] == figures["completed"] > 0
    assert figures["dead_letters"] == 0
    command.run("new", "agent", "summarizer", "--app", str(folder))
    assert "no problems" in command.run("lint", str(folder))
