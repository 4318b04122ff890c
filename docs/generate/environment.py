"""docs/reference/environment.md, from the settings."""

from __future__ import annotations

from typing import Literal, get_args, get_origin

from pydantic.fields import FieldInfo

from docs.generate.markdown import GENERATED, table, wrapped
from switchyard.core.settings import Settings
from switchyard.environment import variable

HEAD = """Every setting is a variable of the environment, read once when a process starts. What belongs to one
app has that app's own prefix, and stands in its README."""


def page() -> str:
    rows = [(f"`{variable(name)}`", _default(field), _told(field)) for name, field in fields().items()]
    parts = ["# Settings", GENERATED, wrapped(" ".join(HEAD.split())), table(("variable", "default", "what"), rows)]
    return "\n\n".join(parts) + "\n"


def fields() -> dict[str, FieldInfo]:
    return Settings.model_fields


def _default(field: FieldInfo) -> str:
    return "none" if field.default is None else f"`{field.default}`"


def _told(field: FieldInfo) -> str:
    literals = [part for part in (field.annotation, *get_args(field.annotation)) if get_origin(part) is Literal]
    others = [str(value) for literal in literals for value in get_args(literal) if value != field.default]
    told = field.description or ""
    return f"{told}; else {', '.join(f'`{choice}`' for choice in others)}" if others else told
