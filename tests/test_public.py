"""The public face: what is exported is there and documented, costs nothing, and is all that an app imports."""

from __future__ import annotations

import ast
import inspect
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import switchyard
import switchyard.testing

ROOT = Path(__file__).resolve().parents[1]
APPS = [*sorted((ROOT / "agent_endpoints").rglob("*.py")), *sorted((ROOT / "switchyard/cli/skeleton").rglob("*.py"))]
PUBLIC = ("switchyard", "switchyard.testing")
EXPORTED = [(module, name) for module in (switchyard, switchyard.testing) for name in module.__all__]
DEAR = ("pyflink", "kafka", "sqlalchemy", "pydantic", "openai", "pytest")


@pytest.mark.parametrize(("module", "name"), EXPORTED, ids=[name for _, name in EXPORTED])
def test_what_is_exported_is_documented(module: Any, name: str) -> None:
    documented = getattr(module, name)
    assert name in dir(module)
    assert inspect.getdoc(documented), f"{name} has no docstring"
    own = "" if not inspect.isclass(documented) else documented.__dict__.get("__doc__") or ""
    assert not own.startswith(f"{name}("), f"the docstring of {name} is what a dataclass makes up"
    for method, function in inspect.getmembers(documented, inspect.isfunction) if inspect.isclass(documented) else ():
        if not method.startswith("_") and function.__module__.startswith("switchyard"):
            assert inspect.getdoc(function), f"{name}.{method} has no docstring"


@pytest.mark.parametrize("module", [switchyard, switchyard.testing], ids=lambda module: module.__name__)
def test_no_other_name_is_exported(module: Any) -> None:
    assert sorted(module.__all__) == list(module.__all__)
    assert set(module.__all__) == set(module._MODULES)
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = module.nothing


@pytest.mark.parametrize("name", PUBLIC)
def test_importing_it_costs_nothing(name: str) -> None:
    loaded = subprocess.run(
        [sys.executable, "-c", f"import {name}, sys; print(*sys.modules)"], capture_output=True, text=True, check=True
    ).stdout.split()
    assert set(DEAR) & {module.partition(".")[0] for module in loaded} == set()


def imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (item.name for item in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            yield node.module
            if node.module in PUBLIC:
                yield from (f"{node.module}.{item.name}" for item in node.names)


@pytest.mark.parametrize("path", APPS, ids=lambda path: str(path.relative_to(ROOT)))
def test_an_app_imports_public_names_alone(path: Path) -> None:
    allowed = {*PUBLIC, *(f"{module.__name__}.{name}" for module, name in EXPORTED)}
    ours = [name for name in imported(path) if name.partition(".")[0] == "switchyard"]
    assert [name for name in ours if name not in allowed] == []
