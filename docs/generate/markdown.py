"""Markdown of at most 120 characters a line."""

from __future__ import annotations

import inspect
import re
import textwrap
from collections.abc import Iterable, Sequence

WIDTH = 118
GENERATED = "<!-- Written by `make docs`; change the code, not this page. -->"
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
    """A docstring as Markdown; a part that is set in columns stays as it is written."""
    text = inspect.cleandoc(inspect.getdoc(thing) or "")
    parts = [
        f"```text\n{part}\n```" if re.search(r"\S  +\S|\n +\S", part) else wrapped(" ".join(part.split()))
        for part in text.split("\n\n")
    ]
    return "\n\n".join(parts)


def signature(name: str, thing: object) -> str:
    """How something is called, on lines of at most 100 characters."""
    try:
        called = inspect.signature(thing)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return name
    parameters = [item for key, item in called.parameters.items() if key not in ("self", "cls")]
    text = name + str(called.replace(parameters=parameters)).replace("'", "")
    if len(text) <= 100:
        return text
    inside = ",\n".join(textwrap.indent(str(item).replace("'", ""), "    ") for item in parameters)
    returned = "" if called.return_annotation is inspect.Signature.empty else f" -> {called.return_annotation}"
    return f"{name}(\n{inside},\n){returned.replace(chr(39), '')}"
