"""What a shard must do later."""

from __future__ import annotations

import heapq
from collections.abc import Iterator, MutableMapping
from dataclasses import dataclass
from typing import Literal

from switchyard.core import strictjson
from switchyard.core.ledger.subject import Subject

IN_FLIGHT = 2**62

TimerKind = Literal["ask", "log", "event", "send", "answer", "approval", "gather", "publish", "deadline", "end"]
OF_SUBJECT: tuple[TimerKind, ...] = ("ask", "log", "event")
OF_DISPATCH: tuple[TimerKind, ...] = ("send", "answer", "approval", "gather", "publish")


@dataclass(frozen=True)
class Timer:
    """One thing to do for a workflow.

    ask, log, event         a subject: ask a model; write its record again; decide though its event was not read
    send, answer, approval  a dispatch: send it; its answer, or its approval, is overdue
    gather, publish         a gather: its deadline; write its result again
    deadline, end           the workflow: its deadline; see whether it has come to its end

    `target` is the subject's text, the id of the dispatch or gather, or empty.
    """

    kind: TimerKind
    workflow_id: str
    target: str = ""

    @property
    def subject(self) -> Subject:
        return Subject.parse(self.target)

    @classmethod
    def of(cls, kind: TimerKind, workflow_id: str, subject: Subject) -> Timer:
        return cls(kind, workflow_id, str(subject))

    @classmethod
    def parse(cls, key: str) -> Timer:
        """Read what `key` writes."""
        return cls(*strictjson.loads(key))

    @property
    def key(self) -> str:
        return strictjson.dumps([self.kind, self.workflow_id, self.target])


class Timers:
    """The timers in state, with an ordered view of them in memory. Times are milliseconds since 1970.

    `IN_FLIGHT` is never due; after a start it is due at once, for what was in flight died with its process.
    """

    def __init__(self, stored: MutableMapping[str, str]) -> None:
        self._stored = stored
        self._due = {key: int(value) % IN_FLIGHT for key, value in stored.items()}
        self._heap = self._entries()
        self._of_workflow: dict[str, set[str]] = {}
        for key in self._due:
            self._of_workflow.setdefault(Timer.parse(key).workflow_id, set()).add(key)

    def set(self, timer: Timer, due: int) -> None:
        """Set it, or set it anew."""
        key = timer.key
        self._due[key] = due
        self._of_workflow.setdefault(timer.workflow_id, set()).add(key)
        self._stored[key] = str(due)
        heapq.heappush(self._heap, (due, key))

    def clear(self, timer: Timer) -> None:
        """Clear it, where it is set."""
        self._clear(timer.key, timer.workflow_id)

    def clear_workflow(self, workflow_id: str) -> None:
        """Nothing of this workflow is due any more."""
        for key in list(self._of_workflow.get(workflow_id, ())):
            self._clear(key, workflow_id)

    def first(self) -> int | None:
        """When the next one is due."""
        while self._heap and self._due.get(self._heap[0][1]) != self._heap[0][0]:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def pop_due(self, now: int) -> Iterator[Timer]:
        """Each timer that is due, in the order of their times; it is cleared."""
        while (first := self.first()) is not None and first <= now:
            timer = Timer.parse(heapq.heappop(self._heap)[1])
            self.clear(timer)
            yield timer

    def _clear(self, key: str, workflow_id: str) -> None:
        if self._due.pop(key, None) is None:
            return
        del self._stored[key]
        self._of_workflow[workflow_id].discard(key)
        if not self._of_workflow[workflow_id]:
            del self._of_workflow[workflow_id]
        if len(self._heap) > 64 and len(self._heap) > 2 * len(self._due):
            self._heap = self._entries()  # what was cleared or set anew leaves its entry behind

    def _entries(self) -> list[tuple[int, str]]:
        entries = [(due, key) for key, due in self._due.items()]
        heapq.heapify(entries)
        return entries
