"""State of the release before: read and brought to today's form; older state is refused with a sentence."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from switchyard.core.errors import LedgerVersionError, Rejected, StateVersionError
from switchyard.core.ledger import record
from switchyard.core.ledger.record import Decision, parse_record
from switchyard.core.ledger.subject import Subject
from switchyard.core.orchestrator import migrations, state
from switchyard.core.orchestrator.buckets import BUCKET
from switchyard.core.orchestrator.limits import ShardUsage
from switchyard.core.orchestrator.queues import Queues
from switchyard.core.orchestrator.state import ShardState
from switchyard.core.orchestrator.store import WorkflowStore
from switchyard.core.orchestrator.workflow import Tombstone, Workflow
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
    assert Workflow.parse(workflow.dump()).dump() == workflow.dump()


def test_a_kind_without_a_migration_keeps_its_form(next_release: None) -> None:
    older = json.loads(Tombstone.of(Workflow("w1", 1_000), "toy").dump())
    tombstone = Tombstone.parse(json.dumps({**older, "version": state.STATE_VERSION - 1}))
    assert tombstone.workflow_id == "w1"
    queues = Queues(
        {"held\x1f00000000000000000000": json.dumps({"text": "x", "version": state.STATE_VERSION - 1})}, ShardUsage({})
    )
    assert queues.pop("held") == {"text": "x"}


def test_an_entry_that_cannot_be_read_stays_in_its_queue() -> None:
    stored = {"held\x1f00000000000000000000": json.dumps({"text": "x", "version": 1})}
    queues = Queues(stored, ShardUsage({}))
    for _ in range(2):
        with pytest.raises(StateVersionError):
            queues.pop("held")
    assert (queues.size("held"), len(stored)) == (1, 1)


@pytest.mark.parametrize("version", [1, 2, 3, 6, None])
def test_other_state_is_refused_with_what_to_do(version: int | None) -> None:
    value = {**json.loads(WRITTEN), "version": version} if version else {}
    with pytest.raises(StateVersionError, match="go on with the release that wrote it, or begin anew"):
        Workflow.parse(json.dumps(value))


@pytest.mark.parametrize(("version", "refused"), [(1, True), (3, True), (4, False), (5, False), (6, True)])
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


LISTS = {
    "seen": {"event/a": "h", "dispatch/d/0": "", "dispatch/e/1": ""},
    "settled": ["event/a", "dispatch/d/0", "timeout/f"],
}


def test_state_of_version_4_is_read() -> None:
    before = {**json.loads(WRITTEN), **LISTS, "closed": ["d"], "abandoned": ["f"], "refused": {"dispatch/e/1": 2}}
    before |= {"approved": ["k"], "life": 3, "version": 4}
    del before["known"]
    known = Workflow.parse(json.dumps(before)).known
    event, late = Subject("event", "a"), Subject("dispatch", "e", "1")
    with pytest.raises(Rejected, match="id-reused"):
        known.repeats(toy.opened(1), event)
    assert (known.is_settled(event), known.is_settled(late), known.is_settled(Subject.timeout("f"))) == (1, 0, 1)
    assert (known.refused(late), known.refused(event)) == (2, 0)
    assert (known.is_over("d"), known.is_answered("d"), known.is_abandoned("d")) == (True, True, False)
    assert (known.is_over("e"), known.is_answered("e"), known.is_abandoned("f")) == (False, False, True)
    assert (known.is_approved("k", 3), known.is_approved("k", 4), known.any_settled) == (True, False, True)


def test_a_tombstone_of_version_4_is_read() -> None:
    summary = Workflow("w1", 1_000).summary("toy")
    before = {**LISTS, "sent": ["g"], "next_step": 2, "life": 1, "summary": summary, "version": 4}
    tombstone = Tombstone.parse(json.dumps(before))
    assert (tombstone.life, tombstone.next_step, tombstone.known.is_abandoned("g")) == (1, 2, True)
    assert [tombstone.known.is_new(Subject("event", key)) for key in ("a", "b")] == [False, True]


def test_much_that_is_known_in_version_4_is_put_into_buckets_when_it_is_first_touched() -> None:
    many = [f"event/{number:064}" for number in range(5_000)]
    before = {**json.loads(WRITTEN), "seen": dict.fromkeys(many, "h"), "settled": many, "version": 4}
    del before["known"]
    stored = ShardState(workflows={"w1": json.dumps(before)})
    migrations.upgrade(stored, 4)
    store = WorkflowStore(stored, ShardUsage({}))
    workflow = store.running("w1")
    assert workflow is not None
    store.save(workflow)
    assert max(map(len, stored.workflows.values())) < 4 * BUCKET
    kept = WorkflowStore(stored, ShardUsage({})).running("w1")
    assert kept is not None
    assert all(kept.known.is_settled(Subject.parse(text)) for text in many)
    migrations.upgrade(stored, state.STATE_VERSION)
    assert kept.dump() == stored.workflows["w1"]


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
