"""Trims what agents remember, the oldest first, in a thread of its own: no answer waits for it."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence

from switchyard.core.agents_file import MemoryLimits
from switchyard.core.ids import stable_hash
from switchyard.worker.memory.backend import DAY, LARGEST_TEXT, Recollection, StoredMemory, TrimmableBackend, now
from switchyard.worker.publisher import WorkerStopping

log = logging.getLogger("switchyard.worker")

PERIOD_S = 10.0

Summarise = Callable[[str, str, list[Recollection]], str | None]
"""Agent, subject and what is trimmed, the oldest first → the text that is remembered in its place, or None."""


def to_trim(
    entries: Sequence[StoredMemory], limits: MemoryLimits, at: int, share: float = 1.0
) -> tuple[list[StoredMemory], list[StoredMemory]]:
    """What is too old at `at`, and what is too much; of the rest a `share` of the limits is left, and one at least.

    `entries` are all about one subject, the newest first; so are both lists.
    """
    eldest = at - int(limits.days * DAY)
    old = [entry for entry in entries if entry.at <= eldest or (entry.expires is not None and entry.expires <= at)]
    left = [entry for entry in entries if entry not in old]
    if len(left) <= limits.entries and sum(entry.tokens for entry in left) <= limits.tokens:
        return old, []
    tokens = 0
    for index, entry in enumerate(left):
        tokens += entry.tokens
        if index > 0 and (index >= max(1, int(limits.entries * share)) or tokens > limits.tokens * share):
            return old, left[index:]
    return old, []


class Trimmer(threading.Thread):
    """Trims the agents that `mine` says are this worker's, so that no two workers do."""

    def __init__(
        self,
        memories: TrimmableBackend,
        limits: MemoryLimits,
        summarise: Summarise | None,
        mine: Callable[[str], bool],
        stop: threading.Event,
    ) -> None:
        super().__init__(name="memory-trimmer")
        self._memories = memories
        self._limits = limits
        self._summarise = summarise
        self._mine = mine
        self._stop_event = stop

    def run(self) -> None:
        while not self._stop_event.wait(PERIOD_S):
            try:
                self.round()
            except WorkerStopping:
                return
            except Exception as error:  # noqa: BLE001  # a backend raises what it likes
                log.warning("memories are not trimmed now (%s), trying again", type(error).__name__)

    def round(self) -> None:
        """Trim everything that is over its limits now. Raises WorkerStopping, and what the backend raises."""
        for agent, subject in self._memories.over(self._limits):
            if self._mine(agent) and not self._stop_event.is_set():
                self._trim(agent, subject)
        self._memories.purge_tombstones()

    def _trim(self, agent: str, subject: str) -> None:
        # With a summary half is left: it needs room, and is to be made seldom.
        share = 1.0 if self._summarise is None else 0.5
        old, over = to_trim(self._memories.all(agent, subject), self._limits, now(), share)
        if over and self._summarise is not None:
            try:
                text = self._summarise(agent, subject, [entry.recollection for entry in reversed(over)])
            except BaseException:  # whatever user code raises; what it was to summarise stays
                log.exception("the summary for %s failed and is tried again", agent)
                over = []
            else:
                self._remember(text, over)
        if old or over:
            self._memories.forget([*old, *over])

    def _remember(self, text: str | None, over: list[StoredMemory]) -> None:
        """Remember the summary, as old as the newest it stands for."""
        if text is None:
            return
        newest = over[0]
        identity = stable_hash("summary", *(entry.id for entry in over))
        summary = StoredMemory(newest.agent, newest.subject, identity, text, newest.at)
        if summary.tokens > self._limits.tokens // 2 or len(text.encode()) > LARGEST_TEXT:
            most = min(self._limits.tokens // 2, LARGEST_TEXT // 4)
            log.warning("a summary for %s is left out: it has %d tokens, not %d", newest.agent, summary.tokens, most)
            return
        self._memories.keep([summary])
