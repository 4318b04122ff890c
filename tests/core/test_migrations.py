"""State of the release before: read and brought to today's form; older state is refused with a sentence."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from switchyard.core.errors import LedgerVersionError, StateVersionError
from switchyard.core.ledger import record
from switchyard.core.ledger.record import Decision, parse_record
from switchyard.core.ledger.subject import Subject
from switchyard.core.orchestrator import migrations, state
from switchyard.core.orchestrator.queues import Queues
from switchyard.core.orchestrator.workflow import Tombstone, Workflow, repeats
from switchyard.core.restore import restore_conflicts
from tests.core import toy

WRITTEN = Workflow("w1", 1_000, hops=2).dump()


def renamed(value: dict[str, Any]) -> dict[str, Any]:
    """What a release 4 that calls `hops` otherwise would do; here from the other name back to today's."""
    return {("hops" if name == "depth" else name): item for name, item in value.items()}


@pytest.fixture
def next_release(monkeypatch: pytest.MonkeyPatch) -> None:
    """A made-up release whose version is one higher, with a migration of workflows from the one before."""
    monkeypatch.setattr(state, "STATE_VERSION", state.STATE_VERSION + 1)
    monkeypatch.setitem(migrations.MIGRATIONS, ("workflow", state.STATE_VERSION - 1), renamed)


def test_state_of_the_release_before_is_read_and_written_anew(next_release: None) -> None:
    older = json.dumps({("depth" if name == "hops" else name): item for name, item in json.loads(WRITTEN).items()})
    workflow = Workflow.parse(older)
    assert workflow.hops == 2
    assert json.loads(workflow.dump())["version"] == state.STATE_VERSION
    assert Workflow.parse(workflow.dump()) == workflow


def test_a_kind_without_a_migration_keeps_its_form(next_release: None) -> None:
    older = {"seen": {}, "settled": ["event/1"], "sent": [], "next_step": 0, "summary": {}}
    tombstone = Tombstone.parse(json.dumps({**older, "version": state.STATE_VERSION - 1}))
    assert str(tombstone.settled[0]) == "event/1"
    queues = Queues({"held\x1f00000000000000000000": json.dumps({"text": "x", "version": state.STATE_VERSION - 1})})
    assert queues.pop("held") == {"text": "x"}


def test_an_entry_that_cannot_be_read_stays_in_its_queue() -> None:
    stored = {"held\x1f00000000000000000000": json.dumps({"text": "x", "version": 1})}
    queues = Queues(stored)
    for _ in range(2):
        with pytest.raises(StateVersionError):
            queues.pop("held")
    assert (queues.size("held"), len(stored)) == (1, 1)


@pytest.mark.parametrize("version", [1, 2, 5, None])
def test_other_state_is_refused_with_what_to_do(version: int | None) -> None:
    value = {**json.loads(WRITTEN), "version": version} if version else {}
    with pytest.raises(StateVersionError, match="go on with the release that wrote it, or begin anew"):
        Workflow.parse(json.dumps(value))


@pytest.mark.parametrize(("version", "refused"), [(1, True), (2, True), (3, False), (4, False), (5, True)])
def test_a_submission_says_so_before_anything_is_stopped(version: int, refused: bool) -> None:
    registry = toy.registry()
    before = {"shards": 16, "registry": registry.json(), "state_version": version}
    conflicts = restore_conflicts(before, registry, 16)
    assert bool(conflicts) == refused
    assert not refused or f"the state has version {version}" in conflicts[0]


RECORD = Decision(Subject("event", "e1"), "w1", "{}", "agent-messages", 0, 1, "complete", "rule", "it is done", at=1)


def test_a_record_of_the_version_before_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """The ledger is not written anew: what an earlier release wrote stays in it."""
    older = {**json.loads(RECORD.json()), "version": record.VERSION, "settles": "event/e1"}
    del older["subject"]
    monkeypatch.setattr(record, "VERSION", record.VERSION + 1)
    with pytest.raises(LedgerVersionError, match="has version 2, and this release of Switchyard reads version 3"):
        parse_record(json.dumps(older))
    monkeypatch.setitem(record.MIGRATIONS, 2, lambda value: {**value, "subject": value["settles"]})
    assert parse_record(json.dumps(older)) == replace(RECORD, version=record.VERSION)
    with pytest.raises(ValueError, match="it is no record of version 2"):
        parse_record(json.dumps({"kind": "decision", "version": 2}))


@pytest.mark.parametrize("version", [None, [], {}, "2", True, 0, -1, 2.0])
def test_what_has_no_version_is_no_record(version: Any) -> None:
    with pytest.raises(ValueError, match="a JSON object with a kind and a version"):
        parse_record(json.dumps({**json.loads(RECORD.json()), "version": version}))


def test_state_of_version_3_is_read() -> None:
    before = {**json.loads(WRITTEN), "seen": ["event/a", "dispatch/d/0"], "version": 3}
    del before["life"]
    workflow = Workflow.parse(json.dumps(before))
    assert workflow.seen == {Subject("event", "a"): "", Subject("dispatch", "d", "0"): ""}
    assert repeats(workflow.seen, toy.opened(1), Subject("event", "a"))
    held = {"text": "{}", "position": {"topic": "t", "partition": 0, "offset": 1}, "version": 3}
    queues = Queues({"held\x1f00000000000000000000": json.dumps(held), "held\x1f1": json.dumps({**held, "rule": None})})
    control, event = queues.pop("held"), queues.pop("held")
    assert control is not None
    assert event is not None
    assert (control["control"], control["rule"], event["control"]) == (True, None, False)


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"version": 1}, "version 1"),
        ({"version": 9}, "version 9"),
        ({"version": 9, "action": "dispatch-when", "subject": 7, "kind": "promise"}, "version 9"),
        ({"action": "dispatch-when"}, "the action 'dispatch-when'"),
        ({"decided_by": "oracle"}, "the decided_by 'oracle'"),
    ],
)
def test_a_record_of_another_release_is_never_decided_anew(change: dict[str, Any], what: str) -> None:
    """A dead letter would leave what it settles open: the job stops instead, and so do the commands."""
    with pytest.raises(LedgerVersionError) as caught:
        parse_record(json.dumps({**json.loads(RECORD.json()), **change}))
    assert f"a record of the ledger has {what}" in str(caught.value)
    assert "go on with the release that wrote it" in str(caught.value)


@pytest.mark.parametrize("change", [{"action": "dispatch-when", "at": None}, {"action": "\x1b[31m"}, {"action": 7}])
def test_garbage_is_no_record_of_another_release(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="field"):
        parse_record(json.dumps({**json.loads(RECORD.json()), **change}))
