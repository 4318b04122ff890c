"""Our Python packages as files that travel with a job, for a cluster whose Python has only apache-flink.

`code.zip` (for `-pyfs`) holds a package that finds the other one, which is `-pyarch`: the core, what runs in Flink, and
the libraries that these need beyond apache-flink. Flink unpacks only archives, and a native module cannot be imported
from a zip. The functions of `udfs` and of the app travel in the job itself: see `switchyard.flink.udf_modules`.
"""

from __future__ import annotations

import re
import zipfile
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement

from switchyard.flink.release import PARTS

LIBRARIES = "switchyard-libraries"
PACKAGE = Path(__file__).resolve().parents[1]
NEEDED = ("cloudevents", "fastavro", "jsonschema", "openai", "orjson", "pydantic", "pydantic-settings", "tenacity")


def build(folder: Path) -> tuple[Path, Path]:
    """Write both files into `folder`; answers the paths of code and of libraries."""
    folder.mkdir(parents=True, exist_ok=True)
    code, libraries = folder / "code.zip", folder / f"{LIBRARIES}.zip"
    with zipfile.ZipFile(code, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(Path(__file__).with_name("shipped_package.py"), "switchyard/__init__.py")
    there = closure(("apache-flink",))
    with zipfile.ZipFile(libraries, "w", zipfile.ZIP_DEFLATED) as archive:
        _add_ours(archive)
        for name in sorted(closure(NEEDED) - there):
            _add(archive, distribution(name))
    return code, libraries


def closure(names: tuple[str, ...]) -> set[str]:
    """Installed distributions that these need, themselves included, by normalised name."""
    needed: set[str] = set()
    waiting = list(names)
    while waiting:
        name = re.sub(r"[-_.]+", "-", waiting.pop()).lower()
        if name in needed:
            continue
        try:
            requires = distribution(name).requires or []
        except PackageNotFoundError:
            continue
        needed.add(name)
        wanted = [Requirement(text) for text in requires]
        waiting += [item.name for item in wanted if item.marker is None or item.marker.evaluate({"extra": ""})]
    return needed


def _add_ours(archive: zipfile.ZipFile) -> None:
    for name in PARTS:
        part = PACKAGE / name
        for path in sorted(part.rglob("*.py")) if part.is_dir() else [part]:
            archive.write(path, path.relative_to(PACKAGE.parent))


def _add(archive: zipfile.ZipFile, package: Distribution) -> None:
    for file in package.files or ():
        if ".." not in file.parts and file.suffix != ".pyc":
            archive.write(str(file.locate()), str(file))
