"""A table that grows without any one input having to read or write all of it."""

from __future__ import annotations

import zlib
from collections.abc import MutableMapping
from typing import Any

from switchyard.core import strictjson
from switchyard.core.orchestrator.migrations import SEPARATOR, stamped, upgraded

BUCKET = 4096
"""Characters of JSON that a bucket has on average at most."""


class Buckets:
    """JSON objects by text key, in numbered buckets: linear hashing (W. Litwin, VLDB 1980).

    There is a bucket more for every `BUCKET` characters, and one is split at a time. A table of one bucket stands in
    its owner's own entry (`stored`); the buckets of a larger one are entries of their own beside it, named by the
    owner and their number, and are read when they are first asked for.
    """

    def __init__(
        self, stored: dict[str, Any] | None = None, home: MutableMapping[str, str] | None = None, owner: str = ""
    ) -> None:
        """`stored` is what `stored` gave, `home` the map with the buckets. Without them it is empty."""
        stored = stored or {"count": 1, "characters": 0, "entries": {}}
        entries = stored["entries"]
        self.count: int = stored["count"]
        self.characters: int = stored["characters"]
        self._home, self._owner = home, owner
        self._buckets: dict[int, dict[str, dict[str, Any]]] = {} if entries is None else {0: entries}
        self._written = self.count if self.count > 1 else 0
        self._changed: set[int] = set()
        self._make_room()

    def get(self, key: str) -> dict[str, Any]:
        """The object of a key; an empty one where there is none."""
        return self._bucket(self._number(key)).get(key, {})

    def put(self, key: str, name: str, value: Any) -> None:
        """Set one field of the object of a key."""
        number = self._number(key)
        bucket = self._bucket(number)
        before = bucket.get(key)
        if before is not None and name in before and before[name] == value:
            return
        bucket[key] = {**(before or {}), name: value}
        self.characters += _size(key, bucket[key]) - (0 if before is None else _size(key, before))
        self._changed.add(number)
        self._make_room()

    def stored(self) -> dict[str, Any]:
        """What the owner keeps of it."""
        return {
            "count": self.count,
            "characters": self.characters,
            "entries": self._bucket(0) if self.count == 1 else None,
        }

    def save(self, home: MutableMapping[str, str], owner: str) -> bool:
        """Write the buckets that changed. Whether they have come from another map, which has none of them then."""
        moved = self._home is not None and home is not self._home
        if moved:
            self._buckets = {number: self._bucket(number) for number in range(self.count)}
            self._changed = set(self._buckets)
            self._remove()
        if self.count > 1:
            for number in sorted(self._changed):
                home[_name(owner, number)] = strictjson.dumps(stamped({"entries": self._buckets[number]}))
            self._written = self.count
        self._changed.clear()
        self._home, self._owner = home, owner
        return moved

    def _remove(self) -> None:
        """Delete the buckets from the map that they are in."""
        assert self._home is not None
        for number in range(self._written):
            self._home.pop(_name(self._owner, number), None)
        self._written = 0

    def _number(self, key: str) -> int:
        value, whole = zlib.crc32(key.encode()), 1 << (self.count.bit_length() - 1)
        number = value % (2 * whole)
        return number if number < self.count else value % whole

    def _bucket(self, number: int) -> dict[str, dict[str, Any]]:
        if number not in self._buckets:
            text = None if self._home is None else self._home.get(_name(self._owner, number))
            # What has a time to live may be gone before its owner, which was written later.
            self._buckets[number] = {} if text is None else upgraded("bucket", strictjson.loads(text))["entries"]
        return self._buckets[number]

    def _make_room(self) -> None:
        while self.characters > self.count * BUCKET:
            self._split()

    def _split(self) -> None:
        """Add a bucket, and move what now belongs there out of the one whose turn it is."""
        added = self.count
        split = added - (1 << (added.bit_length() - 1))
        entries = self._bucket(split)
        self.count += 1
        self._buckets[split] = {key: value for key, value in entries.items() if self._number(key) == split}
        self._buckets[added] = {key: value for key, value in entries.items() if self._number(key) == added}
        self._changed |= {split, added}


def _name(owner: str, number: int) -> str:
    return f"{owner}{SEPARATOR}{number}"


def _size(key: str, value: dict[str, Any]) -> int:
    return len(strictjson.dumps({key: value}))
