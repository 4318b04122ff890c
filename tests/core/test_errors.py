"""The tree of errors stands in the docstring of `core/errors.py`, as it is."""

from __future__ import annotations

import importlib
import pkgutil
import re

import switchyard
from switchyard.core import errors
from switchyard.core.errors import SwitchyardError

BUNDLED = ("switchyard._bundled", "switchyard.cli.skeleton")


def subclasses(error: type[SwitchyardError]) -> dict[str, str]:
    """Name of every error below one → the name of what it derives from."""
    below: dict[str, str] = {}
    for item in error.__subclasses__():
        if item.__module__.startswith("switchyard."):
            below |= {item.__name__: error.__name__, **subclasses(item)}
    return below


def documented() -> dict[str, str]:
    """The same, as the docstring draws it."""
    above = ["SwitchyardError"]
    tree: dict[str, str] = {}
    for line in str(errors.__doc__).splitlines():
        branch = re.match(r"((?:[│ ]   )*)[├└]── ((?:\w+(?:, )?)+)", line)
        if branch:
            depth = len(branch[1]) // 4 + 1
            names = branch[2].strip().split(", ")
            tree |= dict.fromkeys(names, above[depth - 1])
            above[depth:] = [names[-1]]
    return tree


def test_the_tree_is_drawn_whole() -> None:
    for module in pkgutil.walk_packages(switchyard.__path__, "switchyard."):
        if not module.name.startswith(BUNDLED) and not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    assert documented() == subclasses(SwitchyardError)
