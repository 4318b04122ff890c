"""What a wheel installs, and that it works away from the checkout, beside folders of the names that a checkout has."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import venv
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("jobs", "udfs", "sql", "agent_endpoints", "deploy")
STATE = """
from switchyard.core import app, bundled
from switchyard.local import jars
print(bundled.INSTALLED, bundled.ROOT, jars.folder(), *app.shipped(), sep="\\n")
"""

Installed = Callable[..., str]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this checkout. hatchling is installed here, so nothing is fetched to build it."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*build, "--disable-pip-version-check", "-w", str(folder), str(ROOT)], check=True)
    (file,) = folder.glob("*.whl")
    return file


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """A command of an environment that has the wheel, run in a folder with packages that must not be imported.

    The wheel's dependencies are those of this environment, whose own path files, the checkout's too, are not followed.
    """
    folder = tmp_path_factory.mktemp("installed")
    venv.create(folder / "env", with_pip=False, symlinks=True)
    (site,) = (folder / "env" / "lib").glob("*/site-packages")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    dependencies = [path for path in sys.path if path.endswith("-packages")]
    (site / "dependencies.pth").write_text("\n".join(dependencies) + "\n", encoding="utf-8")
    beside = packages_of_somebody_else(folder / "beside")
    cache = folder / "cache"

    def run(*command: str) -> str:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("SWITCHYARD_")}
        env = {**inherited, "PYTHONPATH": str(beside), "XDG_CACHE_HOME": str(cache), "SWITCHYARD_HOME": str(beside)}
        python = str(folder / "env" / "bin" / "python")
        done = subprocess.run([python, *command], env=env, cwd=beside, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    jars = Path(run("-c", "from switchyard.local import jars; print(jars.folder())").strip())
    assert jars.parent == cache / "switchyard"
    jars.parent.mkdir(parents=True)
    jars.symlink_to(ROOT / "deploy" / "jars")
    return run


def packages_of_somebody_else(folder: Path) -> Path:
    """Packages with the names of our folders, which must not be imported."""
    for name in FOLDERS:
        package = folder / name
        package.mkdir(parents=True)
        (package / "__init__.py").write_text(f"raise RuntimeError('{name} of somebody else was imported')\n")
    return folder


def test_a_wheel_holds_one_package_and_what_people_edit_as_its_data(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    package, metadata = sorted({name.split("/")[0] for name in names})
    assert package == "switchyard"
    assert metadata == f"{'-'.join(wheel.name.split('-')[:2])}.dist-info"
    assert not [name for name in names if "__pycache__" in name or name.endswith(".pyc") or "/test_" in name]
    bundled = {name.removeprefix("switchyard/_bundled/") for name in names if name.startswith("switchyard/_bundled/")}
    assert {name.split("/")[0] for name in bundled} == set(FOLDERS)
    wanted = subprocess.run(["git", "ls-files", *FOLDERS[:-1]], cwd=ROOT, capture_output=True, text=True, check=True)
    assert set(wanted.stdout.split()) | {"deploy/pom.xml", "deploy/jars.sha256"} == bundled
    assert "switchyard/py.typed" in names


def test_it_finds_its_data_and_not_its_neighbours(installed: Installed) -> None:
    is_installed, root, jars, *apps = installed("-c", STATE).splitlines()
    assert is_installed == "True"
    assert root.endswith("site-packages/switchyard/_bundled")
    assert Path(jars).is_symlink()
    assert apps == ["finance", "sdr"]


@pytest.mark.flink
def test_it_plans_the_job_beside_packages_of_the_same_names(installed: Installed) -> None:
    assert "no problems" in installed("-m", "switchyard.cli.main", "lint", "sdr")


@pytest.mark.e2e
@pytest.mark.own_stack
def test_the_demo_runs_from_an_empty_environment(
    wheel: Path, tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With its dependencies from the package index, and its jars from Maven, in a cache that is empty."""
    if not request.config.getoption("--full-wheel"):
        pytest.skip("`make test-wheel` runs it: it fetches all dependencies")
    for name in [name for name in os.environ if name.startswith(("SWITCHYARD_", "OPENAI_"))]:
        monkeypatch.delenv(name)
    beside = packages_of_somebody_else(tmp_path / "beside")
    monkeypatch.setenv("PYTHONPATH", str(beside))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    venv.create(tmp_path / "env", with_pip=True, symlinks=True)
    programs = tmp_path / "env" / "bin"
    install = ["install", "--quiet", "--disable-pip-version-check", str(wheel)]
    subprocess.run([str(programs / "pip"), *install], check=True)
    demo = [str(programs / "switchyard"), "demo", "sdr", "--exit", "--json"]
    done = subprocess.run(demo, cwd=beside, capture_output=True, text=True, timeout=400)
    assert done.returncode == 0, done.stdout + done.stderr
    figures = json.loads(done.stdout.splitlines()[-1])
    wanted = {"workflows": 25, "completed": 25, "dead_letters": 4, "duplicates": 1, "model_calls": 94}
    assert {name: figures[name] for name in wanted} == wanted
    (jars,) = (tmp_path / "cache" / "switchyard").iterdir()
    assert list((jars / "kafka").glob("kafka-clients-*.jar"))
    assert not list((beside / ".switchyard" / "run").glob("stack.json")), "it stopped what it started"
