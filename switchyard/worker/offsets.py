"""Which offset of a partition may be committed while its messages finish in any order."""

from __future__ import annotations

import threading


class Offsets:
    """One assignment of one partition."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._unfinished: set[int] = set()
        self._next: int | None = None
        self._committed: int | None = None

    def begin(self, offset: int) -> None:
        with self._lock:
            self._unfinished.add(offset)
            self._next = max(offset + 1, self._next or 0)

    def finish(self, offset: int) -> None:
        with self._lock:
            self._unfinished.discard(offset)

    @property
    def ready(self) -> int | None:
        """The offset before which all is finished; None where that is committed already."""
        with self._lock:
            position = min(self._unfinished) if self._unfinished else self._next
            return None if position == self._committed else position

    def committed(self, offset: int) -> None:
        with self._lock:
            self._committed = offset
