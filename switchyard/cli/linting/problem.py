"""One thing to mend, and where it is."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from switchyard.cli.formatting import here
from switchyard.core.bundled import ROOT


@dataclass(frozen=True)
class Problem:
    """`line` counts from 1."""

    file: Path
    line: int
    message: str

    def __str__(self) -> str:
        return f"{here(self.file if self.file.is_absolute() else ROOT / self.file)}:{self.line}: {self.message}"


def line_of(file: Path, pattern: str) -> int:
    """The first line that a regular expression is found in, 1 where it is in none."""
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return 1
    return next((number for number, line in enumerate(lines, 1) if re.search(pattern, line)), 1)
