"""The Python code of an app's folder, wherever it is on disk."""

from __future__ import annotations

import importlib
import itertools
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import cloudpickle

from switchyard.core.app_problem import AppProblem, YamlPath
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
        file = f"{module_name.replace('.', '/')}.py"
        if not (self.folder / file).is_file():
            raise AppError(self.folder.name, [f"{reference!r} names no module: write {file}"])
        module = self.module(module_name)
        function = getattr(module, function_name, None)
        if not callable(function):
            raise AppError(self.folder.name, [f"{file} has no function {function_name!r}, which agents.yaml names"])
        return function  # type: ignore[no-any-return]

    def loaded_files(self) -> list[Path]:
        """The files of the app's modules that were imported so far."""
        modules = [module for name, module in sys.modules.items() if name.startswith(f"{self.package}.")]
        return sorted(Path(module.__file__) for module in modules if module.__file__)

    def checked(self, reference: str, path: YamlPath) -> Callable[..., Any]:
        """The function that `agents.yaml` names at `path`.

        Raises AppError with file and line where there is none, and where its module cannot be imported.
        """
        try:
            return self.function(reference)
        except AppError as error:
            problems = [AppProblem(item.message, path=path) for item in error.problems]
        except Exception as error:  # noqa: BLE001  # code of the app's, which may do anything
            file, line = self._place(error, f"{reference.partition(':')[0].replace('.', '/')}.py")
            problems = [AppProblem(f"it cannot be imported: {type(error).__name__}: {error}", file=file, line=line)]
        raise AppError(self.folder.name, problems)

    def _place(self, error: Exception, otherwise: str) -> tuple[str, int]:
        """Where in the app's own code it went wrong: a file of the folder, and the line."""
        if isinstance(error, SyntaxError) and error.filename and error.lineno:
            places = [(Path(error.filename), error.lineno)]
        else:
            frames = traceback.extract_tb(error.__traceback__)
            places = [(Path(frame.filename), frame.lineno or 1) for frame in frames]
        own = [(file, line) for file, line in places if file.is_relative_to(self.folder)]
        return (str(own[-1][0].relative_to(self.folder)), own[-1][1]) if own else (otherwise, 1)

    def module(self, name: str) -> ModuleType:
        """A module of the folder. Raises ImportError where there is none; its own errors pass through."""
        importlib.invalidate_caches()
        return importlib.import_module(f"{self.package}.{name}")
