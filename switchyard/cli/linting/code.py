"""The app's Python: it imports, and has each function that `agents.yaml` names."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from pathlib import Path

from switchyard.cli.linting.problem import Problem
from switchyard.cli.linting.registry import placed
from switchyard.core.app import App
from switchyard.core.app_code import AppCode
from switchyard.core.app_problem import AppProblem, YamlPath
from switchyard.core.errors import AppError


def unusable_functions(app: App) -> Iterator[Problem]:
    """Functions that are not there, and modules that cannot be imported; each module is told of once."""
    code = AppCode(app.folder)
    broken: set[str] = set()
    for reference, path in references(app):
        module = reference.partition(":")[0]
        if module in broken:
            continue
        try:
            code.function(reference)
        except AppError as error:
            for problem in error.problems:
                yield placed(app.folder, AppProblem(problem.message, path=path))
        except Exception as error:  # noqa: BLE001
            broken.add(module)
            file, line = _place(error, app.folder, app.folder / f"{module}.py")
            yield Problem(file, line, f"it cannot be imported: {type(error).__name__}: {error}")


def references(app: App) -> Iterator[tuple[str, YamlPath]]:
    """Every `module:object` of an app's folder that agents.yaml names, or means, and the place that does."""
    file = app.registry.file
    for number, agent in enumerate(file.agents):
        yield agent.function, ("agents", number, "handler" if agent.handler else "name")
    for number, reference in enumerate(file.background):
        yield reference, ("background", number)
    if file.memory.summarise:
        yield file.memory.summarise, ("memory", "summarise")
    if router := getattr(file, "router", None):
        yield router, ("router",)
    for number, gather in enumerate(file.gathers):
        if ":" in gather.policy:
            yield gather.policy, ("gathers", number, "policy")


def _place(error: Exception, folder: Path, otherwise: Path) -> tuple[Path, int]:
    """Where in the app's own code it went wrong."""
    if isinstance(error, SyntaxError) and error.filename and error.lineno:
        return Path(error.filename), error.lineno
    frames = [
        frame for frame in traceback.extract_tb(error.__traceback__) if Path(frame.filename).is_relative_to(folder)
    ]
    return (Path(frames[-1].filename), frames[-1].lineno or 1) if frames else (otherwise, 1)
