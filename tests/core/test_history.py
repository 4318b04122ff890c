"""What one more event of a workflow costs does not depend on how many came before: counted, not timed."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from switchyard.core.event import Event
from switchyard.core.orchestrator import store
from switchyard.core.orchestrator.buckets import BUCKET, Buckets
from switchyard.core.orchestrator.state import ShardState
from switchyard.testing.memory import Checkpoint, InMemory
from tests.core import toy
from tests.core.test_supervision import asked_for, runner
from tests.core.toy import sent_again

MOST_ENTRIES = 14
MOST_CHARACTERS = 16 * BUCKET


class Counted(dict[str, str]):
    """A map that counts how many entries, and characters of them, are read and written."""

    entries = 0
    characters = 0

    def __getitem__(self, key: str) -> str:
        return self._count(super().__getitem__(key))

    def get(self, key: str, default: Any = None) -> Any:
        value = super().get(key, default)
        return value if value is default else self._count(value)

    def __setitem__(self, key: str, value: str) -> None:
        super().__setitem__(key, self._count(value))

    def pop(self, key: str, *default: Any) -> Any:
        self._count("")
        return super().pop(key, *default)

    def __delitem__(self, key: str) -> None:
        self._count("")
        super().__delitem__(key)

    def _count(self, value: str) -> str:
        self.entries += 1
        self.characters += len(value)
        return value


def counted() -> InMemory:
    """A run whose workflows stay open: triage has the first event of each, and answers nothing."""
    run = runner()
    run.rule = lambda event: ("triage",) if event.id == f"ticket-{event.workflow_id}" else ()
    run._handle = lambda dispatch: None  # type: ignore[method-assign]
    run.start(Checkpoint(ShardState(*(Counted() for _ in fields(ShardState))), 0, 0))
    run.settle()
    return run


def event(number: int | str, workflow: str) -> Event:
    data = {"text": f"ticket {number}"}
    return Event.new(id=f"ticket-{number}", source="tests", type="ticket.opened", workflow_id=workflow, data=data)


def cost(run: InMemory, published: Event) -> tuple[int, int]:
    """Entries and characters that are read and written for one event, until its record has been read back."""
    state = run.shard.context.state
    maps = [getattr(state, item.name) for item in fields(state)]
    before = [(item.entries, item.characters) for item in maps]
    run.publish(published)
    while run.choices():
        run.step(run.choices()[0])
    return (
        sum(item.entries - old for item, (old, _) in zip(maps, before, strict=True)),
        sum(item.characters - old for item, (_, old) in zip(maps, before, strict=True)),
    )


@pytest.mark.parametrize("kept", [store.KEPT_BYTES, 0], ids=["kept in memory", "read anew each time"])
def test_an_event_costs_the_same_after_ten_others_and_after_thousands(
    kept: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "KEPT_BYTES", kept)
    run = counted()
    costs: dict[int, tuple[int, int]] = {}
    for name in ("w0", "w1"):
        cost(run, event(name, name))
    for number in range(1_500):
        for name in ("w0", "w1"):  # where little is kept, each makes room for the other
            costs[number] = cost(run, event(number, name))
    assert sum(map(len, run.shard.context.state.workflows.values())) > 60 * BUCKET
    early, late = (list(costs.values())[start : start + 400] for start in (100, 1_100))
    assert max(map(len, run.shard.context.state.workflows.values())) < 4 * BUCKET
    for which, most in ((0, MOST_ENTRIES), (1, MOST_CHARACTERS)):
        assert max(item[which] for item in late) <= most
        assert sum(item[which] for item in late) < 1.5 * sum(item[which] for item in early)


def test_a_workflow_that_ended_with_a_long_history_costs_no_more_either_and_can_begin_again() -> None:
    run = counted()
    cost(run, event("w1", "w1"))
    for number in range(1_000):
        cost(run, event(number, "w1"))
    running = run.shard.context.state.workflows
    beside = len(running) - 1
    assert beside > 10
    run.request(asked_for("cancel", "w1"))
    run.settle()
    state = run.shard.context.state
    assert [len(item) for item in (state.workflows, state.timers, state.queues)] == [0, 0, 0]
    assert len(state.tombstones) == beside + 1
    for number in (3, 900):
        entries, characters = cost(run, event(number, "w1"))
        assert entries <= MOST_ENTRIES
        assert characters < MOST_CHARACTERS
    assert run.statuses["w1"].data["duplicates"] == 2

    run.request(sent_again(event("w1", "w1"), {"text": "again"}))
    run.settle()
    assert run.status("w1") in ("completed", "failed")
    state = run.shard.context.state
    assert [len(item) for item in (state.workflows, state.timers, state.queues)] == [0, 0, 0]
    assert set(state.tombstones) == {"w1", *(f"w1\x1f{number}" for number in range(len(state.tombstones) - 1))}


def test_a_workflow_that_begins_again_takes_all_it_knows_with_it() -> None:
    run = counted()
    for number in ("w1", *range(300)):
        cost(run, event(number, "w1"))
    run.request(asked_for("cancel", "w1"))
    run.settle()
    run.rule = lambda item: ("triage",)
    run.request(sent_again(event("w1", "w1"), {"text": "again"}))
    while run.choices():
        run.step(run.choices()[0])
    assert run.status("w1") == "running"
    assert len(run.shard.context.state.tombstones) == 0
    run.start(run.checkpoint())
    run.settle()
    before = len(run.ledger)
    run.publish(event(7, "w1"))
    run.settle()
    assert (run.statuses["w1"].data["duplicates"], len(run.ledger)) == (1, before)


def test_the_record_after_a_flood_names_only_its_newest_inputs() -> None:
    run = runner()
    run.rule = lambda item: None
    run._handle = lambda dispatch: None  # type: ignore[method-assign]
    run.settle()
    for number in range(500):
        run.publish(toy.opened(number, "w1"))
    while "event" in run.choices():
        run.step("event")
    run.step("model")
    assert max(len(record.inputs) for record in run.decisions()) == 100


def test_what_is_read_again_after_a_restart_without_state_is_no_input_of_the_next_record() -> None:
    run = counted()
    for number in ("w1", *range(30)):
        cost(run, event(number, "w1"))
    run.start(Checkpoint(ShardState(), 0, 0))
    while run.choices():
        run.step("ledger" if "ledger" in run.choices() else run.choices()[0])
    run.publish(event("new", "w1"))
    run.settle()
    assert run.decisions()[-2].inputs in ((), ("ticket-new",))
    assert max(len(record.inputs) for record in run.decisions()) == 1


@given(st.lists(st.tuples(st.integers(0, 400), st.sampled_from("ab"), st.integers(0, 3)), max_size=600), st.data())
def test_a_table_is_a_dictionary_whatever_is_put_saved_moved_and_read_again(
    puts: list[tuple[int, str, int]], data: st.DataObject
) -> None:
    homes: list[dict[str, str]] = [{}, {}]
    table, expected, home = Buckets(), dict[str, dict[str, Any]](), 0
    every = data.draw(st.integers(1, 60), label="save every")
    for number, (key, name, value) in enumerate(puts):
        text = f"key-{key:0100}"
        table.put(text, name, value)
        expected[text] = {**expected.get(text, {}), name: value}
        if number % every == 0:
            home = data.draw(st.integers(0, 1), label="home")
            table.save(homes[home], "w1")
            assert not homes[1 - home]
            assert len(homes[home]) == (table.count if table.count > 1 else 0)
            table = Buckets(table.stored(), homes[home], "w1")
    for key in range(401):
        text = f"key-{key:0100}"
        assert table.get(text) == expected.get(text, {})
    assert table.characters <= table.count * BUCKET


def test_what_has_expired_is_unknown() -> None:
    """A time to live counts for each entry: those of a tombstone that are not written again go first."""
    home: dict[str, str] = {}
    table = Buckets()
    for number in range(500):
        table.put(f"event/{number:064}", "seen", "h")
    table.save(home, "w1")
    home.pop("w1\x1f0")
    table = Buckets(table.stored(), home, "w1")
    left = sum(bool(table.get(f"event/{number:064}")) for number in range(500))
    assert 300 < left < 500
