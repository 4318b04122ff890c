"""Strict JSON: UTF-8 only, no NaN, no infinity; what RFC 8259 allows and nothing more."""

from __future__ import annotations

from typing import Any

import orjson


def loads(raw: bytes | str) -> Any:
    """Parse one JSON value.

    Raises ValueError, whose text names the place, for anything that is not strict JSON.
    """
    return orjson.loads(raw)


def dumps(value: Any) -> str:
    """Compact JSON text; keys keep their order. A dataclass is an object of its fields."""
    return orjson.dumps(value).decode()


def canonical(value: Any) -> bytes:
    """The same bytes for equal values: compact, keys sorted. For hashing."""
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
