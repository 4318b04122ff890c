"""How a long operation tells what it does."""

from __future__ import annotations

from collections.abc import Callable

Report = Callable[[str], None]
"""It is given one line at a time, for the person at the keyboard."""


def silent(line: str) -> None:
    """A `Report` that tells nobody."""
