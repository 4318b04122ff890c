"""Agents, contracts and prompt: what loading the app finds, each with its line."""

from __future__ import annotations

import re
from pathlib import Path

from switchyard.cli.linting.problem import Problem, line_of
from switchyard.core.app import App, find
from switchyard.core.errors import AppError


def load(name_or_path: str) -> tuple[App | None, list[Problem]]:
    """The app, or why it cannot be loaded. Raises AppError where there is no such folder."""
    folder, _ = find(name_or_path)
    try:
        return App.load(name_or_path), []
    except AppError as error:
        return None, [_placed(folder, problem) for problem in error.problems]


def _placed(folder: Path, message: str) -> Problem:
    """A sentence of the registry, with the line of the file that it speaks of."""
    named = re.match(r"(agents\.yaml|router\.md|contracts/[\w.-]+\.avsc): ", message)
    file = folder / (named.group(1) if named else "agents.yaml")
    text = message[named.end() :] if named else message
    if at := re.search(r"line (\d+)", text):
        return Problem(file, int(at.group(1)), text)
    if agent := re.search(r"agent '([^']+)'", text):
        return Problem(file, agent_line(file, agent.group(1)), text)
    word = re.search(r"'([^']+)'|(\$\w+)|(\w+)(?=: )", text)
    found = next(part for part in word.groups() if part) if word else ""
    return Problem(file, line_of(file, re.escape(found)) if found else 1, text)


def agent_line(file: Path, name: str) -> int:
    """Where an agent's entry begins."""
    return line_of(file, rf"name:\s*[\"']?{re.escape(name)}\b")
