"""Every field of every record that stands in a topic, with every wrong value: refused, or harmless."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from switchyard.core import strictjson
from switchyard.core.audit import AuditEntry
from switchyard.core.control import Control
from switchyard.core.deadletter import DeadLetter, Note, Position, parse_entry
from switchyard.core.errors import LedgerVersionError, Rejected
from switchyard.core.event import Event
from switchyard.core.ledger.record import Decision, Fence, parse_record
from switchyard.core.ledger.subject import Subject
from switchyard.core.orchestrator.ledger_view import derive
from switchyard.core.orchestrator.workflow import Workflow, status_event
from switchyard.core.shards import shard_keys
from switchyard.core.summary import parse_summary
from switchyard.core.times import rfc3339
from tests.core import toy

NUMBERS = [True, 0, 1, -1, 0.5, 1e15, 1e308, -1e308, 2**31, 2**63, 2**64 - 1, 253_402_300_800_000]
TEXTS = [
    "",
    "x",
    "9" * 5_000,
    "1",
    "\u0662",
    "dispatch/x/" + "9" * 5_000,
    "dispatch/x/\u0662",
    "\x00\x1b[31m\u2028",
    "ä" * 300,
]
WRONG: list[Any] = [None, *NUMBERS, *TEXTS, [], [None], ["x"], [[]], {}, {"x": None}, {"x": {"y": []}}]

SHARD = shard_keys(1)[0]
LETTER = DeadLetter.of(Rejected("not-json", "it is none", "data"), b"{", Position("t", 0, 1), 1, workflow_id="w1")
RECORD = Decision(
    Subject("event", "e1"),
    "w1",
    toy.opened(1).json(),
    "agent-messages",
    0,
    1,
    "dispatch",
    "rule",
    "so",
    at=1,
    agents=("a",),
)
SUMMARY = Workflow("w1", 1_000).summary("toy")


def use_record(raw: bytes) -> None:
    record = parse_record(raw)
    assert parse_record(record.json()) == record
    if isinstance(record, Decision):
        derive([record])
        rfc3339((record.at - record.elapsed_ms) / 1000)
        assert str(Subject.parse(str(record.subject))) == str(record.subject)
        assert record.subject.kind != "dispatch" or record.subject.answer_index >= 0


def use_entry(raw: bytes) -> None:
    entry = parse_entry(raw)
    assert parse_entry(entry.json()) == entry
    rfc3339(entry.time / 1000)
    if isinstance(entry, DeadLetter):
        assert isinstance(entry.raw, bytes)


def use_summary(raw: bytes) -> None:
    summary = parse_summary(raw)
    rfc3339(summary["started_at"] / 1000)
    strictjson.dumps(summary)


def use_control(raw: bytes) -> None:
    control = Control.parse(raw, SHARD, 1)
    assert Control.parse(control.event.json(), SHARD, 1) == control


def use_audit(raw: bytes) -> None:
    entry = AuditEntry.parse(raw)
    assert AuditEntry.parse(entry.json()) == entry
    rfc3339(entry.at / 1000)


FORMS: dict[str, tuple[Callable[[bytes], None], dict[str, Any]]] = {
    "decision": (use_record, json.loads(RECORD.json())),
    "fence": (use_record, json.loads(Fence(0, "n", 1).json())),
    "dead letter": (use_entry, json.loads(LETTER.json())),
    "note": (use_entry, json.loads(Note("retried", "t", 0, 1, 1, "ada").json())),
    "status": (use_summary, SUMMARY),
    "control": (use_control, Control.new("approve", "s", "r", "ada", "w1", approval="d", content="c").event.object()),
    "retry": (use_control, toy.sent_again(toy.opened(1)).event.object()),
    "discard": (use_control, Control.new("discard", "s", "r", "ada", deadletter="t/0/1").event.object()),
    "audit": (use_audit, json.loads(AuditEntry.of(toy.sent_again(toy.opened(1)), 1).json())),
}


def wrapped(form: str, value: Any) -> bytes:
    envelope = status_event("toy", SUMMARY).object() if form == "status" else None
    return strictjson.dumps(value if envelope is None else {**envelope, "data": value}).encode()


@pytest.mark.parametrize("form", FORMS)
def test_a_field_may_hold_anything(form: str) -> None:
    use, good = FORMS[form]
    use(wrapped(form, good))
    accepted = 0
    for name in good:
        for wrong in [*WRONG, ...]:
            changed = {key: item for key, item in {**good, name: wrong}.items() if item is not ...}
            try:
                use(wrapped(form, changed))
                accepted += 1
            except LedgerVersionError:
                assert name in ("version", "action", "decided_by")
            except (ValueError, Rejected):
                pass
    assert accepted


@pytest.mark.parametrize("form", FORMS)
def test_a_record_may_be_anything(form: str) -> None:
    use, _ = FORMS[form]
    deep = b"[" * 70 + b"]" * 70
    for raw in [b"", b"\xff", b"{", b"NaN", deep, b'{"kind":' + deep + b"}", *(wrapped(form, item) for item in WRONG)]:
        with pytest.raises((ValueError, Rejected)):
            use(raw)


def test_a_fence_with_a_null_is_refused() -> None:
    """It once restarted the job for ever."""
    with pytest.raises(ValueError, match="field 'at'"):
        parse_record(b'{"kind":"fence","version":2,"shard":0,"nonce":"x","at":null}')
    with pytest.raises(ValueError, match="kind and a version"):
        parse_record(b'{"kind":"fence","at":null}')


def test_what_the_orchestrator_tells_is_a_summary() -> None:
    assert parse_summary(status_event("toy", SUMMARY).json()) == SUMMARY
    later = {**SUMMARY, "of_a_later_release": [1]}
    assert parse_summary(wrapped("status", later)) == later


def test_events_are_tried_as_records_are() -> None:
    good = toy.opened(1).object()
    for name in [*good, "causationid", "hops", "retry", "answerindex", "answercount", "prompttokens", "time", "data"]:
        for wrong in WRONG:
            try:
                event = Event.parse(strictjson.dumps({**good, name: wrong}))
            except Rejected:
                continue
            assert Event.parse(event.json()) == event
            assert event.key
