"""The functions that SQL calls: the package `udfs` beside `sql`, and an app's own `udfs.py`.

Both are loaded by their path, never by a search, and travel inside the job: cloudpickle writes what these modules
define by value, so that a TaskManager needs neither of them.
"""

from __future__ import annotations

import ast
import re
import sys
import traceback
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType

import cloudpickle
from pyflink.table import TableEnvironment
from pyflink.table.udf import UserDefinedAsyncScalarFunctionWrapper, UserDefinedFunctionWrapper

from switchyard.core.app import App
from switchyard.core.bundled import UDFS
from switchyard.core.errors import SwitchyardError
from switchyard.core.ids import stable_hash

PACKAGE = "udfs"
FILE = "udfs.py"


class UdfError(SwitchyardError):
    """An app's `udfs.py` cannot be used: `file`, `line` from 1, and what is wrong there."""

    def __init__(self, file: Path, line: int, message: str) -> None:
        super().__init__(f"{file}, line {line}: {message}")
        self.file = file
        self.line = line
        self.message = message


def load_bundled() -> None:
    """Make `udfs.<name>` importable, which is how SQL names these functions."""
    loaded = sys.modules.get(PACKAGE)
    if loaded is not None and list(getattr(loaded, "__path__", [])) == [str(UDFS)]:
        return
    for name in [name for name in sys.modules if name == PACKAGE or name.startswith(f"{PACKAGE}.")]:
        del sys.modules[name]
    package = ModuleType(PACKAGE)
    package.__path__ = [str(UDFS)]
    sys.modules[PACKAGE] = package
    cloudpickle.register_pickle_by_value(package)


def load_file(path: Path, name: str) -> ModuleType:
    """A module out of one file as it is now, under a name of its own. Its errors pass through."""
    module = ModuleType(name)
    module.__file__ = str(path)
    sys.modules[name] = module
    cloudpickle.register_pickle_by_value(module)
    # Not by an import: that keeps byte code, and takes it for current where two edits have one second and one size.
    exec(compile(path.read_bytes(), str(path), "exec"), vars(module))  # noqa: S102
    return module


def register_functions(app: App, environment: TableEnvironment) -> None:
    """Make each function of the app's `udfs.py` callable in SQL, by its Python name. Raises UdfError."""
    path = app.folder / FILE
    functions = load_functions(app)
    taken = {name.casefold() for name in environment.list_functions()} if functions else set()
    for name, function in functions.items():
        if name.casefold() in taken:
            raise UdfError(path, _line_of(path, name), f"{name} is a function of Flink or of Switchyard; rename it")
        try:
            environment.create_temporary_function(f"`{name}`", function)
        except Exception as error:  # noqa: BLE001 - whatever a person's code raises
            message = f"{name} cannot be made a function of SQL: {type(error).__name__}: {error}"
            raise UdfError(path, _line_of(path, name), " ".join(message.split())) from None


def load_functions(app: App) -> Mapping[str, UserDefinedFunctionWrapper]:
    """The PyFlink functions of the app's `udfs.py` by their names there; none where it has no such file.

    Raises UdfError.
    """
    path = app.folder / FILE
    if not path.is_file():
        return {}
    try:
        sibling = next(_siblings(path), None)
        if sibling is None:
            module = load_file(path, _module_name(app))
    except Exception as error:  # noqa: BLE001 - whatever a person's code raises
        raise UdfError(path, _failing_line(error, path), f"it cannot be loaded: {_words(error)}") from None
    if sibling is not None:
        raise UdfError(
            path,
            sibling.lineno,
            f"it imports another file of the app, and {FILE} travels to the cluster alone; "
            "put what it needs into it, or into an installed package",
        )
    functions = {
        name: value
        for name, value in vars(module).items()
        if isinstance(value, UserDefinedFunctionWrapper) and not name.startswith("_")
    }
    for name, function in functions.items():
        if isinstance(function, UserDefinedAsyncScalarFunctionWrapper):
            raise UdfError(
                path, _line_of(path, name), f"{name} is async, which holds up all events; what waits is an agent's work"
            )
    if not functions:
        raise UdfError(path, 1, "it has no function for SQL; make one with @udf(result_type=...) of pyflink.table.udf")
    return functions


def _module_name(app: App) -> str:
    """Another one for each folder, so that two apps in one process do not clash."""
    return f"switchyard_{PACKAGE}_{re.sub(r'[^0-9A-Za-z]', '_', app.name)}_{stable_hash(str(app.folder))[:8]}"


def _siblings(path: Path) -> Iterator[ast.Import | ast.ImportFrom]:
    """The imports of other files of the same folder. Raises SyntaxError."""
    for node in ast.walk(ast.parse(path.read_bytes(), str(path))):
        if isinstance(node, ast.ImportFrom) and node.level:
            yield node
        elif isinstance(node, ast.Import | ast.ImportFrom):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else [item.name for item in node.names]
            tops = {name.partition(".")[0] for name in names} - sys.stdlib_module_names
            if any((path.parent / place).is_file() for top in tops for place in (f"{top}.py", f"{top}/__init__.py")):
                yield node


def _line_of(path: Path, name: str) -> int:
    """Where a module defines a name at its top, 1 where that is not seen."""
    for node in ast.parse(path.read_bytes()).body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        defined = {target.id for target in targets if isinstance(target, ast.Name)} | {getattr(node, "name", None)}
        if name in defined:
            return node.lineno
    return 1


def _failing_line(error: Exception, path: Path) -> int:
    if isinstance(error, SyntaxError) and error.filename == str(path):
        return error.lineno or 1
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
    return (lines[-1] if lines else None) or 1


def _words(error: Exception) -> str:
    message = error.msg if isinstance(error, SyntaxError) else str(error)
    return f"{type(error).__name__}: {message}"
