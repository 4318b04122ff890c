"""The app's Python: it imports, and has each function that `agents.yaml` names."""

from __future__ import annotations

from collections.abc import Iterator

from switchyard.cli.linting.problem import Problem
from switchyard.cli.linting.registry import placed
from switchyard.core.app import App
from switchyard.core.app_code import AppCode
from switchyard.core.app_problem import YamlPath
from switchyard.core.errors import AppError


def unusable_functions(app: App) -> Iterator[Problem]:
    """Functions that are not there, and modules that cannot be imported, or cannot travel; each fault is told once."""
    code = AppCode(app.folder)
    problems: dict[str, Problem] = {}
    for reference, path in references(app):
        try:
            code.checked(reference, path)
        except AppError as error:
            problems |= {str(problem): placed(app.folder, problem) for problem in error.problems}
    if not problems:
        try:
            app.extensions.shipped()
        except AppError as error:
            problems = {str(problem): placed(app.folder, problem) for problem in error.problems}
    yield from problems.values()


def references(app: App) -> Iterator[tuple[str, YamlPath]]:
    """Every `module:function` of the app's folder that agents.yaml names, or means, and where."""
    yield from app.extensions.references.items()
    file = app.registry.file
    for number, agent in enumerate(file.agents):
        yield agent.function, ("agents", number, "handler" if agent.handler else "name")
    for number, reference in enumerate(file.background):
        yield reference, ("background", number)
    if file.forget:
        yield file.forget, ("forget",)
    if file.memory.summarise:
        yield file.memory.summarise, ("memory", "summarise")
