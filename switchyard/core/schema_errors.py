"""What pydantic finds wrong with the keys and values of an `agents.yaml`, as sentences that name the nearest key."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from switchyard.core.agents_file import AgentsFile
from switchyard.core.app_problem import AppProblem, YamlPath

_NAMED_BY = {"agents": ("agent", "name"), "gathers": ("gather on", "on"), "inputs": ("input", "topic")}
_EXPECTED = {
    "tuple_type": "write a list, such as [a, b]",
    "string_type": "write text",
    "too_short": "list at least one",
    "string_too_short": "write at least one word",
    "model_type": "write keys with values",
    "model_attributes_type": "write keys with values",
    "dict_type": "write keys with values",
}


def schema_problems(content: Any, error: ValidationError) -> Iterator[AppProblem]:
    """One problem for each error of `AgentsFile.model_validate(content)`."""
    for item in error.errors():
        path: YamlPath = item["loc"]
        entry, inner = _entry(content, path)
        message = _message(item, path, ".".join(map(str, inner)))
        yield AppProblem(f"{entry}: {message}" if entry else message, path=path)


def _message(item: Mapping[str, Any], path: YamlPath, key: str) -> str:
    kind, last = item["type"], path[-1] if path else ""
    if kind == "extra_forbidden":
        nearest = get_close_matches(str(last), _keys(path[:-1]), 1)
        hint = f"did you mean {nearest[0]!r}?" if nearest else f"there are {', '.join(_keys(path[:-1]))}"
        return f"unknown key {key!r}; {hint}"
    if kind == "missing":
        return f"the key {key!r} is missing"
    if kind == "literal_error":
        return f"{key}: {item['input']!r} is not one of {item['ctx']['expected'].replace(' or ', ', ')}"
    if kind == "string_pattern_mismatch":
        return f"{key}: {item['input']!r} cannot be; it is {_field(path).description}"
    sentence = _EXPECTED.get(kind, str(item["msg"]).removeprefix("Value error, "))
    return f"{key}: {sentence}" if key else sentence


def _entry(content: Any, path: YamlPath) -> tuple[str, YamlPath]:
    """The agent, gather or input that a path leads into, in words, and the rest of the path."""
    if len(path) < 2 or path[0] not in _NAMED_BY or not isinstance(path[1], int):
        return "", path
    word, key = _NAMED_BY[str(path[0])]
    try:
        name = content[path[0]][path[1]][key]
    except (KeyError, IndexError, TypeError):
        name = path[1] + 1
    return f"{word} {name}", path[2:]


def _keys(path: YamlPath) -> list[str]:
    """The keys that may stand at a place of the file."""
    model = _model(path)
    return [] if model is None else list(model.model_fields)


def _field(path: YamlPath) -> FieldInfo:
    """The field at a place of the file, which there is."""
    model = _model(path[:-1])
    assert model is not None
    return model.model_fields[str(path[-1])]


def _model(path: YamlPath) -> type[BaseModel] | None:
    """What describes the keys at a place of the file; None where any keys, or none, may stand."""
    model: type[BaseModel] = AgentsFile
    for part in path:
        if isinstance(part, str):
            annotation = model.model_fields[part].annotation
            inner = [item for item in (annotation, *get_args(annotation)) if _is_model(item)]
            if not inner:
                return None
            model = inner[0]
    return model


def _is_model(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)
