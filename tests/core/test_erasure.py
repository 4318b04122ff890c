"""What is about somebody is known wherever it stands, and an ended workflow that is forgotten stays so."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from switchyard.core.control import Control
from switchyard.core.erasure import Erasure, ReceiptLine, ranges, texts
from switchyard.core.errors import Rejected
from switchyard.core.shards import shard_keys
from switchyard.testing.memory import Checkpoint, InMemory, ShardState
from tests.core import toy
from tests.core.test_supervision import answer, handlers, runner

ADA = Erasure.of("Ada.Lovelace@Analytical.example")


@pytest.mark.parametrize(
    "text",
    [
        "ada.lovelace@analytical.example",
        "To: Ada <ADA.Lovelace@ANALYTICAL.example>",
        "Write to ada.lovelace@analytical.example.",
        "mailto:ada.lovelace@analytical.example?subject=x",
        "'ada.lovelace@analytical.example'",
    ],
)
def test_an_address_is_known_in_any_case_and_in_a_text(text: str) -> None:
    assert ADA.mentions(text)


@pytest.mark.parametrize(
    "text",
    [
        "not.ada.lovelace@analytical.example",
        "ada.lovelace@analytical.example.org",
        "ada.lovelace@analytical.example-two.org",
        "ada-lovelace@analytical.example",
        "xada.lovelace@analytical.example",
        "ada.lovelace@analytical",
    ],
)
def test_another_address_is_somebody_else(text: str) -> None:
    assert not ADA.mentions(text)


def test_a_subject_is_an_address_or_a_workflow() -> None:
    assert ADA.workflow_ids == frozenset()
    lead = Erasure.of("lead-1002")
    assert (lead.address, lead.workflow_ids) == (None, {"lead-1002"})
    assert not lead.mentions("lead-1002")


def test_what_stands_for_a_subject_does_not_tell_it() -> None:
    assert ADA.digest == Erasure.of("ada.lovelace@analytical.example").digest != Erasure.of("lead-1").digest
    assert "ada" not in ADA.digest


EVENT = '{"data": {"text": "line\\nada.lovelace@analytical.example"}}'


@pytest.mark.parametrize(
    "raw",
    [
        b"no json, ada.lovelace@analytical.example",
        b"\xff\xfe ada.lovelace@analytical.example",
        b'{"email": "\\u0061da.lovelace@analytical.example"}',
        b'{"ada.lovelace@analytical.example": 1}',
        json.dumps({"event": EVENT}).encode(),
        json.dumps({"original": base64.b64encode(EVENT.encode()).decode()}).encode(),
        json.dumps({"original": base64.b64encode(b"{broken ada.lovelace@analytical.example").decode()}).encode(),
    ],
)
def test_texts_are_found_however_deep_they_stand(raw: bytes) -> None:
    assert any(map(ADA.mentions, texts(raw)))


@pytest.mark.parametrize("raw", [b"", b"{}", b'{"original": "no base64!"}', b'{"original": 7, "x": "[["}', b"[" * 9999])
def test_what_is_broken_is_read_as_far_as_it_goes(raw: bytes) -> None:
    assert not any(map(ADA.mentions, texts(raw)))


def test_offsets_are_told_in_short() -> None:
    assert ranges([]) == ""
    assert ranges([4, 17, 18, 19, 21]) == "4, 17-19, 21"


OPENED = toy.opened(1, "w1")
LINE = {"place": "sdr.control[0]", "found": 2, "done": "kept", "offsets": "1-2", "until": 5, "note": "n"}


def forget(*workflows: str, **changes: Any) -> Control:
    more = {"subject": ADA.digest, "workflows": list(workflows), "receipt": [LINE], **changes}
    return Control.new("forget", "tests", "", "ada", **more)


def test_a_request_to_forget_goes_to_every_shard_with_its_receipt() -> None:
    records = forget("w1").records(4)
    assert [int(key) for key, _ in records] == list(shard_keys(4))
    read = Control.parse(records[0][1], int(records[0][0]), 4)
    assert (read.workflow_ids, read.receipt) == (("w1",), (ReceiptLine(**LINE),))


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"subject": 7}, "data.subject"),
        ({"workflows": "w1"}, "data.workflows"),
        ({"workflows": [1]}, "data.workflows"),
        ({"receipt": {}}, "data.receipt"),
        ({"receipt": [{**LINE, "done": "burnt"}]}, "data.receipt"),
        ({"receipt": [7]}, "data.receipt"),
        ({"more": 1}, "data"),
    ],
)
def test_what_is_no_request_to_forget_is_refused_with_its_field(changes: dict[str, Any], field: str) -> None:
    with pytest.raises(Rejected) as refused:
        Control.of(forget(**changes).event)
    assert refused.value.field == field


def running() -> InMemory:
    """A run in which an agent has `w1`."""
    run = runner(handlers=handlers(triage=None))
    run.publish(OPENED)
    while not run.dispatches:
        run.step(run.choices()[0])
    return run


def ended() -> InMemory:
    """A run in which `w1` was cancelled while an agent had it."""
    run = running()
    run.request(Control.new("cancel", "tests", "Ada asked", "ada", workflow_id="w1"))
    run.settle()
    assert run.statuses["w1"].data["status"] == "cancelled"
    return run


def test_the_job_forgets_how_an_ended_workflow_stood_and_keeps_the_receipt() -> None:
    run = ended()
    assert "Ada asked" in run.shard.context.state.tombstones["w1"]
    run.request(forget("w1"))
    run.settle()
    assert "w1" not in run.statuses
    assert "Ada" not in run.shard.context.state.tombstones["w1"]
    (entry,) = [item for item in run.audit if item.action == "forget"]
    assert (entry.outcome, entry.by, entry.about, entry.workflow_id) == ("done", "ada", ADA.digest, None)
    assert entry.receipt == (ReceiptLine(**LINE),)


def test_a_forgotten_workflow_stays_forgotten() -> None:
    run = ended()
    (dispatch,) = run.dispatches
    run.request(forget("w1"))
    run.settle()
    ledger = list(run.ledger)
    run.publish(OPENED)
    run.publish(answer(dispatch, "ticket.sorted", {"kind": "bug"}))
    run.settle()
    again = OPENED.again("test.agent-messages/0/0", {"text": "once more"})
    run.request(Control.new("retry", "tests", "", "ada", workflow_id="w1", event=again.object()))
    run.settle()
    assert run.statuses == {}
    assert (run.ledger, len(run.dispatches)) == (ledger, 1)
    assert [letter.reason for letter in run.dead_letters] == ["workflow-ended"]


def test_a_job_that_begins_anew_from_the_ledger_forgets_again() -> None:
    run = ended()
    run.request(forget("w1"))
    run.settle()
    run.start(Checkpoint(ShardState(), 0, 0))
    run.settle()
    assert run.statuses == {}
    assert "Ada" not in run.shard.context.state.tombstones["w1"]


def test_a_workflow_that_runs_is_not_forgotten() -> None:
    run = running()
    run.request(forget("w1"))
    while run.choices():
        run.step(run.choices()[0])
    assert run.statuses["w1"].data["status"] == "running"
