"""What a namespace's topics and mail folder tell, and what is lost or repeated by it. Plain functions, no I/O."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import get_args

from switchyard.core.ledger.effective import effective as effective_records
from switchyard.core.ledger.record import Decision
from switchyard.core.ledger.subject import Subject
from switchyard.core.orchestrator.workflow import WorkflowStatus

ENDS = frozenset(get_args(WorkflowStatus)) - {"running", "queued"}
SCHEDULED = "campaign.scheduled"


@dataclass(frozen=True)
class Told:
    """One record of `workflow-status`. A repeat after the end is counted in a further summary of the same end."""

    workflow_id: str
    status: str
    steps: int
    ended_at: int | None = None


@dataclass(frozen=True)
class Mail:
    """One file of the mail folder; `again` is a copy that came later under the same Message-ID."""

    message_id: str
    again: bool = False


@dataclass
class Evidence:
    """`records` are those of the ledger, each partition in order; `dispatched` are the dispatch ids in the inboxes."""

    records: list[Decision] = field(default_factory=list)
    statuses: list[Told] = field(default_factory=list)
    dispatched: set[str] = field(default_factory=set)
    dead_letters: set[str] = field(default_factory=set)
    mails: list[Mail] = field(default_factory=list)


def ended(evidence: Evidence) -> set[str]:
    """Workflows whose newest status is an end."""
    newest = {told.workflow_id: told.status for told in evidence.statuses}
    return {name for name, status in newest.items() if status in ENDS}


def lost(evidence: Evidence, workflows: Iterable[str]) -> list[str]:
    """A sentence for each thing that is missing, now that all should have ended."""
    workflows = list(workflows)
    effective = effective_records(evidence.records)
    begun = {record.workflow_id for record in effective if record.subject.kind == "event"}
    newest = {told.workflow_id: told.status for told in evidence.statuses}
    settled = {record.subject for record in effective}
    kept = {mail.message_id for mail in evidence.mails}
    return [
        *(f"{name} has not ended" for name in workflows if newest.get(name) not in ENDS),
        *(f"{name} has no record in the ledger" for name in workflows if name not in begun),
        *(
            f"{name} failed and no dead letter says why"
            for name in workflows
            if newest.get(name) == "failed" and name not in evidence.dead_letters
        ),
        *(
            f"{record.workflow_id}: the dispatch of {agent} at step {record.step} was never answered"
            for record, agent, identity in _dispatches(effective)
            if newest.get(record.workflow_id) in ("completed", "failed")
            and Subject("dispatch", identity, "0") not in settled
            and Subject.timeout(identity) not in settled
        ),
        *(
            f"answer {index} of {record.answer_count} to {record.subject} has no record"
            for record in effective
            if record.subject.kind == "dispatch"
            for index in range(record.answer_count)
            if Subject("dispatch", record.subject.id, str(index)) not in settled
        ),
        *(f"the mail {name} was never kept" for name in _scheduled(effective) if name not in kept),
    ]


def repeated(evidence: Evidence) -> list[str]:
    """A sentence for each thing that was done twice. Mails that are marked as copies are `mails_again`, not these."""
    effective = effective_records(evidence.records)
    ends = Counter(told.workflow_id for told in {replace(told, steps=0) for told in _ends(evidence.statuses)})
    known = {identity for _, _, identity in _dispatches(effective)}
    scheduled = set(_scheduled(effective))
    kept = Counter(mail.message_id for mail in evidence.mails if not mail.again)
    return [
        *(f"{name} ended {count} times" for name, count in ends.items() if count > 1),
        *(f"{name} went on after its end" for name in sorted(_reopened(evidence.statuses))),
        *(
            # Nothing is refused while the registry stays as it is, so a later attempt is a second decision.
            f"{record.subject} of {record.workflow_id} was settled again (attempt {record.attempt})"
            for record in effective
            if record.attempt > 0
        ),
        *(f"the dispatch {name} follows from no effective record" for name in sorted(evidence.dispatched - known)),
        *(f"the mail {name} was kept {count} times" for name, count in kept.items() if count > 1),
        *(f"the mail {name} was scheduled by no effective record" for name in kept if name not in scheduled),
    ]


def mails_again(evidence: Evidence) -> int:
    """Copies of mails, known by their Message-ID: a kill fell between the server's 250 and our record of it."""
    return sum(mail.again for mail in evidence.mails)


def _dispatches(effective: Sequence[Decision]) -> Iterator[tuple[Decision, str, str]]:
    for record in effective:
        if record.action == "dispatch":
            for agent in record.agents:
                yield record, agent, record.dispatch_id(agent)


def _scheduled(effective: Sequence[Decision]) -> Iterator[str]:
    """Message-IDs of all campaigns that were set up."""
    for record in effective:
        event = record.parsed_event()
        if event.type == SCHEDULED:
            yield from (mail["message_id"] for mail in event.data["mails"])


def _ends(statuses: Iterable[Told]) -> Iterator[Told]:
    return (told for told in statuses if told.status in ENDS)


def _reopened(statuses: Iterable[Told]) -> set[str]:
    """Workflows with a step after their end. A job that starts without state tells their steps again, and no more."""
    steps: dict[str, int] = {}
    found = set()
    for told in statuses:
        if told.status in ENDS:
            steps.setdefault(told.workflow_id, told.steps)
        elif told.workflow_id in steps and told.steps >= steps[told.workflow_id]:
            found.add(told.workflow_id)
    return found
