"""The house: imports point down, the top-level folders hold no machinery, a module is read in one sitting."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

FLOORS = (
    {"benchmarks"},
    {"switchyard.cli"},
    {"switchyard.testing"},
    {"switchyard.deployment"},
    {"switchyard.local"},
    {"switchyard.flink", "switchyard.worker"},
    {"switchyard.environment", "switchyard.kafka", "switchyard.terminal"},
    {"switchyard.core"},
)
"""From the roof down: a package imports itself and what stands below it."""

CORE = (
    {"job_config", "restore", "input_validator"},
    {"orchestrator"},
    {"app"},
    {"routing"},
    {"ledger"},
    {"model"},
)
"""The floors inside the core; its other modules are the ground, which all of them stand on."""

PUBLIC = "switchyard"
"""The face of the package, which an app imports, and which imports what it shows."""
NOT_IN_CORE = ("pyflink", "kafka", "typer", "sqlalchemy", "py4j", "socket", "httpx2")
LONGEST_MODULE = 400
OURS = ("switchyard", "jobs", "udfs", "agent_endpoints", "benchmarks")


def modules() -> list[Path]:
    return [path for name in OURS for path in sorted((ROOT / name).rglob("*.py"))]


def package_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:2]) if parts[0] == "switchyard" and len(parts) > 1 else parts[0]


def floor_of(package: str) -> int | None:
    return next((number for number, floor in enumerate(FLOORS) if package in floor), None)


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (item.name for item in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            yield node.module
            yield from (f"{node.module}.{item.name}" for item in node.names)


def names(path: Path) -> Iterator[str]:
    """Our packages that a module imports."""
    for name in imports(path):
        parts = name.split(".")
        if parts[0] == "switchyard" and len(parts) > 1:
            yield ".".join(parts[:2])


def wrong_imports(path: Path) -> list[str]:
    """What a module must not import."""
    package = package_of(path)
    own = floor_of(package)
    if own is None:
        return []
    return [
        name
        for name in dict.fromkeys(names(path))
        if name != package and (floor := floor_of(name)) is not None and floor <= own
    ]


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_down(path: Path) -> None:
    assert wrong_imports(path) == []


@pytest.mark.parametrize("path", sorted((ROOT / "switchyard/core").rglob("*.py")), ids=lambda path: path.stem)
def test_imports_inside_the_core_point_down(path: Path) -> None:
    parts = path.relative_to(ROOT / "switchyard/core").with_suffix("").parts
    own = next((number for number, floor in enumerate(CORE) if parts[0] in floor), len(CORE))
    for name in imports(path):
        inside = name.removeprefix("switchyard.core.").split(".")[0]
        floor = next((number for number, rooms in enumerate(CORE) if inside in rooms), len(CORE))
        if name.startswith("switchyard.core.") and inside != parts[0]:
            assert floor > own or floor == len(CORE), f"it imports {name}"


@pytest.mark.parametrize("path", sorted((ROOT / "switchyard/core").rglob("*.py")), ids=lambda path: path.stem)
def test_the_core_knows_neither_servers_nor_its_environment(path: Path) -> None:
    for name in imports(path):
        assert name.split(".")[0] not in NOT_IN_CORE, f"the core imports {name}"
    text = path.read_text(encoding="utf-8")
    assert "os.environ" not in text
    assert "getenv" not in text


@pytest.mark.parametrize("folder", ["jobs", "udfs"])
def test_what_people_edit_holds_no_machinery(folder: str) -> None:
    for path in (ROOT / folder).rglob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        assert not any(isinstance(node, ast.ClassDef | ast.FunctionDef) for node in ast.walk(tree)), path


@pytest.mark.parametrize("folder", ["jobs", "udfs", "sql", "agent_endpoints", "deploy"])
def test_what_people_edit_is_no_package(folder: str) -> None:
    """A package of such a name in site-packages would shadow a user's own."""
    assert not (ROOT / folder / "__init__.py").exists()


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_can_be_read_in_one_sitting(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= LONGEST_MODULE


def test_the_check_of_imports_can_fail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.test_house.ROOT", tmp_path)
    wrong = tmp_path / "switchyard" / "kafka" / "wrong.py"
    wrong.parent.mkdir(parents=True)
    wrong.write_text("from switchyard.local.stack import Stack\nfrom switchyard.core import event\n")
    assert wrong_imports(wrong) == ["switchyard.local"]
