"""The Python of an app that runs inside Flink: its router, and its policies of consensus."""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import cloudpickle

from switchyard.core.app_code import AppCode
from switchyard.core.app_problem import AppProblem, YamlPath
from switchyard.core.errors import AppError

if TYPE_CHECKING:
    from pathlib import Path

    from switchyard.core.agents_file import AgentsFile


@dataclass(frozen=True)
class Extensions:
    """`router` is a `Router`, or None; `policies` hold a `ConsensusPolicy` by the event type that opens a gather."""

    router: Callable[..., Any] | None = None
    policies: Mapping[str, Callable[..., Any]] = field(default_factory=dict)


class AppExtensions:
    """The extensions that `agents.yaml` names, loaded when they are first needed: most commands decide nothing.

    Every use raises AppError where one is not there, or its module cannot be imported.
    """

    def __init__(self, file: AgentsFile, folder: Path) -> None:
        self._policies = {item.on: number for number, item in enumerate(file.gathers) if item.own_policy}
        self._file = file
        self._folder = folder

    @property
    def router(self) -> Callable[..., Any] | None:
        return self.loaded.router

    @property
    def policies(self) -> Mapping[str, Callable[..., Any]]:
        return self.loaded.policies

    @property
    def references(self) -> dict[str, YamlPath]:
        """Every `module:function` that is named, each once, and its place in `agents.yaml`."""
        router = {} if self._file.router is None else {self._file.router: ("router",)}
        named: dict[str, YamlPath] = {**router}
        for number in self._policies.values():
            named.setdefault(self._file.gathers[number].policy, ("gathers", number, "policy"))
        return named

    @property
    def files(self) -> list[Path]:
        """Their modules, each once."""
        modules = dict.fromkeys(item.partition(":")[0] for item in self.references)
        return [self._folder / f"{module.replace('.', '/')}.py" for module in modules]

    @cached_property
    def _code(self) -> AppCode:
        return AppCode(self._folder)

    @cached_property
    def loaded(self) -> Extensions:
        if not self.references:
            return Extensions()
        functions = {reference: self._code.checked(reference, path) for reference, path in self.references.items()}
        policies = {on: functions[self._file.gathers[number].policy] for on, number in self._policies.items()}
        return Extensions(functions.get(self._file.router or ""), policies)

    def shipped(self) -> Extensions:
        """The same, for a job. Raises AppError where it could not be used on a TaskManager, which lacks the folder."""
        loaded = self.loaded
        if not self.references:
            return loaded
        for path in self._code.loaded_files():
            for line in _late_imports(path):
                problem = "a function imports from the app; do that at the top: the job carries modules, and no folder"
                file = str(path.relative_to(self._folder))
                raise AppError(self._folder.name, [AppProblem(problem, file=file, line=line)])
        try:
            cloudpickle.dumps(loaded)
        except Exception as error:  # noqa: BLE001  # whatever an object raises that cannot be copied
            names = ", ".join(path.name for path in self.files)
            advice = "make connections, locks and clients when they are first used, and not when the module is loaded"
            problem = f"{names} cannot travel in the job ({type(error).__name__}: {error}); {advice}"
            raise AppError(self._folder.name, [AppProblem(problem, file="")]) from None
        return loaded


def _late_imports(path: Path) -> list[int]:
    """The lines of a module at which a function imports from the app's folder."""
    functions = [
        node
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    inside = [node for function in functions for node in ast.walk(function)]
    return sorted({node.lineno for node in inside if isinstance(node, ast.ImportFrom) and node.level > 0})
