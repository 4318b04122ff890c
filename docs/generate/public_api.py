"""docs/reference/public-api.md, from the docstrings of the public names."""

from __future__ import annotations

import importlib
import inspect
from typing import Any

from docs.generate.markdown import GENERATED, docstring, wrapped
from docs.generate.signature import code, signature

MODULES = ("switchyard", "switchyard.testing")
HEAD = """What an app may import. These names, their parameters and what they return change only with a new minor
release, and the changelog says so. Everything else may change at any release."""


def page() -> str:
    parts = ["# Public names", GENERATED, wrapped(" ".join(HEAD.split()))]
    for name in MODULES:
        module = importlib.import_module(name)
        parts += [f"## {name}", docstring(module)]
        for public in exported(name):
            parts += _described(public, getattr(module, public))
    return "\n\n".join(parts) + "\n"


def exported(module: str) -> list[str]:
    """The public names of a module, in its order."""
    return list(getattr(importlib.import_module(module), "__all__", ()))


def _described(name: str, thing: Any) -> list[str]:
    parts = [f"### {name}"]
    if inspect.isclass(thing):
        own_call = vars(thing).get("__call__") if getattr(thing, "_is_protocol", False) else None
        parts += [] if getattr(thing, "_is_protocol", False) else [code(signature(name, thing))]
        parts.append(docstring(thing))
        parts += [] if own_call is None else [code(signature("function", own_call)), docstring(own_call)]
        for member, value in vars(thing).items():
            parts += _member(member, value)
        return parts
    return [*parts, docstring(thing)]  # a fixture, which pytest calls


def _member(name: str, value: Any) -> list[str]:
    """A public method or property that has a docstring of its own."""
    if name.startswith("_"):
        return []
    if isinstance(value, property):
        return [f"**`{name}`**: {docstring(value)}"] if value.__doc__ else []
    inner = value.__func__ if isinstance(value, classmethod | staticmethod) else value
    if not inspect.isfunction(inner) or not inner.__doc__:
        return []
    return [code(signature(name, inner)), docstring(inner)]
