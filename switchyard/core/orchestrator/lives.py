"""Which life of a workflow a record of the ledger belongs to, where the workflow has ended."""

from __future__ import annotations

from switchyard.core.errors import Rejected
from switchyard.core.ledger.record import Decision
from switchyard.core.orchestrator.workflow import Tombstone, Workflow
from switchyard.core.routing.decide import is_manual_retry


def reopens(record: Decision, ended: Workflow | Tombstone) -> bool:
    """Whether a record tells that a workflow which has ended was begun again.

    All records of one life tell when it began. A life begins with a retry, which other events may join, and the end of
    a later one tells of it where nothing else does.
    """
    subject = record.subject
    if subject.life > ended.life:
        return True
    if subject.kind != "event" or record.action == "late" or ended.known.is_settled(subject):
        return False
    try:
        retry = is_manual_retry(record.parsed_event(), subject)
    except Rejected:
        return False
    return record.began > ended.started_at or (retry and record.began != ended.started_at)


def keep_in_mind(record: Decision, tombstone: Tombstone) -> bool:
    """Note what a record after the last of its life settles, though nothing is done about it. Whether there was any."""
    if record.request is not None:
        tombstone.known.carry_out(record.request)
    elif record.action == "late" and record.subject.kind == "event":
        tombstone.known.settle(record.subject)
    else:
        return False
    return True
