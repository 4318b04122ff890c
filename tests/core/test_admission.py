"""A flood while the model is down: state stays as large as it may be, and what finds no room is kept elsewhere."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from switchyard.core import strictjson
from switchyard.core.event import Event
from switchyard.core.orchestrator.limits import Quota, ShardUsage
from switchyard.core.orchestrator.migrations import SEPARATOR
from switchyard.core.orchestrator.workflow import Workflow
from switchyard.core.routing.question import Question
from switchyard.core.routing.verdict import ModelDecision, ModelUnavailable
from switchyard.testing.memory import Checkpoint, InMemory, ShardState
from tests.core import toy
from tests.core.test_supervision import asked_for, choose, handlers, until

SHARE = 64 * 1024
EVENT = 2_000
"""More than one event of these tests takes."""


def flooded(**limits: int) -> InMemory:
    """A shard that may hold `SHARE` bytes, and three workflows at once."""
    registry = toy.registry(limits={"state_bytes": 16 * SHARE, "open_workflows": 48, **limits})
    return InMemory(registry, choose, handlers(), quota=Quota(0, 16))


def held(run: InMemory) -> int:
    """Bytes of running workflows and of what waits."""
    state = run.shard.context.state
    sizes = [strictjson.size(text) for texts in (state.workflows, state.queues) for text in texts.values()]
    running = (Workflow.parse(text, state.workflows) for key, text in state.workflows.items() if SEPARATOR not in key)
    return sum(sizes) + sum(workflow.known.characters for workflow in running)


def down(event: Event, question: Question) -> ModelUnavailable:
    return ModelUnavailable("unreachable", "scripted", retry=True)


def read(run: InMemory) -> None:
    """Do what there is to do, without letting time pass."""
    while choices := run.choices():
        run.step(choices[0])


def test_what_finds_no_room_is_a_dead_letter_and_comes_back() -> None:
    run = flooded()
    run.model = down
    for number in range(400):
        run.publish(toy.opened(number))
        read(run)
    assert held(run) < SHARE + EVENT
    refused = run.dead_letters[:]
    assert {letter.reason for letter in refused} == {"overloaded"}
    assert len(refused) > 100
    assert [run.events[letter.offset] for letter in refused] == [letter.raw for letter in refused]

    run.model = choose
    run.settle(100_000)
    for letter in refused:
        run.request(toy.sent_again(Event.parse(letter.raw)))
    before = 0
    while before != len(run.controls):  # as often as there is no room for all
        before, known = len(run.controls), len(run.dead_letters)
        run.settle(100_000)
        for letter in run.dead_letters[known:]:
            again = strictjson.loads(letter.raw)
            run.request(toy.sent_again(Event.from_object(again.get("data", {}).get("event", again))))
    assert Counter(run.status(f"w{number}") for number in range(400)) == {"completed": 400}
    assert {letter.reason for letter in run.dead_letters} == {"overloaded"}
    assert held(run) == 0


def test_the_size_limit_holds_for_large_events_too() -> None:
    run = flooded()
    run.model = down
    for number in range(20):
        event = toy.opened(number)
        run.publish(Event({**event.attributes}, {"text": "ü" * 10_000}))
        read(run)
    assert held(run) < SHARE + 3 * 20_000 + EVENT
    assert len(run.dead_letters) > 10


def full() -> InMemory:
    """One workflow with its agent, and so much waiting that no more is taken."""
    run = flooded(open_workflows=16)
    run.publish(toy.opened(0))
    until(run, "fixing")
    run.model = down
    number = 1
    while not run.dead_letters:
        run.publish(toy.opened(number))
        run.step("event")
        number += 1
    return run


def test_answers_repeats_and_requests_are_taken_where_no_event_from_outside_is() -> None:
    run = full()
    for repeat in (0, 1):
        run.publish(toy.opened(repeat))
    assert run.shard.context.is_full
    run.publish(toy.opened(0, "w1"))
    run.request(asked_for("cancel", "w2"))
    run.step("event")
    run.step("control")
    assert run.statuses["w0"].data["duplicates"] == 1
    run.model = choose
    run.settle(100_000)
    assert (run.status("w0"), run.status("w2")) == ("completed", "cancelled")
    assert {letter.reason for letter in run.dead_letters} == {"overloaded"}


def test_what_is_sent_again_is_refused_too_and_the_audit_says_so() -> None:
    run = full()
    run.request(toy.sent_again(toy.opened(999)))
    run.step("control")
    assert (run.dead_letters[-1].reason, run.dead_letters[-1].topic) == ("overloaded", "control")
    assert "overloaded" in run.audit[-1].json()


def test_what_comes_while_an_app_is_paused_is_bounded() -> None:
    run = flooded()
    read(run)
    run.request(asked_for("pause"))
    read(run)
    for number in range(400):
        run.publish(toy.opened(number))
        read(run)
    assert held(run) < SHARE + EVENT
    run.request(asked_for("resume"))
    run.settle(100_000)
    refused = {letter.workflow_id for letter in run.dead_letters}
    assert refused | set(run.statuses) == {f"w{number}" for number in range(400)}
    assert {run.status(name) for name in run.statuses} == {"completed"}


@pytest.mark.parametrize("stateless", [True, False])
def test_what_is_read_before_the_fence_counts_once_it_is_there(stateless: bool) -> None:
    """Whether an event was decided about is not known before."""
    run = flooded()
    for number in range(10):
        run.publish(toy.opened(number))
    run.settle()
    run.start(Checkpoint(ShardState(), 0, 0) if stateless else run.checkpoint())
    for number in range(10, 400):
        run.publish(toy.opened(number))
    while "event" in run.choices():
        run.step("event")
    assert held(run) > 2 * SHARE
    run.model = down
    read(run)
    assert held(run) < SHARE + EVENT
    assert not {letter.event_id for letter in run.dead_letters} & {f"ticket-{number}" for number in range(10)}


@settings(max_examples=60)
@given(st.data())
def test_the_size_is_known_and_nothing_is_lost_whatever_crashes(data: st.DataObject) -> None:
    def model(event: Event, question: Question) -> ModelDecision | ModelUnavailable:
        return choose(event, question) if data.draw(st.booleans()) else down(event, question)

    run = flooded(open_workflows=32)
    run.model = model
    checkpoints = [run.checkpoint()]
    for number in range(data.draw(st.integers(1, 60))):
        for action in data.draw(st.lists(st.sampled_from(["publish", "pause", "resume", "cancel", "crash"]))):
            if action == "publish":
                run.publish(Event(toy.opened(number).attributes, {"text": "é" * data.draw(st.integers(0, 8_000))}))
            elif action == "crash":
                # What goes on from an older checkpoint makes its own newer ones.
                del checkpoints[data.draw(st.integers(1, len(checkpoints))) :]
                run.start(checkpoints[-1])
            else:
                run.request(asked_for(action, f"w{number}" if action == "cancel" else ""))
        for _ in range(data.draw(st.integers(0, 9))):
            run.step(data.draw(st.sampled_from([*run.choices(), "tick"])))
        if data.draw(st.booleans()):
            checkpoints.append(run.checkpoint())
        assert run.shard.context.usage.size == held(run)

    run.model = choose
    run.request(asked_for("resume"))
    run.settle(100_000)
    ended = {name for name in run.statuses if run.status(name) not in ("running", "queued")}
    refused = {letter.workflow_id for letter in run.dead_letters}
    assert {Event.parse(raw).workflow_id for raw in run.events} <= ended | refused
    assert run.shard.context.usage.size == held(run) == 0


def test_what_changes_first_after_a_restart_is_kept() -> None:
    stored: dict[str, str] = {}
    usage = ShardUsage(stored)
    usage.dispatches["triage"] = 1
    usage.resize("held", 9)
    usage.save()
    again = ShardUsage(stored)
    again.dispatches["triage"] = 0
    again.save()
    again.resize("held", -9)
    again.save()
    kept = ShardUsage(stored)
    assert (kept.dispatches, kept.sizes) == ({}, {})
