"""Agents, contracts and prompt: what loading the app finds, each with its line."""

from __future__ import annotations

from pathlib import Path

import yaml

from switchyard.cli.linting.problem import Problem
from switchyard.core import yamlfile
from switchyard.core.app import App, find
from switchyard.core.app_problem import AppProblem, YamlPath
from switchyard.core.errors import AppError


def load(name_or_path: str) -> tuple[App | None, list[Problem]]:
    """The app, or why it cannot be loaded. Raises AppError where there is no such folder."""
    folder, _ = find(name_or_path)
    try:
        return App.load(name_or_path), []
    except AppError as error:
        return None, [placed(folder, problem) for problem in error.problems]


def placed(folder: Path, problem: AppProblem) -> Problem:
    """A problem of the app in a folder, with its line."""
    file = folder / (problem.file or "agents.yaml")
    return Problem(file, problem.line or agents_line(folder, problem.path), problem.message)


def agents_line(folder: Path, path: YamlPath) -> int:
    """The line of a place in agents.yaml, 1 where the file cannot be read."""
    try:
        return yamlfile.line(yamlfile.compose((folder / "agents.yaml").read_text(encoding="utf-8")), path)
    except (OSError, ValueError, yaml.YAMLError):
        return 1
