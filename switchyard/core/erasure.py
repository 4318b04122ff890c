"""What is to be forgotten about somebody, how a text is known to be about it, and the receipt of what was done."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

from switchyard.core import strictjson
from switchyard.core.errors import SwitchyardError
from switchyard.core.fields import Count, Millis, Text, reader
from switchyard.core.ids import stable_hash

Done = Literal["removed", "superseded", "kept"]

_ADDRESS = re.compile(r"[^\s@<>\"]+@[^\s@<>\"]+")
_ORIGINAL = "original"
"""The field of a dead letter that holds the bytes of a record, in base64."""


@dataclass(frozen=True)
class Erasure:
    """What is to be forgotten: all that mentions a mail address, and all of some workflows.

    address: None where a workflow was named.
    workflow_ids: those that are forgotten as a whole.
    """

    address: str | None
    workflow_ids: frozenset[str] = frozenset()

    @classmethod
    def of(cls, subject: str) -> Erasure:
        """What a person names: a mail address, or the id of a workflow."""
        if _ADDRESS.fullmatch(subject):
            return cls(subject)
        return cls(None, frozenset((subject,)))

    def mentions(self, text: str) -> bool:
        """Whether the address stands in a text, whatever its case and not as a part of a longer one."""
        return self._pattern is not None and self._pattern.search(text) is not None

    def concerns(self, workflow_id: str | None, raw: bytes) -> bool:
        """Whether a record, or a stored JSON text, is of one of the workflows, or has the address anywhere."""
        if workflow_id in self.workflow_ids or self.address is None:
            return workflow_id in self.workflow_ids
        return any(map(self.mentions, texts(raw)))

    @property
    def digest(self) -> str:
        """Stands for the subject where that itself must not be kept; from the same subject follows the same."""
        return stable_hash("erasure", *([self.address.casefold()] if self.address else sorted(self.workflow_ids)))

    @cached_property
    def _pattern(self) -> re.Pattern[str] | None:
        if self.address is None:
            return None
        return re.compile(rf"(?<![\w.+%-]){re.escape(self.address)}(?![\w-]|\.\w)", re.IGNORECASE)


def texts(raw: bytes) -> Iterator[str]:
    """Every text in a record: keys and strings of JSON, also of JSON inside a string; what is no JSON as it is."""
    try:
        waiting = [strictjson.loads_foreign(raw)]
    except ValueError:
        yield raw.decode(errors="replace")
        return
    while waiting:
        value = waiting.pop()
        if isinstance(value, str):
            yield value
            if value[:1] in ("{", "["):
                waiting += _parsed(value)
        elif isinstance(value, list):
            waiting += value
        elif isinstance(value, dict):
            waiting += [*value, *value.values()]
            if isinstance(value.get(_ORIGINAL), str):
                yield from _decoded(value[_ORIGINAL])


def _parsed(text: str) -> list[Any]:
    try:
        return [strictjson.loads_foreign(text)]
    except ValueError:
        return []


def _decoded(text: str) -> Iterator[str]:
    try:
        original = base64.b64decode(text, validate=True)
    except (ValueError, binascii.Error):
        return
    yield from texts(original)


@dataclass(frozen=True)
class ReceiptLine:
    """What was found in one place, and what was done about it.

    place   such as `sdr.incoming-leads[2]`, a partition of a topic, or `table effects`
    found   how many records, rows or files
    done    `superseded` where Kafka's compaction removes what a newer record of the same key has taken the place of
    offsets of records in a partition, such as `4, 17-19`
    until   when it is gone for certain, milliseconds since 1970; None where no time is known, or nothing is left
    note    a sentence: why it is kept, or what is left of it where
    """

    place: Text
    found: Count
    done: Done
    offsets: Text = ""
    until: Millis | None = None
    note: Text = ""

    @classmethod
    def parse(cls, value: Any) -> ReceiptLine:
        """Raises ValueError."""
        return _line(value)


_line = reader(ReceiptLine)


@dataclass(frozen=True)
class Removal:
    """What can be done in one place: `line` tells of it once `remove` has done it, which is None for what is kept.

    `remove` raises SwitchyardError where it could not.
    """

    line: ReceiptLine
    remove: Callable[[], object] | None = None

    def done(self) -> ReceiptLine:
        """Do it; what came of it."""
        if self.remove is None:
            return self.line
        try:
            self.remove()
        except SwitchyardError as error:
            until = None if self.line.done == "superseded" else self.line.until
            return replace(self.line, done="kept", until=until, note=f"it could not be removed: {error}")
        return self.line


def ranges(offsets: list[int]) -> str:
    """Sorted numbers in short: `4, 17-19`."""
    runs: list[list[int]] = []
    for offset in offsets:
        if runs and offset == runs[-1][1] + 1:
            runs[-1][1] = offset
        else:
            runs.append([offset, offset])
    return ", ".join(str(first) if first == last else f"{first}-{last}" for first, last in runs)
