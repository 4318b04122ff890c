"""The app's Python: it imports, and has each function that `agents.yaml` names."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from pathlib import Path

from switchyard.cli.linting.problem import Problem
from switchyard.cli.linting.registry import agent_line
from switchyard.core.app import App
from switchyard.core.app_code import AppCode
from switchyard.core.errors import AppError


def unusable_functions(app: App) -> Iterator[Problem]:
    code = AppCode(app.folder)
    agents_file = app.folder / "agents.yaml"
    broken: set[str] = set()
    references = [(agent.function, agent.name) for agent in app.registry.agents.values()]
    others = [*app.registry.file.background, *filter(None, [app.registry.file.memory.summarise])]
    for reference, named in [*references, *((item, item) for item in others)]:
        module = reference.partition(":")[0]
        if module in broken:
            continue
        try:
            code.function(reference)
        except AppError as error:
            for problem in error.problems:
                yield Problem(agents_file, agent_line(agents_file, named), problem)
        except Exception as error:  # noqa: BLE001
            broken.add(module)
            file, line = _place(error, app.folder, app.folder / f"{module}.py")
            yield Problem(file, line, f"it cannot be imported: {type(error).__name__}: {error}")


def _place(error: Exception, folder: Path, otherwise: Path) -> tuple[Path, int]:
    """Where in the app's own code it went wrong."""
    if isinstance(error, SyntaxError) and error.filename and error.lineno:
        return Path(error.filename), error.lineno
    frames = [
        frame for frame in traceback.extract_tb(error.__traceback__) if Path(frame.filename).is_relative_to(folder)
    ]
    return (Path(frames[-1].filename), frames[-1].lineno or 1) if frames else (otherwise, 1)
