"""A new app: a copy of the skeleton under a name of its own."""

from __future__ import annotations

from pathlib import Path

from switchyard.cli.newagent import is_word
from switchyard.core.agents_file import AGENT_NAME
from switchyard.core.app import shipped
from switchyard.core.errors import SwitchyardError

SKELETON = Path(__file__).parent / "skeleton"
LONGEST_NAME = 40


def create(name_or_path: str) -> tuple[Path, list[str]]:
    """Make the folder; answers it and the names of its files. Raises SwitchyardError; overwrites nothing."""
    folder = Path(name_or_path).expanduser().resolve()
    name = folder.name
    if not AGENT_NAME.fullmatch(name) or len(name) > LONGEST_NAME:
        form = f"lower-case words joined by dashes, at most {LONGEST_NAME} characters"
        raise SwitchyardError(f"{name!r} cannot be an app's name: write {form}")
    if not is_word(name):
        raise SwitchyardError(f"{name!r} cannot be an app's name: it means something else in YAML or Python")
    if name in shipped():
        raise SwitchyardError(f"there is an app {name!r} already; choose another name")
    if folder.exists():
        raise SwitchyardError(f"{folder} exists already; nothing was changed")
    files = [path.relative_to(SKELETON) for path in sorted(SKELETON.rglob("*")) if _belongs(path)]
    try:
        for file in files:
            copy = folder / file
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_text((SKELETON / file).read_text(encoding="utf-8").replace("skeleton", name), encoding="utf-8")
    except OSError as error:
        raise SwitchyardError(f"{folder} cannot be made: {error.strerror}") from None
    return folder, [str(file) for file in files]


def _belongs(path: Path) -> bool:
    return path.is_file() and path.name != "__init__.py" and path.suffix != ".pyc"
