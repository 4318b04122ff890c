"""Finds the memory backend that SWITCHYARD_MEMORY names, where it is none of the built-in ones."""

from __future__ import annotations

import importlib
import importlib.util
import logging
from collections.abc import Callable
from importlib.metadata import entry_points
from typing import Any, TypeGuard

from switchyard.core.app_code import AppCode
from switchyard.core.errors import SettingsError
from switchyard.worker.memory.backend import MemoryBackend, MemoryContext, TrimmableBackend

log = logging.getLogger("switchyard.worker")

SQLITE, MEM0 = BUILT_IN = ("sqlite", "mem0")
ENTRY_POINTS = "switchyard.memory"
METHODS = ("recall", "keep")
TRIMMING = ("all", "forget", "over", "purge_tombstones")

Factory = Callable[[MemoryContext], MemoryBackend]


def factory(name: str, code: AppCode) -> Factory:
    """Return what makes the backend of `name`: `module:object`, or an entry point of the group `switchyard.memory`.

    A module is a file of the app's folder, or one that is installed. Raises SettingsError where it cannot be used.
    """
    make = _object(name, code) if ":" in name else _entry_point(name)
    if not callable(make):
        raise _wrong(name, f"{type(make).__name__} cannot be called; it takes a MemoryContext and returns a backend")
    return make  # type: ignore[no-any-return]


def open_backend(name: str, context: MemoryContext, code: AppCode) -> MemoryBackend:
    """Return the backend of `name`. Raises SettingsError where it cannot be made, or lacks a method."""
    make = factory(name, code)
    try:
        backend = make(context)
    except SettingsError:
        raise
    except Exception as error:
        log.exception("the memory backend %s does not start", name)
        raise _wrong(name, f"it raised {type(error).__name__}; the log has the trace") from None
    missing = [method for method in METHODS if not callable(getattr(backend, method, None))]
    if missing:
        raise _wrong(name, f"{type(backend).__name__} has no method {missing[0]!r}, which every MemoryBackend has")
    return backend


def is_trimmable(backend: MemoryBackend) -> TypeGuard[TrimmableBackend]:
    """Whether a backend has the methods that trimming needs."""
    return all(callable(getattr(backend, method, None)) for method in TRIMMING)


def _object(name: str, code: AppCode) -> Any:
    module_name, _, attribute = name.partition(":")
    in_folder = (code.folder / f"{module_name}.py").is_file()
    try:
        if not in_folder and importlib.util.find_spec(module_name) is None:
            raise ModuleNotFoundError(name=module_name)
        module = code.module(module_name) if in_folder else importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
            raise _wrong(name, f"{module_name} cannot be imported: {error}") from None
        raise _wrong(
            name, f"there is no module {module_name!r}, neither installed nor as {module_name}.py in {code.folder}"
        ) from None
    except Exception as error:
        log.exception("%s cannot be imported", module_name)
        raise _wrong(name, f"{module_name} cannot be imported: it raised {type(error).__name__}") from None
    try:
        return getattr(module, attribute)
    except AttributeError:
        raise _wrong(name, f"{module_name} has no {attribute!r}") from None


def _entry_point(name: str) -> Any:
    installed = {point.name: point for point in entry_points(group=ENTRY_POINTS)}
    if name not in installed:
        names = ", ".join([*BUILT_IN, *sorted(installed)])
        raise _wrong(name, f"there is no such backend; write one of {names}, or module:object")
    try:
        return installed[name].load()
    except Exception as error:
        log.exception("%s cannot be imported", installed[name].value)
        raise _wrong(name, f"{installed[name].value} cannot be imported: it raised {type(error).__name__}") from None


def _wrong(name: str, sentence: str) -> SettingsError:
    return SettingsError(f"SWITCHYARD_MEMORY is {name}: {sentence}")
