"""The checks of the recovery run can fail: each is shown a run in which one thing went wrong."""

from __future__ import annotations

from dataclasses import replace

import pytest

from switchyard.core.event import Event
from switchyard.core.ids import dispatch_id
from switchyard.core.ledger.record import Decision
from switchyard.core.ledger.subject import Subject
from tests.recovery.evidence import Evidence, Mail, Told, ended, lost, mails_again, repeated

MAIL = "<c.1@recovery>"


def decision(subject: str, type: str, agents: tuple[str, ...], step: int, **more: object) -> Decision:
    data = {"mails": [{"message_id": MAIL}]} if type == "campaign.scheduled" else {}
    event = Event.new(id=f"e{step}", source="tests", type=type, workflow_id="w", data=data)
    made = Decision(
        subject=Subject.parse(subject),
        workflow_id="w",
        event=event.json(),
        topic="agent-messages",
        partition=0,
        offset=step,
        action="dispatch" if agents else "complete",
        decided_by="model",
        reason="",
        at=step,
        agents=agents,
        step=step,
    )
    return replace(made, **more)  # type: ignore[arg-type]


FIRST = decision("event/1", "lead.created", ("send-email",), 0)
SENT = dispatch_id("event/1", "send-email", 0)
LAST = decision(f"dispatch/{SENT}/0", "campaign.scheduled", (), 1)


def whole() -> Evidence:
    """A run in which all went well."""
    return Evidence([FIRST, LAST], [Told("w", "running", 1), Told("w", "completed", 2)], {SENT}, set(), [Mail(MAIL)])


def test_a_run_without_fault() -> None:
    evidence = whole()
    assert (ended(evidence), lost(evidence, ["w"]), repeated(evidence), mails_again(evidence)) == ({"w"}, [], [], 0)


def test_what_a_crash_may_repeat_without_harm() -> None:
    """The same status, the same record, one more record for what is settled, and a copy of a mail."""
    evidence = whole()
    evidence.records += [LAST, replace(LAST, reason="another model's", action="dispatch", agents=("lead-scoring",))]
    evidence.statuses += [
        Told("w", "running", 1),
        Told("w", "completed", 2),
    ]
    evidence.mails.append(Mail(MAIL, again=True))
    assert (ended(evidence), lost(evidence, ["w"]), repeated(evidence), mails_again(evidence)) == ({"w"}, [], [], 1)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"statuses": [Told("w", "running", 1)]}, "w has not ended"),
        ({"statuses": []}, "w has not ended"),
        ({"records": [LAST]}, "w has no record in the ledger"),
        ({"records": [FIRST]}, "the dispatch of send-email at step 0 was never answered"),
        ({"records": [FIRST, replace(LAST, answer_count=2)]}, f"answer 1 of 2 to dispatch/{SENT}/0 has no record"),
        ({"statuses": [Told("w", "failed", 2)]}, "w failed and no dead letter says why"),
        ({"mails": []}, f"the mail {MAIL} was never kept"),
    ],
)
def test_what_is_lost(change: dict[str, object], sentence: str) -> None:
    assert any(sentence in said for said in lost(replace(whole(), **change), ["w"]))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"statuses": [Told("w", "completed", 2), Told("w", "failed", 2)]}, "w ended 2 times"),
        ({"statuses": [Told("w", "completed", 2, 1), Told("w", "completed", 2, 2)]}, "w ended 2 times"),
        ({"statuses": [Told("w", "completed", 2), Told("w", "running", 2)]}, "w went on after its end"),
        ({"records": [FIRST, replace(FIRST, attempt=1), LAST]}, "event/1 of w was settled again (attempt 1)"),
        ({"dispatched": {SENT, "another"}}, "the dispatch another follows from no effective record"),
        ({"mails": [Mail(MAIL), Mail(MAIL)]}, f"the mail {MAIL} was kept 2 times"),
        ({"mails": [Mail(MAIL), Mail("<x>")]}, "the mail <x> was scheduled by no effective record"),
    ],
)
def test_what_is_repeated(change: dict[str, object], sentence: str) -> None:
    assert any(sentence in said for said in repeated(replace(whole(), **change)))  # type: ignore[arg-type]
