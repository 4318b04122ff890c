"""Markdown of at most 120 characters a line."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Sequence

WIDTH = 118
GENERATED = "<!-- Written by `make docs`; change the code, not this page. -->"
_OF_ONE = re.compile(r"^(\w+): ")
_WORD = re.compile(r"[^\s`]*(?:`[^`]*`[^\s`]*)+|\S+")


def wrapped(text: str, first: str = "", rest: str = "") -> str:
    """One paragraph; what stands between backticks stays on one line."""
    lines, line, empty = [], first, True
    for word in _WORD.findall(text):
        if not empty and len(line) + 1 + len(word) > WIDTH:
            lines.append(line)
            line, empty = rest, True
        line = line + word if empty else f"{line} {word}"
        empty = False
    return "\n".join([*lines, line])


def item(text: str) -> str:
    """One entry of a list."""
    return wrapped(text, "- ", "  ")


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def docstring(thing: object) -> str:
    """A docstring as Markdown. What is said of each parameter becomes a list; what is set in columns stays as it is."""
    parts = inspect.cleandoc(inspect.getdoc(thing) or "").split("\n\n")
    return "\n\n".join(_part(part) for part in parts)


def _part(text: str) -> str:
    items = re.split(r"\n(?=\w[\w, ]*: )", text)
    if len(items) > 1 and all(_OF_ONE.match(part) for part in items):
        return "\n".join(item(_OF_ONE.sub(r"`\1`: ", " ".join(part.split()))) for part in items)
    if re.search(r"\S  +\S|\n +\S", text):
        return f"```text\n{text}\n```"
    return wrapped(" ".join(text.split()))
