"""The data folder: made for this user alone, and marked, so that only what was made for data is ever removed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from switchyard.core.errors import SettingsError

MARKER = ".made-by-switchyard"
PARTS = ("flink", "kafka", "log", "mail", "run", "state")
"""What stands in it; nothing else is removed."""


@contextmanager
def private_files() -> Iterator[None]:
    """Folders made meanwhile have mode 0700 and files 0600, also those of processes that are started meanwhile."""
    before = os.umask(0o077)
    try:
        yield
    finally:
        os.umask(before)


@private_files()
def make(home: Path, *folders: Path) -> None:
    """Make the data folder and folders in it. One that is new, or empty, is marked as ours."""
    if not home.exists() or not any(home.iterdir()):
        home.mkdir(parents=True, exist_ok=True)
        home.chmod(0o700)
        (home / MARKER).touch()
    for folder in folders:
        folder.mkdir(parents=True, exist_ok=True)


def check_removable(home: Path) -> None:
    """Raises SettingsError where the folder was there before Switchyard used it."""
    if home.exists() and not (home / MARKER).is_file():
        raise SettingsError(
            f"{home} was not made by Switchyard (it has no file {MARKER}), so nothing in it is removed; remove by hand "
            f"what you do not need of {', '.join(PARTS)}"
        )


def remove(home: Path) -> None:
    """Remove all data, and the folder where nothing else is in it. Raises SettingsError, see `check_removable`."""
    check_removable(home)
    for part in PARTS:
        shutil.rmtree(home / part, ignore_errors=True)
    if {entry.name for entry in home.glob("*")} <= {MARKER}:
        (home / MARKER).unlink(missing_ok=True)
        with suppress(OSError):
            home.rmdir()
