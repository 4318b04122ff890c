"""Which records of the ledger count: by workflow, for each subject and attempt the first in the ledger."""

from __future__ import annotations

from collections.abc import Iterable

from switchyard.core.ledger.record import Decision
from switchyard.core.ledger.subject import Subject


class FirstRecords:
    """Takes records one by one; `records` are those that count so far, `ignored` how many do not."""

    def __init__(self, records: Iterable[Decision] = ()) -> None:
        self._first: dict[tuple[str, Subject, int], Decision] = {}
        self.ignored = 0
        for record in records:
            self.add(record)

    def add(self, record: Decision) -> bool:
        """Whether the record counts."""
        key = (record.workflow_id, record.subject, record.attempt)
        if key in self._first:
            self.ignored += 1
            return False
        self._first[key] = record
        return True

    @property
    def records(self) -> list[Decision]:
        return list(self._first.values())


def effective(records: Iterable[Decision]) -> list[Decision]:
    """The records that were acted on, in order: for each subject the first of its last attempt."""
    first: dict[tuple[str, Subject], tuple[int, Decision]] = {}
    for number, record in enumerate(records):
        key = (record.workflow_id, record.subject)
        earlier = first.get(key)
        if earlier is None or record.attempt > earlier[1].attempt:
            first[key] = (number, record)
    return [record for _, record in sorted(first.values(), key=lambda item: item[0])]
