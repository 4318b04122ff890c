"""The memory backend that SWITCHYARD_MEMORY names: it is there, and can be called."""

from __future__ import annotations

from collections.abc import Iterator

from switchyard.cli.linting.problem import Problem
from switchyard.core.app import App
from switchyard.core.app_code import AppCode
from switchyard.core.errors import SettingsError
from switchyard.core.settings import Settings
from switchyard.worker.memory.loading import BUILT_IN, factory


def unusable_memory(app: App, settings: Settings) -> Iterator[Problem]:
    """What keeps a worker from finding the backend; it is not made here, for that may need its server."""
    if settings.memory in BUILT_IN:
        return
    module = app.folder / f"{settings.memory.partition(':')[0]}.py"
    try:
        factory(settings.memory, AppCode(app.folder))
    except SettingsError as error:
        yield Problem(module if module.is_file() else app.folder / "agents.yaml", 1, str(error))
