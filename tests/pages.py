"""Reads a page of docs: its files, its commands, and what these are said to print.

A fenced block whose info string has `file=PATH` is a file, one with `append=PATH` is added to the end of one. A block
`console` holds commands after `$ `, each followed by lines that it prints, in which `…` stands for anything.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from switchyard.core.bundled import ROOT

DOCS = ROOT / "docs"
_BLOCK = re.compile(r"^```(?P<kind>\w+)(?: (?P<how>file|append)=(?P<path>\S+))?\n(?P<text>.*?)^```$", re.M | re.S)


@dataclass(frozen=True)
class File:
    """A file that a page shows, or what it adds to one."""

    path: Path
    text: str
    append: bool = False

    def write(self, folder: Path) -> None:
        target = folder / self.path
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("a" if self.append else "w", encoding="utf-8") as file:
            file.write(self.text)


@dataclass(frozen=True)
class Command:
    """A line of a console block, and the lines that it is said to print."""

    line: str
    printed: tuple[str, ...]

    def shows(self, output: str) -> bool:
        """Whether the output has these lines, in this order; others may stand between them."""
        parts = (re.escape(line).replace("…", "[^\n]*") for line in self.printed)
        return re.search(r"[^\n]*\n(?:[^\n]*\n)*?".join(parts), output + "\n") is not None


def steps(page: str) -> Iterator[File | Command]:
    """The files and commands of a page, in its order."""
    for block in _BLOCK.finditer((DOCS / page).read_text(encoding="utf-8")):
        if block["how"]:
            yield File(Path(block["path"]), block["text"], block["how"] == "append")
        elif block["kind"] == "console":
            for part in re.split(r"^\$ ", block["text"], flags=re.M)[1:]:
                line, *printed = part.splitlines()
                yield Command(line, tuple(printed))


def write_files(page: str, folder: Path) -> None:
    """Write every file that a page shows."""
    for step in steps(page):
        if isinstance(step, File):
            step.write(folder)


def snippet(page: str, words: str) -> str:
    """The one block of a page that is no file and holds these words."""
    [text] = [
        block["text"]
        for block in _BLOCK.finditer((DOCS / page).read_text(encoding="utf-8"))
        if not block["how"] and words in block["text"]
    ]
    return text
