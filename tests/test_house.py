"""The house: which package may import which, and how long a module may be."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

MAY_IMPORT = {
    "switchyard.core": {"switchyard.core"},
    "udfs": {"udfs", "switchyard.core"},
    "jobs": {"jobs", "udfs", "switchyard.core"},
    "agent_endpoints": {"agent_endpoints", "switchyard.core"},
    "deploy": {"deploy", "udfs", "switchyard.core"},
    "switchyard.testing": {"switchyard.testing", "switchyard.core", "jobs", "udfs", "agent_endpoints", "deploy"},
    "switchyard.cli": {"switchyard", "jobs", "udfs", "agent_endpoints", "deploy"},
    "benchmarks": {"benchmarks", "switchyard", "jobs", "udfs", "agent_endpoints", "deploy"},
}
OURS = ("switchyard", "jobs", "udfs", "agent_endpoints", "deploy", "benchmarks")
NOT_IN_CORE = ("pyflink", "kafka", "typer", "sqlalchemy", "py4j")
LONGEST_MODULE = 450


def modules() -> list[Path]:
    return [path for name in OURS for path in sorted((ROOT / name).rglob("*.py"))]


def package_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:2]) if parts[0] == "switchyard" and len(parts) > 2 else parts[0]


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (item.name for item in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            yield node.module
            yield from (f"{node.module}.{item.name}" for item in node.names)


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_one_way(path: Path) -> None:
    package = package_of(path)
    if package == "switchyard":
        return
    allowed = MAY_IMPORT[package]
    for name in imports(path):
        if name.split(".")[0] in OURS and name != "switchyard":
            assert any(name == item or name.startswith(f"{item}.") for item in allowed), f"{package} imports {name}"
        if package == "switchyard.core":
            assert name.split(".")[0] not in NOT_IN_CORE, f"the core imports {name}"


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_can_be_read_in_one_sitting(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= LONGEST_MODULE


def test_the_check_of_imports_can_fail(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.py"
    wrong.write_text("from jobs.wiring import wire\n")
    assert not any(name.startswith("udfs") for name in imports(wrong))
    assert list(imports(wrong)) == ["jobs.wiring", "jobs.wiring.wire"]
