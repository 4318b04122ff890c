"""What a wheel installs, and that it works away from the checkout, beside folders of the names that a checkout has."""

from __future__ import annotations

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
    beside = folder / "beside"
    for name in FOLDERS:
        package = beside / name
        package.mkdir(parents=True)
        (package / "__init__.py").write_text(f"raise RuntimeError('{name} of somebody else was imported')\n")
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


def test_a_wheel_holds_one_package_and_what_people_edit_as_its_data(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    assert {name.split("/")[0] for name in names} == {"switchyard", "switchyard-0.1.0.dist-info"}
    assert not [name for name in names if "__pycache__" in name or name.endswith(".pyc") or "/test_" in name]
    bundled = {name.removeprefix("switchyard/_bundled/") for name in names if name.startswith("switchyard/_bundled/")}
    assert {name.split("/")[0] for name in bundled} == set(FOLDERS)
    wanted = subprocess.run(["git", "ls-files", *FOLDERS[:-1]], cwd=ROOT, capture_output=True, text=True, check=True)
    assert set(wanted.stdout.split()) | {"deploy/pom.xml"} == bundled
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
