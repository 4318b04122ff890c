"""A restart without state: the ledger tells what was done, whatever else is read again, by whichever release."""

from __future__ import annotations

import pytest

from switchyard.core.control import Control
from switchyard.core.ledger.effective import FirstRecords, effective
from switchyard.core.ledger.record import Decision
from switchyard.core.registry import Registry
from switchyard.testing.memory import Checkpoint, InMemory, ShardState
from tests.core import test_gathering as gathering
from tests.core import toy
from tests.core.test_supervision import all_records, asked_for, handlers, runner, until, with_agent
from tests.core.toy import sent_again

CANCEL = Control.new("cancel", "tests", "", "ada", workflow_id="w1")


def told(run: InMemory, name: str = "w1") -> tuple[object, ...]:
    data = run.statuses[name].data
    return data["status"], data["code"], data["ended_at"]


def go_on(run: InMemory) -> None:
    """All that can be done without time passing."""
    while run.choices():
        run.step(run.choices()[0])


def same_after_restart(run: InMemory, registry: Registry | None = None) -> None:
    """Nothing is asked or sent for it, and every workflow is told of as before."""
    before = ({name: told(run, name) for name in run.statuses}, len(run.asked), len(run.dispatches))
    run.registry = registry or run.registry
    run.start(Checkpoint(ShardState(), 0, 0))
    while choices := [name for name in run.choices() if name in ("ledger", "event", "control")]:
        run.step(choices[-1])
    run.settle()
    assert ({name: told(run, name) for name in run.statuses}, len(run.asked), len(run.dispatches)) == before


@pytest.mark.parametrize("policy", [{"policy": "all"}, {"policy": "quorum", "quorum": 2}, {"policy": "first"}])
@pytest.mark.parametrize("other", [{"policy": "all", "on_missing": "fail"}, {"policy": "first"}])
def test_a_gather_is_judged_by_the_policy_that_opened_it(policy: dict[str, object], other: dict[str, object]) -> None:
    run = gathering.runner({name: gathering.says("buy") for name in gathering.ANALYSTS}, **policy)
    run.publish(gathering.requested())
    run.settle()
    assert run.status("w1") == "completed"
    same_after_restart(run, gathering.registry(**other))


def test_a_gather_that_is_added_does_not_gather_what_was_dispatched_before() -> None:
    run = gathering.runner({name: gathering.says("buy") for name in gathering.ANALYSTS})
    with_gathers = run.registry
    value = run.registry.file.model_dump(mode="json", exclude_defaults=True)
    value["gathers"], value["ends"] = [], ["view.given"]
    value["agents"] = [item for item in value["agents"] if item["name"] != "plan"]
    run.registry = Registry(type(run.registry.file).model_validate(value), gathering.CONTRACTS, "")
    run.start(Checkpoint(ShardState(), 0, 0))
    run.publish(gathering.requested())
    run.settle()
    assert run.status("w1") == "completed"
    same_after_restart(run, with_gathers)


def test_an_approval_of_what_needs_none_any_more_is_no_new_decision() -> None:
    answers = handlers(answering=lambda event: [("ticket.done", {"note": "x"})])
    run = runner(1, handlers=answers, agents=with_agent("fixing", approval="required"))
    run.publish(toy.opened(1))
    go_on(run)
    [waiting] = run.statuses["w1"].data["approvals"]
    run.request(asked_for("approve", "w1", waiting))
    run.handlers.pop("fixing")
    go_on(run)
    asked, sent = len(run.asked), len(run.dispatches)
    run.registry = toy.registry(1)
    run.start(Checkpoint(ShardState(), 0, 0))
    run.now += 700_000
    run.step("tick")
    while choices := [name for name in run.choices() if name != "agent"]:
        run.step(choices[0])
    assert {item.agent for item in run.dispatches[sent:]} <= {"fixing"}
    assert len(run.asked) == asked
    assert all(record.attempt == 0 for record in all_records(run))


def test_a_request_that_was_carried_out_is_not_carried_out_again_in_a_later_life() -> None:
    run = runner()
    run.publish(toy.opened(1))
    until(run, "triage")
    run.request(CANCEL)
    run.step("control")
    run.step("ledger")
    assert run.status("w1") == "cancelled"
    run.handlers = {}
    run.request(sent_again(toy.opened(1), {"text": "again"}))
    go_on(run)
    assert run.status("w1") == "running"
    run.start(Checkpoint(ShardState(), 0, 0))
    go_on(run)
    assert run.status("w1") == "running"
    assert [entry.outcome for entry in run.audit if entry.id == CANCEL.event.id] == ["done", "done"]
    assert [letter.reason for letter in run.dead_letters] == []


def test_a_request_about_what_has_ended_finds_it_ended_after_a_restart() -> None:
    run = runner()
    run.publish(toy.opened(1))
    run.settle()
    run.request(CANCEL)
    run.settle()
    assert [letter.reason for letter in run.dead_letters] == ["workflow-ended"]
    same_after_restart(run)


def test_a_retry_that_was_cancelled_while_it_waited_its_turn_stays_so() -> None:
    run = runner(handlers=handlers(triage=None), limits={"open_workflows": 1})
    run.publish(toy.opened(1))
    go_on(run)
    run.request(CANCEL)
    go_on(run)
    run.publish(toy.opened(2))
    go_on(run)
    run.request(sent_again(toy.opened(1), {"text": "again"}))
    go_on(run)
    assert run.status("w1") == "queued"
    run.request(asked_for("cancel", "w1"))
    go_on(run)
    assert run.status("w1") == "cancelled"
    run.request(asked_for("cancel", "w2"))
    go_on(run)
    same_after_restart(run)
    assert [sent.workflow_id for sent in run.dispatches] == ["w1", "w2"]


def test_what_still_waits_for_its_turn_in_an_older_checkpoint_cannot_be_cancelled_once_it_has_ended() -> None:
    run = runner(limits={"open_workflows": 1})
    triage = run.handlers["triage"]
    run.handlers["triage"] = lambda event: [] if event.workflow_id == "w3" else triage(event)
    go_on(run)
    for number in (1, 2):
        run.publish(toy.opened(number))
    while "event" in run.choices():
        run.step("event")
    assert run.status("w2") == "queued"
    waiting = run.checkpoint()
    run.settle()
    run.publish(toy.opened(3))
    go_on(run)
    assert [run.status(name) for name in ("w1", "w2", "w3")] == ["completed", "completed", "running"]
    run.start(waiting)
    go_on(run)
    run.request(asked_for("cancel", "w2"))
    go_on(run)
    assert run.status("w2") == "completed"
    assert [letter.reason for letter in run.dead_letters] == ["workflow-ended"]


@pytest.mark.parametrize("decided", [True, False])
def test_a_retry_ends_with_the_workflow_that_is_cancelled_before_it_is_decided(decided: bool) -> None:
    run = runner()
    run.publish(toy.opened(1))
    run.settle()
    sent = len(run.dispatches)
    run.request(sent_again(toy.opened(1), {"text": "again"}))
    run.step("control")
    run.request(asked_for("cancel", "w1"))
    run.step("control")
    if decided:
        run.step("model")  # its record stands after the cancel
    run.settle()
    assert (run.status("w1"), len(run.dispatches)) == ("cancelled", sent)
    same_after_restart(run)


def test_a_record_that_was_refused_stays_refused_under_another_registry() -> None:
    parts = handlers(fixing=lambda event: [("ticket.part", {"part": n}) for n in range(4)])
    run = runner(handlers=parts, limits={"dispatches": 4})
    run.rule = lambda event: ("fixing",) if event.type == "ticket.part" else None
    run.publish(toy.opened(1))
    until(run, "fixing")
    while "agent" in run.choices() or "event" in run.choices():  # four decisions, of which two have room
        run.step("agent" if "agent" in run.choices() else "event")
    run.handlers = {}
    run.settle()
    assert told(run)[:2] == ("stopped", "dispatch-limit")
    assert max(record.attempt for record in all_records(run)) == 1
    same_after_restart(run, toy.registry(1, limits={"dispatches": 50}))


def test_an_event_that_was_refused_because_its_workflow_had_ended_stays_refused() -> None:
    run = runner()
    run.publish(toy.opened(1, "w1"))
    run.settle()
    run.publish(toy.opened(2, "w1"))
    run.settle()
    assert [letter.reason for letter in run.dead_letters] == ["workflow-ended"]
    same_after_restart(run)


def test_an_event_that_the_ledger_names_as_read_is_taken_up_again() -> None:
    run = runner()
    run.publish(toy.opened(1, "w1"))
    go_on_until_asked(run)
    run.publish(toy.opened(2, "w1"))
    run.step("event")
    run.step("model")  # the record about the first names the second, whose own is never written
    run._asks.clear()
    go_on(run)
    run.start(Checkpoint(ShardState(), 0, 0))
    while run.choices() and not run.shard.fenced:
        run.step(run.choices()[0])  # events first
    run.settle()
    assert run.status("w1") == "completed"
    assert {sent.event.id for sent in run.dispatches} >= {"ticket-1", "ticket-2"}
    assert run.dead_letters == []


def test_an_event_that_was_accepted_before_a_crash_is_accepted_after_it() -> None:
    """The first ends its branch by a rule before the second is decided; both are read again before the fence."""
    run = runner()
    run.rule = lambda event: () if event.id == "ticket-1" else None
    run.settle()
    run.publish(toy.opened(1, "w1"))
    run.publish(toy.opened(2, "w1"))
    kept = run.checkpoint()
    run.step("event")
    run.step("event")
    run.start(kept)
    while run.choices() and not run.shard.fenced:
        run.step(run.choices()[0])
    run.settle()
    assert run.dead_letters == []
    assert [sent.event.id for sent in run.dispatches][:1] == ["ticket-2"]
    assert run.status("w1") == "completed"


def go_on_until_asked(run: InMemory) -> None:
    while "model" not in run.choices():
        run.step(run.choices()[0])


def test_the_same_event_id_in_two_workflows_has_a_record_in_each() -> None:
    run = runner()
    run.publish(toy.opened(1, "w1"))
    run.publish(toy.opened(1, "w2"))
    run.settle()
    records: list[Decision] = all_records(run)
    for counted in (FirstRecords(records).records, effective(records)):
        assert [record.workflow_id for record in counted].count("w1") == 3
        assert [record.workflow_id for record in counted].count("w2") == 3
