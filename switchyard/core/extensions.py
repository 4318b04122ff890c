"""The Python of an app that runs inside Flink: its router, and its policies of consensus."""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import cloudpickle

from switchyard.core.app_code import AppCode
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

    Every use raises AppError where one is not there, and lets through what its module raises.
    """

    def __init__(self, file: AgentsFile, folder: Path) -> None:
        self._references = {item.on: item.policy for item in file.gathers if item.own_policy}
        self._router = file.router
        self._folder = folder

    @property
    def router(self) -> Callable[..., Any] | None:
        return self.loaded.router

    @property
    def policies(self) -> Mapping[str, Callable[..., Any]]:
        return self.loaded.policies

    @property
    def files(self) -> list[Path]:
        """The modules that are named, each once."""
        named = [*([self._router] if self._router else []), *self._references.values()]
        return [self._folder / f"{module}.py" for module in dict.fromkeys(item.partition(":")[0] for item in named)]

    @cached_property
    def loaded(self) -> Extensions:
        if not self.files:
            return Extensions()
        code = AppCode(self._folder)
        router = None if self._router is None else code.function(self._router)
        return Extensions(router, {on: code.function(reference) for on, reference in self._references.items()})

    def shipped(self) -> Extensions:
        """The same, for a job. Raises AppError where it could not be used on a TaskManager, which lacks the folder."""
        for path in self.files:
            for line in _late_imports(path):
                problem = "imports a module of the app inside a function; do it at the top, for the job carries modules"
                raise AppError(self._folder.name, [f"{path.name}:{line}: it {problem} and no folder"])
        try:
            cloudpickle.dumps(self.loaded)
        except Exception as error:  # noqa: BLE001  # whatever an object raises that cannot be copied
            names = ", ".join(path.name for path in self.files)
            problem = f"{names} cannot travel in the job ({type(error).__name__}: {error})"
            advice = "make connections, locks and clients when they are first used, and not when the module is loaded"
            raise AppError(self._folder.name, [f"{problem}; {advice}"]) from None
        return self.loaded


def _late_imports(path: Path) -> list[int]:
    """The lines of a module at which a function imports from the app's folder."""
    functions = [
        node
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    inside = [node for function in functions for node in ast.walk(function)]
    return sorted({node.lineno for node in inside if isinstance(node, ast.ImportFrom) and node.level > 0})
