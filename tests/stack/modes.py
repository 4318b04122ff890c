"""Who may read what the stack writes."""

from __future__ import annotations

import os
from pathlib import Path


def open_to_others(folder: Path) -> list[str]:
    """What another user could read, were it not for a folder above it. A link's target is elsewhere."""
    paths = [folder, *(Path(parent, name) for parent, folders, files in os.walk(folder) for name in folders + files)]
    return [str(path) for path in paths if _mode(path) & 0o077]


def _mode(path: Path) -> int:
    """0 of a link, and of what was removed while one looks."""
    try:
        return 0 if path.is_symlink() else path.lstat().st_mode
    except FileNotFoundError:
        return 0
