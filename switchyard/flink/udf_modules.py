"""The functions that SQL calls: the package `udfs` beside `sql`, and an app's own `udfs.py`.

Both are loaded by their path, never by a search, and travel inside the job: cloudpickle writes what these modules
define by value, so that a TaskManager needs neither of them.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import cloudpickle

from switchyard.core.bundled import UDFS

PACKAGE = "udfs"


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
    """A module out of one file, under a name of its own. Its errors pass through."""
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    cloudpickle.register_pickle_by_value(module)
    spec.loader.exec_module(module)
    return module
