"""Commands that read topics in which anybody has written anything."""

from __future__ import annotations

import json

import pytest

from switchyard.cli.observe import Observed
from switchyard.core import strictjson
from switchyard.core.control import Control
from switchyard.core.deadletter import DeadLetter, Note, Position
from switchyard.core.errors import Rejected
from switchyard.core.topics import Topics
from tests.cli.conftest import FakeCluster, Run
from tests.cli.test_control import CONTROL, LEDGER, LETTERS, STATUS, decision, tell
from tests.core.test_fields import SUMMARY, WRONG

LETTER = DeadLetter.of(Rejected("not-json", "so"), b"{", Position("sdr.agent-messages", 0, 1), 1, workflow_id="w1")
NOTE = Note("retried", "sdr.agent-messages", 0, 7, 1, "ada")
STATUS_EVENT = {"specversion": "1.0", "id": "1", "source": "s", "type": "workflow.running", "workflowid": "w1"}


@pytest.fixture
def hostile(kafka: type[FakeCluster]) -> type[FakeCluster]:
    kafka.content.update({name: [] for name in (STATUS, CONTROL, LEDGER, LETTERS)})
    kafka.add(LEDGER, b"250", decision("w1").json().encode())
    tell(kafka)
    kafka.add(LETTERS, b"w1", LETTER.json().encode())
    good = {
        LEDGER: json.loads(decision("w1").json()),
        LETTERS: json.loads(LETTER.json()),
        CONTROL: Control.new("pause", "s", "so", "ada").event.object(),
    }
    for topic in (STATUS, CONTROL, LEDGER, LETTERS):
        for raw in (
            b"",
            b"\xff",
            b"{",
            b"[" * 5_000,
            b'{"kind":"fence","at":null}',
            b'{"data":{}}',
            b'{"kind":"note"}',
        ):
            kafka.add(topic, b"9" * 5_000, raw, time=2**62)
    for wrong in WRONG:
        for topic, form in good.items():
            for name in form:
                if name not in ("version", "action", "decided_by"):
                    kafka.add(topic, b"w1", strictjson.dumps({**form, name: wrong}).encode())
        for name in json.loads(NOTE.json()):
            kafka.add(LETTERS, b"w1", strictjson.dumps({**json.loads(NOTE.json()), name: wrong}).encode())
        for name in SUMMARY:
            data = {**SUMMARY, "app": "sdr", name: wrong}
            kafka.add(STATUS, b"w2", strictjson.dumps({**STATUS_EVENT, "data": data}).encode())
    return kafka


@pytest.mark.parametrize("also", [(), ("--json",)])
@pytest.mark.parametrize(
    "command",
    [
        ("workflows",),
        ("trace", "w1"),
        ("dead-letters", "list"),
        ("dead-letters", "show", "1"),
        ("approvals", "list"),
    ],
)
def test_a_command_says_what_it_can(
    run: Run, hostile: type[FakeCluster], command: tuple[str, ...], also: tuple[str, ...]
) -> None:
    result = run(*command, *also)
    assert result.exit_code == 0, result.output


def test_an_observer_takes_what_it_can(hostile: type[FakeCluster]) -> None:
    observed = Observed()
    for records in hostile.content.values():
        for record in records:
            if record.topic != CONTROL:
                observed.add(record, Topics("sdr"))
    observed.derive_workflows()
    assert "w1" in observed.workflows
    assert observed.all_ended in (True, False)


def test_a_record_of_another_release_is_told(run: Run, hostile: type[FakeCluster]) -> None:
    hostile.add(LEDGER, b"250", strictjson.dumps({**json.loads(decision("w1").json()), "version": 9}).encode())
    result = run("trace", "w1")
    assert result.exit_code == 1
    assert "a record of the ledger has version 9" in result.output
