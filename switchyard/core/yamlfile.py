"""YAML as people mean it: `on`, `off`, `yes` and `no` are words, as in YAML 1.2, so that a key may be called `on`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import yaml

_BOOLEAN = "tag:yaml.org,2002:bool"


class _Loader(yaml.SafeLoader):
    pass


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != _BOOLEAN]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(_BOOLEAN, re.compile("^(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF"))


def load(text: str) -> Any:
    """The value of one YAML document. Raises yaml.YAMLError."""
    return yaml.load(text, _Loader)  # noqa: S506  # a SafeLoader


def compose(text: str) -> yaml.Node | None:
    """The nodes of one YAML document, which know their lines; None for an empty one. Raises yaml.YAMLError."""
    return yaml.compose(text, _Loader)


def line(node: yaml.Node | None, path: Sequence[str | int]) -> int:
    """The line, from 1, of what a path of keys and indices names; of its last part that is there otherwise."""
    if node is None:
        return 1
    number = int(node.start_mark.line) + 1
    for part in path:
        if isinstance(node, yaml.MappingNode):
            pair = next(((key, value) for key, value in node.value if key.value == part), None)
            if pair is None:
                break
            number, node = int(pair[0].start_mark.line) + 1, pair[1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            node = node.value[part]
            number = int(node.start_mark.line) + 1
        else:
            break
    return number
