"""Fixtures for the tests of an app: `pytest_plugins = ["switchyard.testing"]` in its conftest.py. See docs/testing.md.

What is in `__all__` is public: the fixtures `in_memory`, `mini_cluster` and `scripted_model`, `Action`, which says how
the latter answers, and `no_remote_model`, which every test uses by itself. Names are imported when they are first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from switchyard.local.model_server.behaviour import Action
    from switchyard.testing.fixtures import in_memory, mini_cluster, no_remote_model, scripted_model

__all__ = ["Action", "in_memory", "mini_cluster", "no_remote_model", "scripted_model"]

_MODULES = {
    **dict.fromkeys(__all__, "switchyard.testing.fixtures"),
    "Action": "switchyard.local.model_server.behaviour",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(_MODULES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
