"""What `make setup` installs: pinned by version and hash, and as pyproject.toml wants it."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
PINNED = re.compile(
    r"^(?P<name>[\w.-]+)==(?P<version>[\w.+!]+)(?: ;[^\\\n]*)? \\\n(?:    --hash=sha256:[0-9a-f]{64}(?: \\)?\n)+", re.M
)


def pins(name: str) -> dict[str, str]:
    """Version by name; every line of the file belongs to a pin with its hashes."""
    text = (ROOT / "deploy" / name).read_text(encoding="utf-8")
    assert PINNED.sub("", text) == ""
    return {canonicalize_name(item["name"]): item["version"] for item in PINNED.finditer(text)}


def test_the_lock_is_what_pyproject_wants() -> None:
    """After a change of pyproject.toml: `make lock`."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    project = settings["project"]
    locked, building = pins("requirements.lock"), pins("requirements-build.lock")
    groups = [project["dependencies"], *project["optional-dependencies"].values()]
    assert unmet([item for group in groups for item in group], locked) == []
    assert unmet(settings["build-system"]["requires"], building) == []
    assert building.items() <= locked.items()
    assert unmet(["numpy<1", "nobody-has-this"], locked) == ["numpy<1", "nobody-has-this"]


def unmet(requirements: list[str], locked: dict[str, str]) -> list[str]:
    """Those that the pins do not meet."""
    wanted = {text: Requirement(text) for text in requirements}
    found = {text: locked.get(canonicalize_name(item.name)) for text, item in wanted.items()}
    return [text for text, version in found.items() if version is None or version not in wanted[text].specifier]
