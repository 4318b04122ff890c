"""docs/reference says what the code says, and the code says all that a reader needs."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
from typing import Any, get_args

import pytest
from pydantic import BaseModel

from docs.generate import REFERENCE, agents_yaml, environment, pages, public_api
from switchyard.core.agents_file import AgentsFile
from switchyard.core.bundled import ROOT

WRITTEN = pages()


@pytest.mark.parametrize("name", WRITTEN)
def test_a_page_is_as_the_code_is(name: str) -> None:
    assert (REFERENCE / name).read_text(encoding="utf-8") == WRITTEN[name], "it is stale; write it again: make docs"


def test_no_page_is_left_from_before() -> None:
    assert {path.name for path in REFERENCE.iterdir()} == WRITTEN.keys()


def test_writing_the_pages_needs_no_flink() -> None:
    look = "import sys, docs.generate; docs.generate.pages(); print(*{name.split('.')[0] for name in sys.modules})"
    done = subprocess.run([sys.executable, "-c", look], cwd=ROOT, capture_output=True, text=True, check=True)
    assert not {"pyflink", "py4j"} & set(done.stdout.split())


def test_every_setting_is_described() -> None:
    assert [name for name, field in environment.fields().items() if not field.description] == []


def models(model: type[BaseModel]) -> set[type[BaseModel]]:
    """A model and those that its fields hold."""
    there = {model}
    for field in model.model_fields.values():
        for part in (field.annotation, *get_args(field.annotation)):
            if isinstance(part, type) and issubclass(part, BaseModel):
                there |= models(part)
    return there


def test_every_key_of_agents_yaml_is_described() -> None:
    keys = models(AgentsFile)
    assert {model.__name__ for model in keys} == agents_yaml.shown()
    undescribed = [
        f"{model.__name__}.{name}"
        for model in keys
        for name, field in model.model_fields.items()
        if not field.description
    ]
    assert undescribed == []


@pytest.mark.parametrize("module", public_api.MODULES)
def test_what_is_exported_is_documented_and_the_other_way_round(module: str) -> None:
    text = WRITTEN["public-api.md"]
    section = re.split(r"^## ", text, flags=re.M)[1 + public_api.MODULES.index(module)]
    headings = re.findall(r"^### (\w+)$", section, re.M)
    assert headings == public_api.exported(module)
    things: dict[str, Any] = {name: getattr(importlib.import_module(module), name) for name in headings}
    assert [name for name, thing in things.items() if not (thing.__doc__ or "").strip()] == []
