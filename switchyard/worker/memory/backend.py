"""What agents remember: `task.memory` in a handler, and what a backend has to do. No database and no Kafka here."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol

from switchyard.core.agents_file import MemoryLimits
from switchyard.core.ids import stable_hash

DAY = 24 * 3600 * 1_000_000
LARGEST_TEXT = 64 * 1024
LONGEST_SUBJECT = 256
LONGEST_TTL_S = 100 * 365.25 * 86_400

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Recollection:
    """One thing that an agent remembers, as `task.memory.recall` returns it.

    `at` is when it was remembered; `expires` is None where it is until it is trimmed. Both are aware times.
    """

    text: str
    at: datetime
    expires: datetime | None = None


@dataclass(frozen=True)
class StoredMemory:
    """One thing that an agent remembers, as a `MemoryBackend` keeps it.

    (agent, subject, id) is its identity. `at` and `expires` are microseconds since 1970; `expires` is None where it is
    remembered until it is trimmed.
    """

    agent: str
    subject: str
    id: str
    text: str
    at: int
    expires: int | None = None

    @property
    def recollection(self) -> Recollection:
        """What a handler sees of it."""
        return Recollection(self.text, _time(self.at), None if self.expires is None else _time(self.expires))

    @property
    def tokens(self) -> int:
        """An estimate that costs nothing: four bytes of UTF-8 are a token."""
        return -(-len(self.text.encode()) // 4)


@dataclass(frozen=True)
class MemoryContext:
    """What a backend is made from.

    namespace: the namespace whose agents it remembers for; no other may see it.
    limits: how much an agent remembers about a subject, as `agents.yaml` says under `memory`.
    stop: set when the worker stops; what waits for a server is to give up then.
    """

    namespace: str
    limits: MemoryLimits
    stop: threading.Event


class MemoryBackend(Protocol):
    """Keeps what all agents of one namespace remember; any number of threads may call it.

    SWITCHYARD_MEMORY names a function that takes a `MemoryContext` and returns one: `module:object`, or an entry point
    of the group `switchyard.memory`. It lasts as long as a worker: `close()` is called at its end, where there is one.
    Several workers have one each, so that what they keep must be shared.
    """

    def recall(self, agent: str, subject: str, limit: int) -> list[StoredMemory]:
        """Return the newest `limit` entries about a subject, the newest first, without what has expired."""
        ...

    def keep(self, entries: Sequence[StoredMemory]) -> None:
        """Remember; lasting when this returns. What is there already, or has been trimmed, changes nothing."""
        ...


class TrimmableBackend(MemoryBackend, Protocol):
    """A backend that Switchyard trims, by the limits of `agents.yaml`. Without these methods it has to do so itself."""

    def all(self, agent: str, subject: str) -> list[StoredMemory]:
        """Return everything about a subject, the newest first, with what has expired."""
        ...

    def forget(self, entries: Sequence[StoredMemory]) -> None:
        """Trim these: they are remembered no longer, and not again where `keep` is given them once more."""
        ...

    def over(self, limits: MemoryLimits) -> list[tuple[str, str]]:
        """Return the agents and subjects that may have more than the limits allow, or something that is too old."""
        ...

    def purge_tombstones(self) -> None:
        """Drop what is kept about trimmed entries and no longer needed."""
        ...


class AgentMemory:
    """One agent's memory in one run of its handler. What others remember cannot be reached from here.

    What is remembered takes effect together with the handler's answer, and not at all where the handler fails:
    until then `recall` does not show it.
    """

    def __init__(self, memories: MemoryBackend, agent: str, effect_key: str) -> None:
        self._memories = memories
        self._agent = agent
        self._effect_key = effect_key
        self._pending: list[StoredMemory] = []

    def recall(self, subject: str, limit: int) -> list[Recollection]:
        """What is remembered about a subject, the newest first, `limit` at most. Raises ValueError."""
        if limit < 1:
            raise ValueError(f"recall at least one thing, not {limit}")
        return [entry.recollection for entry in self._memories.recall(self._agent, _subject(subject), limit)]

    def remember(self, subject: str, text: str, ttl: float | None = None) -> None:
        """Remember a text about a subject, for `ttl` seconds where given. Raises ValueError."""
        if not isinstance(text, str) or not text.strip() or len(text.encode()) > LARGEST_TEXT:
            raise ValueError(f"what is remembered is a text of 1 to {LARGEST_TEXT} bytes; shorten it, or split it")
        if ttl is not None and not 0 < ttl <= LONGEST_TTL_S:
            raise ValueError(f"ttl is a number of seconds above 0, at most {LONGEST_TTL_S:.0f}, not {ttl}")
        at = now()
        if self._pending:
            at = max(at, self._pending[-1].at + 1)
        identity = stable_hash("memory", self._effect_key, str(len(self._pending)))
        expires = None if ttl is None else at + int(ttl * 1_000_000)
        self._pending.append(StoredMemory(self._agent, _subject(subject), identity, text, at, expires))

    @property
    def pending(self) -> tuple[StoredMemory, ...]:
        """What this run of the handler remembers, in its order; kept once the handler has answered."""
        return tuple(self._pending)


def now() -> int:
    """Microseconds since 1970."""
    return time.time_ns() // 1_000


def _subject(subject: str) -> str:
    if not isinstance(subject, str) or not subject.strip() or len(subject) > LONGEST_SUBJECT:
        raise ValueError(f"a memory's subject is a text of 1 to {LONGEST_SUBJECT} characters, not {subject!r:.80}")
    subject.encode()
    return subject


def _time(microseconds: int) -> datetime:
    return _EPOCH + timedelta(microseconds=microseconds)
