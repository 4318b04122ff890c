"""Queues in state: what waits for a fence, for room, or for a paused app, each in the order it came."""

from __future__ import annotations

from collections import deque
from collections.abc import MutableMapping
from typing import Any

from switchyard.core import strictjson
from switchyard.core.orchestrator.limits import ShardUsage
from switchyard.core.orchestrator.migrations import stamped, upgraded

_SEPARATOR = "\x1f"


class Queues:
    """Named queues of JSON objects in one map, with their order in memory. `usage` is told how large they are."""

    def __init__(self, stored: MutableMapping[str, str], usage: ShardUsage) -> None:
        self._stored = stored
        self._usage = usage
        self._keys: dict[str, deque[str]] = {}
        for key in sorted(stored):
            self._keys.setdefault(key.partition(_SEPARATOR)[0], deque()).append(key)
        self._next = max((int(key.partition(_SEPARATOR)[2]) for key in stored), default=-1) + 1

    @property
    def total(self) -> int:
        """How much waits in all of them."""
        return sum(len(keys) for keys in self._keys.values())

    def names(self) -> list[str]:
        """The queues that hold something."""
        return list(self._keys)

    def size(self, name: str) -> int:
        return len(self._keys.get(name, ()))

    def push(self, name: str, value: dict[str, Any]) -> None:
        key = f"{name}{_SEPARATOR}{self._next:020d}"
        self._next += 1
        self._keys.setdefault(name, deque()).append(key)
        text = strictjson.dumps(stamped(value))
        self._usage.resize(name, strictjson.size(text))
        self._stored[key] = text

    def pop(self, name: str) -> dict[str, Any] | None:
        """The oldest of a queue; None where it is empty."""
        keys = self._keys.get(name)
        if not keys:
            return None
        text = self._stored[keys[0]]
        value = upgraded("queue entry", strictjson.loads(text))
        self._usage.resize(name, -strictjson.size(text))
        del self._stored[keys.popleft()]
        if not keys:
            del self._keys[name]
        return value
