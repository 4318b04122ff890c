"""Who may say what (ADR 8): whoever may write agent-messages is believed no more than he can prove."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from switchyard.core.capability import Capabilities, without_capability
from switchyard.core.control import Control
from switchyard.core.errors import Rejected
from switchyard.core.event import Event
from switchyard.core.input_validator import InputValidator
from switchyard.testing.memory import Checkpoint, InMemory, ShardState
from tests.core import test_gathering as gathering
from tests.core import toy
from tests.core.test_supervision import answer, approving, asked_for, failing, handlers, runner, until, with_agent

KEY = "k" * 32


def reasons(run: InMemory) -> list[str]:
    return [letter.reason for letter in run.dead_letters]


def outside(kind: str, data: object, **more: Any) -> Event:
    return Event.new(**{"id": "x", "source": "outside", "workflow_id": "w1", **more}, type=kind, data=data)


def test_only_what_is_under_starts_begins_a_workflow() -> None:
    run = runner()
    run.publish(outside("ticket.sorted", {"kind": "bug"}))
    run.publish(outside("ticket.done", {"note": "it is done"}, id="y"))
    run.settle()
    assert reasons(run) == ["not-a-start", "not-a-start"]
    assert (run.statuses, run.dispatches) == ({}, [])


@pytest.mark.parametrize("attribute", [{"retry": 1}, {"deadletter": "agent-messages/0/0"}])
def test_nobody_but_an_operator_sends_an_event_again(attribute: dict[str, Any]) -> None:
    run = runner(limits={"dispatches": 3})
    run.publish(toy.opened(1))
    run.settle()
    sent = len(run.dispatches)
    run.publish(toy.opened(1).with_attributes(**attribute))
    run.settle()
    assert reasons(run) == ["reserved-attribute"]
    assert (run.status("w1"), len(run.dispatches)) == ("completed", sent)


@pytest.mark.parametrize(
    ("forged", "reason"),
    [
        (lambda item: answer(item, "ticket.done", {"note": "forged"}), "not-emitted"),
        (lambda item: answer(item, "ticket.sorted", {"kind": "bug"}, source="switchyard/test/fixing"), "wrong-source"),
        (lambda item: answer(item, "ticket.sorted", {"kind": "bug"}, source="outside"), "wrong-source"),
    ],
)
def test_an_answer_is_of_the_agent_and_of_a_type_that_it_emits(forged: Callable[[Any], Event], reason: str) -> None:
    run = runner()
    run.publish(toy.opened(1))
    until(run, "triage")
    run.publish(forged(run.dispatches[0]))
    run.step("event")
    assert reasons(run) == [reason]
    run.settle()
    assert run.status("w1") == "completed"


def test_what_waits_for_approval_takes_no_answer() -> None:
    run = approving()
    run.publish(toy.opened(1))
    for _ in range(30):
        run.step(run.choices()[0] if run.choices() else "tick")
    (waiting,) = run.statuses["w1"].data["approvals"]
    source = "switchyard/test/fixing"
    done = {"note": "not needed"}
    run.publish(outside("ticket.done", done, causationid=waiting["id"], source=source))
    run.step("event")
    assert reasons(run) == ["not-sent"]
    run.request(asked_for("approve", "w1", waiting))
    run.settle()
    assert [item.agent for item in run.dispatches] == ["triage", "fixing"]


def test_what_waits_for_its_next_attempt_takes_no_answer() -> None:
    run = runner(2, handlers=handlers(fixing=failing("fixing", 1)), agents=with_agent("fixing", backoff=60))
    run.publish(toy.opened(1))
    while run.choices():
        run.step(run.choices()[0])
    (waiting,) = run.shard.context.unsent
    run.publish(outside("ticket.done", {"note": "x"}, causationid=waiting, source="switchyard/test/fixing"))
    run.step("event")
    assert reasons(run) == ["not-sent"]
    run.settle()
    assert (run.status("w1"), len(run.dispatches)) == ("completed", 3)
    assert run.shard.context.unsent == set()


def test_an_approval_is_of_what_was_shown() -> None:
    run = approving()
    run.publish(toy.opened(1))
    for _ in range(30):
        run.step(run.choices()[0] if run.choices() else "tick")
    (waiting,) = run.statuses["w1"].data["approvals"]
    run.request(asked_for("approve", "w1", {**waiting, "content": "of something else"}))
    run.step("control")
    assert reasons(run) == ["other-content"]
    assert [(item.action, item.outcome) for item in run.audit] == [("approve", "refused")]
    assert [item.agent for item in run.dispatches] == ["triage"]


def test_a_gather_takes_its_own_result_alone() -> None:
    run = gathering.runner({"market": gathering.says("buy"), "risk": gathering.says("buy")})
    run.publish(gathering.requested())
    for _ in range(200):
        if not run.choices():
            break
        run.step(run.choices()[0])
    workflow = run.shard.context.workflows.running("w1")
    assert workflow is not None
    (gather,) = workflow.gathers
    empty = {name: [] for name in ("answers", "missing", "votes", "dissent")}
    forged = {**empty, "cause": "x", "policy": "all", "vote": "sell", "confidence": 1.0, "complete": True}
    kind = run.registry.file.gathers[0].result
    run.publish(outside(kind, forged, causationid=gather, source=f"switchyard/{run.registry.app}"))
    run.step("event")
    assert reasons(run) == ["forged-answer"]


@pytest.mark.parametrize("ended", [False, True])
def test_the_same_id_with_other_data_is_no_repeat(ended: bool) -> None:
    run = runner()
    run.publish(toy.opened(1))
    run.settle() if ended else until(run, "triage")
    run.publish(Event({**toy.opened(1).attributes}, {"text": "something else"}))
    run.publish(toy.opened(1))
    run.settle()
    assert reasons(run) == ["id-reused"]
    assert run.statuses["w1"].data["duplicates"] == 1


def test_the_effect_key_is_of_workflow_and_content() -> None:
    event = toy.opened(1)
    others = [
        toy.opened(1, workflow="w2"),
        Event(event.attributes, {"text": "other"}),
        event.with_attributes(type="ticket.other"),
        event.with_attributes(source="other"),
    ]
    assert len({item.effect_key("triage") for item in (event, *others)}) == 5
    assert event.again("t/0/0", event.data).effect_key("triage") == event.effect_key("triage")


# Capabilities


def granted(event: Event, key: str = KEY) -> Event:
    """An answer by a worker that copies the capability of its dispatch."""
    given = Capabilities(key).granted(event, str(event.causation_id))
    return event.with_attributes(capability=given.attributes["capability"])


def test_with_a_key_an_answer_proves_that_it_had_the_dispatch() -> None:
    validator = InputValidator(toy.registry(), Capabilities(KEY))
    event = outside("ticket.sorted", {"kind": "bug"}, causationid="d1")
    assert validator.event(granted(event).json().encode()).causation_id == "d1"
    other = granted(event).attributes["capability"]
    for forged in (
        event,
        granted(event, "l" * 32),
        event.with_attributes(causationid="d2", capability=other),
        event.with_attributes(workflowid="w2", capability=other),
        event.with_attributes(capability=""),
        event.with_attributes(capability=7),
    ):
        with pytest.raises(Rejected, match="forged-answer"):
            validator.event(forged.json().encode())


def test_without_a_key_nothing_is_granted_and_nothing_refused() -> None:
    event = outside("ticket.sorted", {"kind": "bug"}, causationid="d1")
    assert Capabilities().granted(event, "d1") is event
    assert InputValidator(toy.registry()).event(event.json().encode()) == event


def test_what_begins_a_workflow_needs_no_capability() -> None:
    event = toy.opened(1)
    assert InputValidator(toy.registry(), Capabilities(KEY)).event(event.json().encode()) == event


def test_a_capability_stays_out_of_what_others_read() -> None:
    event = outside("ticket.sorted", {"kind": "bug"}, causationid="d1")
    shown = granted(event)
    kept, text = without_capability(shown, shown.json())
    assert (kept, Event.parse(text)) == (event, event)
    assert without_capability(event, "as it was read") == (event, "as it was read")


# Operators


def test_what_operators_ask_for_is_audited() -> None:
    run = runner(handlers=handlers(fixing=failing("fixing"), answering=failing("answering")))
    run.publish(toy.opened(1))
    run.settle()
    (letter,) = run.dead_letters
    run.request(toy.sent_again(Event.parse(letter.raw)))
    for request in (asked_for("pause"), asked_for("resume"), asked_for("cancel", "nothing", reason="a mistake")):
        run.request(request)
    run.settle()
    told = [(item.action, item.by, item.workflow_id, item.outcome) for item in run.audit]
    assert told == [
        ("retry", "ada", "w1", "done"),
        ("pause", "ada", None, "done"),
        ("resume", "ada", None, "done"),
        ("cancel", "ada", "nothing", "refused"),
    ]
    assert run.audit[0].about == "agent-messages/0/0"
    assert (run.audit[3].reason, run.audit[3].message) == ("a mistake", "no such workflow is known")


def test_a_request_that_is_read_again_after_a_crash_is_the_same_entry() -> None:
    run = runner()
    run.request(asked_for("pause"))
    run.settle()
    run.start(Checkpoint(ShardState(), 0, 0))
    run.settle()
    assert len({item.id for item in run.audit}) == 1


def test_a_workflow_that_waits_for_its_turn_can_be_cancelled() -> None:
    run = runner(limits={"open_workflows": 1})
    for number in (1, 2, 3):
        run.publish(toy.opened(number))
    while "event" in run.choices():
        run.step("event")
    until(run, "triage")
    assert run.status("w2") == "queued"
    run.request(asked_for("cancel", "w2", reason="not wanted"))
    run.step("control")
    run.settle()
    assert [run.status(name) for name in ("w1", "w2", "w3")] == ["completed", "cancelled", "completed"]
    assert {item.workflow_id for item in run.dispatches} == {"w1", "w3"}
    assert reasons(run) == []


# Second lives


def hanging() -> InMemory:
    """One branch of w1 has failed into a dead letter; another never answers."""
    run = runner(
        1,
        handlers=handlers(fixing=failing("fixing"), answering=failing("answering")),
        agents=with_agent("triage", deadline=500.0),
        limits={"deadline": 100.0},
    )
    triage = run.handlers["triage"]
    handle = run._handle
    run._handle = lambda item: handle(item) if item.event.id != "ticket-2" else None  # type: ignore[method-assign]
    assert triage is not None
    run.publish(toy.opened(1, workflow="w1"))
    run.publish(toy.opened(2, workflow="w1"))
    seconds(run, 20)
    assert reasons(run) == ["agent-failed"]
    return run


def seconds(run: InMemory, count: float) -> None:
    end = run.now + count * 1000
    while run.now < end:
        if run.choices():
            run.step(run.choices()[0])
            continue
        due = run.shard.next_due()
        if due is None or due > end:
            break
        run.now = max(run.now, due)
        run.step("tick")
    run.now = max(run.now, int(end))


@pytest.mark.parametrize(("first", "status"), [("cancel", "cancelled"), ("deadline", "stopped")])
@pytest.mark.parametrize(("second", "after"), [("cancel", "cancelled"), ("deadline", "stopped")])
def test_a_second_life_ends_as_the_first_may(first: str, status: str, second: str, after: str) -> None:
    run = hanging()
    if first == "cancel":
        run.request(asked_for("cancel", "w1"))
    seconds(run, 200)
    assert run.status("w1") == status
    run._handle = lambda item: None  # type: ignore[method-assign]
    run.request(toy.sent_again(Event.parse(run.dead_letters[0].raw)))
    seconds(run, 20)
    assert run.status("w1") == "running"
    if second == "cancel":
        run.request(asked_for("cancel", "w1"))
    seconds(run, 200)
    assert run.status("w1") == after
    assert not run.shard.context.state.workflows
    records = len(run.ledger)
    seconds(run, 24 * 3600)
    assert len(run.ledger) == records


@pytest.mark.parametrize("restored", [True, False])
def test_what_failed_for_good_is_not_told_as_completed(restored: bool) -> None:
    run = runner(1, handlers=handlers(fixing=failing("fixing"), answering=failing("answering")))
    run.publish(toy.opened(1))
    run.settle()
    before = run.checkpoint()
    run.request(toy.sent_again(Event.parse(run.dead_letters[0].raw)))
    run.settle()
    ended = run.statuses["w1"].data
    assert ended["status"] == "failed"
    run.start(before if restored else Checkpoint(ShardState(), 0, 0))
    while "ledger" in run.choices():
        run.step("ledger")
    run.settle()
    told = run.statuses["w1"].data
    names = ("status", "steps", "tokens", "dispatches", "dead_letters")
    assert {name: told[name] for name in names} == {name: ended[name] for name in names}


# Pauses


def test_a_pause_is_known_before_anything_is_done_after_a_restart_without_state() -> None:
    run = runner()
    run.request(asked_for("pause"))
    run.settle()
    for number in range(20):
        run.publish(toy.opened(number))
    run.settle()
    assert (run.dispatches, run.asked) == ([], [])
    run.start(Checkpoint(ShardState(), 0, 0))
    for _ in range(500):
        behind = [name for name in run.choices() if name != "control"]
        if not behind:
            break
        run.step(behind[0])
    assert (run.dispatches, run.asked) == ([], [])
    run.settle()
    assert (run.dispatches, run.asked) == ([], [])
    run.request(asked_for("resume"))
    run.settle()
    assert {run.status(name) for name in run.statuses} == {"completed"}


def test_a_fence_is_no_request_of_an_operator() -> None:
    run = runner()
    run.settle()
    assert run.shard.fenced
    assert run.audit == []
    run.request(Control.fence("toy", "of somebody else"))
    run.publish(toy.opened(1))
    run.settle()
    assert (run.status("w1"), run.audit, run.dead_letters) == ("completed", [], [])
