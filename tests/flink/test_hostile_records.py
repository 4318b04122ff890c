"""The operator and the functions for SQL, fed with anything: what they cannot read is a dead letter; none raises."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pyflink.common import Row

from switchyard.core import strictjson
from switchyard.core.control import Control
from switchyard.core.deadletter import DeadLetter
from switchyard.core.errors import LedgerVersionError, SettingsError
from switchyard.core.ledger.record import Decision, Fence
from switchyard.core.ledger.subject import Subject
from switchyard.flink.input_functions import CheckData, CheckEvent
from switchyard.flink.ledger_functions import ReadDecision
from tests.core.test_fields import WRONG
from tests.flink.support import created
from tests.flink.test_restore import Harness

NOWHERE = "http://127.0.0.1:9/v1"
EVENT = json.loads(created(1))
PLACE = ("sdr.agent-messages", 0, 1)
DECISION = Decision(
    Subject("event", "e1"), "lead-1", created(1).decode(), *PLACE, "dispatch", "rule", "so", 1_000, agents=("research",)
)
GOOD = {
    "event": EVENT,
    "record": json.loads(DECISION.json()),
    "fence": json.loads(Fence(0, "nonce", 1_000).json()),
    "control": Control.new("cancel", "s", "so", "ada", "lead-1").event.object(),
}
RAW = [b"", b"\xff\xfe", b"{", b"[]", b"NaN", b"[" * 5_000, b"9" * 5_000, b'{"kind":"fence","at":null}']


class Operator(Harness):
    """Takes any bytes as a row of any kind; what it writes to the ledger is kept, and not read back."""

    def __init__(self) -> None:
        super().__init__(NOWHERE)
        self.rows: list[dict[str, Any]] = []
        self.open()

    def take(self, kind: str, raw: bytes) -> None:
        self._offset += 1
        topic = {"event": "agent-messages", "control": "control"}.get(kind, "routing-decisions")
        row = Row("record" if kind == "fence" else kind, raw, topic, 0, self._offset, None, None, None, None)
        for output in self._operator.process_element(row, self):
            assert len(output[-1]) < 1 << 20
            strictjson.loads(output[-1])
            self.rows.append({"kind": output[0], "value": output[-1]})
        assert all(0 <= timer < 2**63 for timer in self.timers)


@pytest.fixture
def operator() -> Any:
    harness = Operator()
    yield harness
    harness.crash()


@pytest.mark.parametrize("kind", GOOD)
def test_any_bytes_are_a_dead_letter(operator: Operator, kind: str) -> None:
    for raw in RAW:
        before = len(operator.rows)
        operator.take(kind, raw)
        letters = [row["value"] for row in operator.rows[before:] if row["kind"] == "dead-letter"]
        assert [DeadLetter.parse(text).raw for text in letters] == [raw]


@pytest.mark.parametrize("kind", GOOD)
def test_any_field_may_hold_anything(operator: Operator, kind: str) -> None:
    good = GOOD[kind]
    for name in [*good, "causationid", "hops", "retry", "answerindex", "delay_ms", "extra"]:
        for wrong in WRONG:
            try:
                operator.take(kind, strictjson.dumps({**good, name: wrong}).encode())
            except (LedgerVersionError, SettingsError):
                assert name in ("version", "action", "decided_by", "shards")
    letters = [DeadLetter.parse(row["value"]) for row in operator.rows if row["kind"] == "dead-letter"]
    assert letters
    assert "internal-error" not in {letter.reason for letter in letters}


def test_a_record_of_another_release_ends_the_job(operator: Operator) -> None:
    for change in ({"version": 9}, {"action": "dispatch-when"}):
        with pytest.raises(LedgerVersionError, match="go on with the release that wrote it"):
            operator.take("record", strictjson.dumps({**GOOD["record"], **change}).encode())
        function = ReadDecision()
        with pytest.raises(LedgerVersionError):
            function.eval(strictjson.dumps({**GOOD["record"], **change}).encode(), "t", 0, 1)
    assert not operator.rows


def test_the_functions_for_sql_never_raise(operator: Operator) -> None:
    event, data, ledger = CheckEvent(), CheckData(), ReadDecision()
    for function in (event, data, ledger):
        function.open(operator)
    every = [strictjson.dumps({**GOOD["record"], name: wrong}).encode() for name in GOOD["record"] for wrong in WRONG]
    every += [strictjson.dumps({**EVENT, name: wrong}).encode() for name in [*EVENT, "hops"] for wrong in WRONG]
    for raw in [None, *RAW, *every]:
        for topic in ("sdr.agent-messages", "sdr.control"):
            row = event.eval(raw, topic)
            assert row[8] is not None or json.loads(row[5])
        assert data.eval("lead.created", raw)[1] is not None
        assert data.eval("no.such.type", raw)[1] in ("unknown-type", "not-json")
        try:
            row = ledger.eval(raw, "sdr.routing-decisions", 0, 1)
        except LedgerVersionError:
            continue
        assert row is None or row[4] is None or DeadLetter.parse(row[4])
