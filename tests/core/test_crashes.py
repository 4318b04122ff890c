"""Crash points: any checkpoint may be restored at any moment, with a model that answers differently."""

from __future__ import annotations

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from switchyard.core.control import Control
from switchyard.core.event import Event
from switchyard.core.routing.question import Question
from switchyard.core.routing.verdict import ModelDecision, ModelUnavailable
from switchyard.testing.memory import Checkpoint, InMemory, ShardState
from tests.core import toy

HANDLERS = {
    "triage": lambda event: [("ticket.sorted", {"kind": "bug"})],
    "fixing": lambda event: (
        [("ticket.part", {"part": n}) for n in range(2)]
        if event.type == "ticket.sorted"
        else [("ticket.done", {"note": "x"})]
    ),
    "answering": lambda event: [("agent.failed", {"agent": "answering", "reason": "handler-error", "message": "no"})],
}


@settings(max_examples=150)
@given(st.data())
def test_every_workflow_ends_once_whatever_crashes(data: st.DataObject) -> None:
    def model(event: Event, question: Question) -> ModelDecision | ModelUnavailable:
        names = question.schema["properties"]["agents"]["items"]["enum"]
        pick = data.draw(st.sampled_from([*names, "unreachable", "useless"]), label="answer")
        if pick in ("unreachable", "useless"):
            return ModelUnavailable(pick, "scripted", retry=pick == "unreachable")
        return ModelDecision((pick,), "drawn", 0.5, "m")

    run = InMemory(toy.registry(), model, dict(HANDLERS))
    for number in range(3):
        run.publish(toy.opened(number))
    checkpoints = [Checkpoint(ShardState(), 0, 0)]
    for _ in range(data.draw(st.integers(0, 60), label="steps")):
        what = data.draw(st.sampled_from([*run.choices(), "tick", "checkpoint", "crash"]), label="step")
        if what == "checkpoint":
            checkpoints.append(run.checkpoint())
        elif what == "crash":
            run.start(checkpoints[data.draw(st.integers(0, len(checkpoints) - 1), label="restored")])
        else:
            run.step(what)
    run.model = lambda event, question: ModelDecision(
        (question.schema["properties"]["agents"]["items"]["enum"][0],), "the first", 0.5, "m"
    )
    run.settle()

    assert {name: run.status(name) for name in ("w0", "w1", "w2")}.keys() == {"w0", "w1", "w2"}
    assert all(run.status(name) in ("completed", "failed", "stopped") for name in ("w0", "w1", "w2"))
    assert not run.shard.context.state.workflows
    effective = {(d.subject, d.attempt): d for d in run.decisions()}
    sent = {(str(d.event.attributes["effectkey"]), d.agent): d.dispatch_id for d in run.dispatches}
    for dispatch in run.dispatches:
        assert sent[(str(dispatch.event.attributes["effectkey"]), dispatch.agent)] == dispatch.dispatch_id
        assert any(dispatch.agent in decision.agents for decision in effective.values())
    assert {letter.reason for letter in run.dead_letters} <= {"no-usable-decision", "agent-failed"}


@settings(max_examples=60)
@given(st.data())
def test_a_replay_from_nothing_reaches_the_same_end(data: st.DataObject) -> None:
    """The order in which a restarted shard sees ledger and events does not matter."""

    def model(event: Event, question: Question) -> ModelDecision:
        names = question.schema["properties"]["agents"]["items"]["enum"]
        return ModelDecision((data.draw(st.sampled_from(names), label="answer"),), "drawn", 0.5, "m")

    run = InMemory(toy.registry(), model, dict(HANDLERS))
    for number in range(2):
        run.publish(toy.opened(number))
    run.settle()
    before = {name: event.data for name, event in run.statuses.items()}
    asked, dispatched = len(run.asked), Counter(d.dispatch_id for d in run.dispatches)

    run.start(Checkpoint(ShardState(), 0, 0))
    while choices := [name for name in run.choices() if name in ("event", "ledger")]:
        run.step(data.draw(st.sampled_from(choices), label="step"))
    run.settle()
    assert len(run.asked) == asked
    assert Counter(d.dispatch_id for d in run.dispatches) == dispatched
    for name, event in run.statuses.items():
        assert (event.data["status"], event.data["ended_at"]) == (before[name]["status"], before[name]["ended_at"])


SUPERVISED = {
    **HANDLERS,
    "answering": lambda event: [("ticket.done", {"note": "at last"})],
}


def supervised(data: st.DataObject) -> InMemory:
    """Two attempts, deadlines, an agent that needs approval, and little room."""

    def model(event: Event, question: Question) -> ModelDecision | ModelUnavailable:
        names = question.schema["properties"]["agents"]["items"]["enum"]
        pick = data.draw(st.sampled_from([*names, "unreachable", "deadline"]), label="answer")
        if pick == "unreachable":
            return ModelUnavailable(pick, "scripted", retry=True)
        if pick == "deadline":
            return ModelUnavailable(pick, "scripted", calls=1, prompt_tokens=1, retry=True, bounded=True)
        return ModelDecision((pick,), "drawn", 0.5, "m", prompt_tokens=1)

    agents = toy.registry(2).file.model_dump(mode="json", exclude_defaults=True)["agents"]
    agents[1] |= {"deadline": 20.0}
    agents[2] |= {"approval": "required", "approval_timeout": 50.0}
    limits = {"open_workflows": 2, "open_dispatches": 2, "dispatches": 6, "deadline": 300.0}
    run = InMemory(toy.registry(None, agents=agents, limits=limits), model, dict(SUPERVISED))
    for number in range(4):
        run.publish(toy.opened(number))
    return run


def operate(run: InMemory, what: str) -> None:
    """An operator does something, or an agent answers nothing for a while."""
    if what in ("pause", "resume"):
        run.request(Control.new(what, "tests", "", "ada"))  # type: ignore[arg-type]
    elif what == "cancel":
        run.request(Control.new("cancel", "tests", "", "ada", workflow_id="w1"))
    elif what in ("approve", "reject"):
        for name, event in run.statuses.items():
            for waiting in event.data["approvals"]:
                asked = Control.new(what, "tests", "", "ada", workflow_id=name, approval=waiting["id"])  # type: ignore[arg-type]
                run.request(asked)
    elif what == "later":
        run.now += 10_000
        run.step("tick")
    elif what == "silent":
        run.handlers.pop("fixing", None)
    else:
        run.handlers["fixing"] = SUPERVISED["fixing"]


OPERATIONS = ("pause", "resume", "cancel", "approve", "reject", "later", "silent", "answers")


@settings(max_examples=150)
@given(st.data())
def test_supervised_workflows_end_once_whatever_crashes(data: st.DataObject) -> None:
    run = supervised(data)
    checkpoints = [Checkpoint(ShardState(), 0, 0)]
    for _ in range(data.draw(st.integers(0, 80), label="steps")):
        steps = [*run.choices(), *run.choices(), "tick", "checkpoint", "crash", *OPERATIONS]
        what = data.draw(st.sampled_from(steps), label="step")
        if what == "checkpoint":
            checkpoints.append(run.checkpoint())
        elif what == "crash":
            run.start(checkpoints[data.draw(st.integers(0, len(checkpoints) - 1), label="restored")])
        elif what in OPERATIONS:
            operate(run, what)
        else:
            run.step(what)
    operate(run, "answers")
    operate(run, "resume")
    run.settle()

    assert run.statuses.keys() == {"w0", "w1", "w2", "w3"}
    assert {run.status(name) for name in run.statuses} <= {"completed", "failed", "stopped", "cancelled"}
    state, tally = run.shard.context.state, run.shard.context.usage
    assert not state.workflows
    assert not state.queues
    assert not state.timers
    assert (tally.workflows, tally.reserved, tally.paused) == (0, 0, False)
    assert not any(tally.dispatches.values())
    assert tally.spent(run.now)[0] <= len(run.asked)
    assert sum(event.data["tokens"] for event in run.statuses.values()) <= len(run.asked)
    effective = {(d.subject, d.attempt): d for d in run.decisions()}
    assert all(any(sent.agent in d.agents for d in effective.values()) for sent in run.dispatches)
    approved = {d.subject.id for d in effective.values() if d.decided_by == "operator"}
    first = {str(sent.event.attributes["effectkey"]) for sent in run.dispatches if sent.dispatch_id in approved}
    for sent in run.dispatches:
        assert sent.agent != "answering" or str(sent.event.attributes["effectkey"]) in first
    assert {letter.reason for letter in run.dead_letters} <= {
        *("no-usable-decision", "agent-failed", "unknown-approval", "workflow-ended", "unknown-workflow")
    }
