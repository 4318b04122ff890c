"""Whatever crashes, is deployed, asked for, answered late or twice, or goes wrong with the model: what always holds.

`make test` draws 100 examples with one seed. `pytest tests/core/test_storm.py --storms 3000 --seed 7` draws more, and
`--storms 1234:1235 --seed 7` the one that failed.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import pytest

from switchyard.core.control import Control
from switchyard.core.event import Event
from switchyard.core.ledger.subject import Subject
from switchyard.core.orchestrator.state import ShardState
from switchyard.core.orchestrator.workflow import Workflow
from switchyard.testing.memory import Checkpoint
from tests.core.storm import ENDED, Storm

EXAMPLES, SEED = "100", 1


def test_what_always_holds(pytestconfig: pytest.Config) -> None:
    first, _, last = (pytestconfig.getoption("--storms") or EXAMPLES).rpartition(":")
    seed = pytestconfig.getoption("--seed")
    for number in range(int(first or 0), int(last)):
        name = f"{SEED if seed is None else seed}/{number}"
        try:
            examine(Storm(name))
        except Exception as error:
            error.add_note(
                f"storm {name}: pytest tests/core/test_storm.py --storms {number}:{number + 1} --seed {seed}"
            )
            raise


def examine(storm: Storm) -> None:
    storm.blow()
    check_what_is_kept(storm)
    storm.abate()
    check_ends(storm)
    check_dispatches(storm)
    check_nothing_is_left(storm)
    check_replay(storm)


def check_what_is_kept(storm: Storm) -> None:
    """What is kept in memory is what state says."""
    store, state = storm.run.shard.context.workflows, storm.run.shard.context.state
    for name, (kept, _) in store._kept.items():
        assert Workflow.parse(state.workflows[name], state.workflows).dump() == kept.dump()


def check_ends(storm: Storm) -> None:
    """Every workflow of which anything was told has ended, and is told of as ended in one way in each of its lives.

    But for one that had several events from outside, a retry among them: what was refused since a checkpoint, because
    the workflow had ended, may be taken when it is read again, for nothing tells it from what was accepted (ADR 14).
    """
    assert {name: storm.run.status(name) for name in storm.run.statuses if storm.run.status(name) not in ENDED} == {}
    for name, told in storm.run.told.items():
        outside = {event.key for event in map(Event.parse, storm.run.events) if _begins(event, name)}
        lives = 1 + sum(b"control.retry" in raw and f'"{name}"'.encode() in raw for raw in storm.run.controls)
        if storm.restored and len(outside) + lives > 2:
            continue
        ends = {(item["status"], item["code"], item["ended_at"]) for item in told if item["status"] in ENDED}
        assert len(ends) <= lives, (name, ends)


def check_dispatches(storm: Storm) -> None:
    """What was sent is what an effective record says: one decision about each subject, and one event in each."""
    records = {}
    for record in storm.run.decisions():
        for agent in record.agents:
            records[record.workflow_id, record.dispatch_id(agent)] = record
    attempts: dict[tuple[str, Subject], set[int]] = defaultdict(set)
    texts: dict[tuple[str, str], set[str]] = defaultdict(set)
    for sent in storm.run.dispatches:
        record = records[sent.workflow_id, sent.dispatch_id]
        attempts[sent.workflow_id, record.subject].add(record.attempt)
        texts[sent.workflow_id, sent.dispatch_id].add(sent.event.json())
    assert {str(subject): found for subject, found in attempts.items() if len(found) > 1} == {}
    assert {name: found for name, found in texts.items() if len(found) > 1} == {}


def check_nothing_is_left(storm: Storm) -> None:
    state, usage = storm.run.shard.context.state, storm.run.shard.context.usage
    assert [dict(item) for item in (state.workflows, state.timers, state.queues)] == [{}, {}, {}]
    assert (usage.workflows, usage.reserved, usage.paused) == (0, 0, False)
    assert not any(usage.dispatches.values())
    assert {key.partition("\x1f")[0] for key in state.tombstones} <= storm.run.statuses.keys()


def check_replay(storm: Storm) -> None:
    """The ledger alone, read by another release, tells the same; nothing is asked or sent for it."""
    run = storm.run
    before = {name: _end(event.data) for name, event in run.statuses.items()}
    asked, sent = len(run.asked), len(run.dispatches)
    for registry in (run.registry, storm._deployed()):
        run.registry = registry
        run.start(Checkpoint(ShardState(), 0, 0))
        while choices := [name for name in run.choices() if name in ("event", "ledger", "control")]:
            run.step(storm.chance.choice(choices))
        run.request(Control.new("resume", "tests", "", "ada"))
        run.settle(40_000)
        assert {name: _end(event.data) for name, event in run.statuses.items()} == before
        assert (len(run.asked), len(run.dispatches)) == (asked, sent)


def _begins(event: Event, workflow_id: str) -> bool:
    return event.causation_id is None and event.workflow_id == workflow_id


def _end(summary: dict[str, Any]) -> tuple[Any, ...]:
    return summary["status"], summary["code"], summary["ended_at"]
