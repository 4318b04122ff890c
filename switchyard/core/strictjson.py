"""Strict JSON: UTF-8 only, no NaN, no infinity; what RFC 8259 allows and nothing more."""

from __future__ import annotations

from typing import Any

import orjson

DEEPEST = 64
"""Levels of arrays and objects, one in the other, that a record of a topic may have; RFC 8259 leaves it to readers."""
DEEPEST_DATA = 60
"""The same of an event's data, which stands inside the event, and that inside of what asks for it again."""

_CONTAINERS = (dict, list)


def loads(raw: bytes | str) -> Any:
    """Parse one JSON value of our own.

    Raises ValueError, whose text names the place, for anything that is not strict JSON.
    """
    return orjson.loads(raw)


def loads_foreign(raw: bytes | str, deepest: int = DEEPEST) -> Any:
    """Parse one JSON value that anybody may have written, as `loads`.

    Raises ValueError, also where it is nested deeper than `deepest` levels.
    """
    value = orjson.loads(raw)
    check_depth(value, deepest)
    return value


def check_depth(value: Any, deepest: int) -> None:
    """Raises ValueError where arrays and objects are nested deeper than `deepest` levels. It never recurses."""
    level = [value] if type(value) in _CONTAINERS else []
    for _ in range(deepest):
        level = [
            inner
            for outer in level
            for inner in (outer.values() if type(outer) is dict else outer)
            if type(inner) in _CONTAINERS
        ]
        if not level:
            return
    if level:
        raise ValueError(f"it is nested deeper than {deepest} levels")


def dumps(value: Any) -> str:
    """Compact JSON text; keys keep their order. A dataclass is an object of its fields."""
    return orjson.dumps(value).decode()


def size(text: str) -> int:
    """Bytes of a text as UTF-8."""
    return len(text) if text.isascii() else len(text.encode())


def canonical(value: Any) -> bytes:
    """The same bytes for equal values: compact, keys sorted. For hashing."""
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
