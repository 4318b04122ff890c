"""Topics as folders, for a Flink job without Kafka.

A source reads one file a record, named by its offset; files appear whole, by a rename. A sink appends to a hidden file
of its folder, which is read while it grows: nothing waits for a checkpoint.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from switchyard.core import strictjson

WATCHED = {
    "connector": "filesystem",
    "format": "json",
    "source.monitor-interval": "40 ms",
    "source.path.regex-pattern": ".*/[0-9]+\\.json",
    # One file for the whole run: it is read while it is written.
    "sink.rolling-policy.file-size": "1 GB",
    "sink.rolling-policy.rollover-interval": "1 d",
    "sink.rolling-policy.inactivity-interval": "1 d",
}
WRITTEN = {name: value for name, value in WATCHED.items() if not name.startswith("source.")}


def options(values: dict[str, str]) -> str:
    """Table options as SQL text."""
    return ",\n  ".join(f"'{name}' = '{value}'" for name, value in values.items())


@dataclass
class Source:
    """The folder that one source table watches."""

    folder: Path
    offset: int = 0

    def append(self, value: bytes, key: bytes | None = None) -> int:
        """Add a record; its offset."""
        offset = self.offset
        self.offset += 1
        name = f"{offset:09d}.json"
        record = {"key": None if key is None else _base64(key), "value": _base64(value)}
        self.folder.mkdir(parents=True, exist_ok=True)
        hidden = self.folder / f".{name}"
        hidden.write_text(strictjson.dumps(record))
        hidden.rename(self.folder / name)
        return offset


class Sink:
    """What a sink table has written so far; each row is given once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._read: dict[Path, int] = {}

    def rows(self) -> Iterator[dict[str, Any]]:
        """Rows that came since the last call; `key` and `value` as bytes."""
        for path in sorted(self.folder.glob(".part-*")):
            with path.open("rb") as file:
                file.seek(self._read.get(path, 0))
                text = file.read()
            whole = text[: text.rfind(b"\n") + 1]
            self._read[path] = self._read.get(path, 0) + len(whole)
            for line in whole.splitlines():
                row = strictjson.loads(line)
                for name in ("key", "value"):
                    row[name] = None if row.get(name) is None else base64.b64decode(row[name])
                yield row


def _base64(value: bytes) -> str:
    return base64.b64encode(value).decode()
