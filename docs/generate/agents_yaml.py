"""docs/reference/agents-yaml.md: its prose from agents_yaml.md beside this module, its tables from the models."""

from __future__ import annotations

import re
from pathlib import Path

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from docs.generate.markdown import GENERATED, table
from switchyard.core import agents_file

PROSE = Path(__file__).with_name("agents_yaml.md")
_TABLE = re.compile(r"^\{\{ (\w+) \}\}$", re.M)


def page() -> str:
    prose = PROSE.read_text(encoding="utf-8").replace("\n\n", f"\n\n{GENERATED}\n\n", 1)
    return _TABLE.sub(lambda found: _table(getattr(agents_file, found[1])), prose)


def shown() -> set[str]:
    """The models that the page has a table of."""
    return set(_TABLE.findall(PROSE.read_text(encoding="utf-8")))


def _table(model: type[BaseModel]) -> str:
    rows = [(f"`{name}`", _default(field), field.description or "") for name, field in model.model_fields.items()]
    return table(("key", "default", "what"), rows)


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    default = field.get_default(call_default_factory=True)
    if isinstance(default, BaseModel):
        return "see below"
    if default in (None, "", (), {}):
        return "none"
    return f"`{default:g}`" if isinstance(default, float) else f"`{default}`"
