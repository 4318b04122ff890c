"""The Python code of an app's folder, wherever it is on disk."""

from __future__ import annotations

import importlib
import itertools
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import cloudpickle

from switchyard.core.errors import AppError

_numbers = itertools.count(1)


class AppCode:
    """Imports an app's modules under a package name of its own, so that two apps may both have a `handlers.py`.

    Modules of the folder import each other with `from . import research`.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.package = f"switchyard_app_{next(_numbers)}"
        package = ModuleType(self.package)
        package.__path__ = [str(folder)]
        sys.modules[self.package] = package
        # What of it runs inside Flink travels in the job.
        cloudpickle.register_pickle_by_value(package)

    def function(self, reference: str) -> Callable[..., Any]:
        """The function that `module:function` names.

        Raises AppError where there is none; an error inside the module passes through.
        """
        module_name, _, function_name = reference.partition(":")
        if not (self.folder / f"{module_name}.py").is_file():
            raise AppError(self.folder.name, [f"{reference!r} names no module: write {module_name}.py"])
        module = self.module(module_name)
        function = getattr(module, function_name, None)
        if not callable(function):
            raise AppError(
                self.folder.name, [f"{module_name}.py has no function {function_name!r}, which agents.yaml names"]
            )
        return function  # type: ignore[no-any-return]

    def module(self, name: str) -> ModuleType:
        """A module of the folder. Raises ImportError where there is none; its own errors pass through."""
        importlib.invalidate_caches()
        return importlib.import_module(f"{self.package}.{name}")
