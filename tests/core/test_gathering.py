"""Fan-out and gather in the state machine."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from switchyard.core.agents_file import AgentsFile
from switchyard.core.app_checks import problems_of
from switchyard.core.control import Control
from switchyard.core.event import Event
from switchyard.core.registry import Registry
from switchyard.core.routing.prompt import DEFAULT_ROUTER_PROMPT
from switchyard.core.routing.verdict import ModelDecision
from switchyard.testing.memory import Checkpoint, InMemory, ScriptedHandler, ShardState
from tests.core import toy

ANALYSTS = ("market", "risk", "sentiment")
CONTRACTS = {
    "trade.requested": toy.record("trade_requested", ticker="string"),
    "view.given": toy.record("view_given", stance="string"),
    "plan.made": toy.record("plan_made", note="string"),
    "research.requested": toy.record("research_requested", topic="string"),
}


def registry(**policy: Any) -> Registry:
    gather = {"on": "trade.requested", "policy": "all", "vote": "stance", "deadline": 10, **policy}
    agents: list[dict[str, Any]] = [
        {"name": name, "description": name, "accepts": ["trade.requested"], "emits": ["view.given"], "attempts": 1}
        for name in ("market", "sentiment")
    ]
    agents.append(
        {
            "name": "risk",
            "description": "risk",
            "attempts": 1,
            "accepts": ["trade.requested"],
            "emits": ["view.given", "research.requested"],
        }
    )
    agents.append(
        {"name": "plan", "description": "plans", "accepts": ["trade.requested.gathered"], "emits": ["plan.made"]}
    )
    agents += [
        {"name": name, "description": f"{name} digs", "accepts": ["research.requested"], "emits": ["view.given"]}
        for name in ("digger", "reader")
    ]
    value = {
        "app": "desk",
        "starts": ["trade.requested"],
        "ends": ["plan.made"],
        "agents": agents,
        "gathers": [gather, {"on": "research.requested", "deadline": 5, "vote": "stance"}],
        "limits": {"hops": 12},
    }
    return Registry(AgentsFile.model_validate(value), CONTRACTS, DEFAULT_ROUTER_PROMPT)


def says(stance: str) -> ScriptedHandler:
    return lambda event: [("view.given", {"stance": stance})]


def runner(handlers: dict[str, ScriptedHandler], **policy: Any) -> InMemory:
    def rule(event: Event) -> tuple[str, ...] | None:
        return {
            "trade.requested": ANALYSTS,
            "research.requested": ("digger", "reader"),
            "trade.requested.gathered": ("plan",),
        }.get(event.type)

    def no_model(event: Event, question: Any) -> ModelDecision:
        raise AssertionError(f"a model was asked about {event.type}")

    known: dict[str, ScriptedHandler] = {"plan": lambda event: [("plan.made", {"note": event.data["vote"] or "none"})]}
    run = InMemory(registry(**policy), no_model, known | handlers)
    run.rule = rule
    return run


def requested(number: int = 1) -> Event:
    data = {"ticker": "IBM"}
    return Event.new(id=f"t{number}", source="tests", type="trade.requested", workflow_id=f"w{number}", data=data)


def results(run: InMemory) -> list[dict[str, Any]]:
    """The data of each gathered event that was published, once."""
    found = {}
    for raw in run.events:
        value = json.loads(raw)
        if value["type"].endswith(".gathered"):
            found[value["id"]] = value["data"]
    return list(found.values())


def test_answers_are_put_into_one_event_which_is_routed_on() -> None:
    run = runner({"market": says("buy"), "risk": says("sell"), "sentiment": says("buy")})
    run.publish(requested())
    run.settle()
    assert run.status("w1") == "completed"
    assert [item.agent for item in run.dispatches] == [*ANALYSTS, "plan"]
    (result,) = results(run)
    assert (result["vote"], result["dissent"], result["complete"], result["missing"]) == ("buy", ["risk"], True, [])
    assert {item["agent"]: json.loads(item["data"]) for item in result["answers"]} == {
        "market": {"stance": "buy"},
        "risk": {"stance": "sell"},
        "sentiment": {"stance": "buy"},
    }
    assert [d.action for d in run.decisions()] == ["dispatch", "gather", "gather", "gather", "dispatch", "complete"]
    assert run.statuses["w1"].data["hops"] == 2


def test_a_quorum_does_not_wait_and_the_rest_is_late() -> None:
    run = runner({"market": says("buy"), "risk": says("buy"), "sentiment": says("sell")}, policy="quorum", quorum=2)
    run.publish(requested())
    run.settle()
    assert run.status("w1") == "completed"
    (result,) = results(run)
    assert (result["vote"], result["complete"], len(result["answers"])) == ("buy", True, 2)
    assert result["missing"] == [{"agent": "sentiment", "reason": "the gather was complete before it answered"}]
    assert [d.action for d in run.decisions()].count("late") == 1
    assert run.dead_letters == []


def test_without_an_answer_it_ends_at_its_deadline_and_names_who_is_missing() -> None:
    run = runner({"market": says("buy"), "risk": says("sell")})
    run.publish(requested())
    run.settle()
    assert run.status("w1") == "completed"
    (result,) = results(run)
    assert (result["complete"], result["missing"]) == (
        False,
        [{"agent": "sentiment", "reason": "no answer within 10 s"}],
    )
    assert run.now < 15_000
    lost = next(item for item in run.dispatches if item.agent == "sentiment")
    view = {"stance": "hold"}
    run.publish(
        Event.new(id="x", source="s", type="view.given", workflow_id="w1", data=view, causationid=lost.dispatch_id)
    )
    run.settle()
    assert any('"action":"late"' in line for line in run.ledger)
    assert len(results(run)) == 1


def test_an_agent_that_failed_is_missing_with_its_reason() -> None:
    failed = {"agent": "risk", "reason": "handler-error", "message": "no prices"}
    broken: ScriptedHandler = lambda event: [("agent.failed", failed)]  # noqa: E731
    run = runner({"market": says("buy"), "risk": broken, "sentiment": says("buy")})
    run.publish(requested())
    run.settle()
    (result,) = results(run)
    assert result["missing"] == [{"agent": "risk", "reason": "risk failed: handler-error: no prices"}]
    assert (result["vote"], run.status("w1")) == ("buy", "completed")


def test_an_incomplete_gather_can_fail_its_workflow() -> None:
    run = runner({"market": says("buy"), "risk": says("buy")}, on_missing="fail")
    run.publish(requested())
    run.settle()
    assert run.status("w1") == "failed"
    (letter,) = run.dead_letters
    assert (letter.reason, letter.message) == ("gather-incomplete", "missing: sentiment: no answer within 10 s")
    assert results(run) == []


def test_a_gather_inside_a_gather_answers_for_its_branch() -> None:
    asks: ScriptedHandler = lambda event: [("research.requested", {"topic": "debt"})]  # noqa: E731
    run = runner(
        {"market": says("buy"), "risk": asks, "sentiment": says("buy"), "digger": says("sell"), "reader": says("sell")}
    )
    run.publish(requested())
    run.settle()
    assert run.status("w1") == "completed"
    inner, outer = results(run)
    assert (inner["cause"], inner["vote"]) == ("research.requested", "sell")
    answer = next(item for item in outer["answers"] if item["agent"] == "risk")
    assert answer["type"] == "research.requested.gathered"
    assert json.loads(answer["data"]) == inner


def test_cancel_reaches_all_branches() -> None:
    asks: ScriptedHandler = lambda event: [("research.requested", {"topic": "debt"})]  # noqa: E731
    run = runner({"market": says("buy"), "risk": asks, "sentiment": says("buy")})
    run.publish(requested())
    for _ in range(60):
        if any(item.agent == "reader" for item in run.dispatches):
            break
        run.step(run.choices()[0])
    run.request(Control.new("cancel", "tests", "", "ada", workflow_id="w1"))
    while run.choices():
        run.step(run.choices()[0])
    assert run.status("w1") == "cancelled"
    assert not run.shard.context.state.workflows
    assert not run.shard.context.state.timers


@settings(max_examples=100)
@given(st.data())
def test_each_gather_has_one_result_whatever_crashes(data: st.DataObject) -> None:
    asks: ScriptedHandler = lambda event: [("research.requested", {"topic": "debt"})]  # noqa: E731
    run = runner(
        {"market": says("buy"), "risk": asks, "sentiment": says("sell"), "digger": says("buy"), "reader": says("buy")},
        policy=data.draw(st.sampled_from(["all", "first", "weighted"])),
        on_missing=data.draw(st.sampled_from(["partial", "fail"])),
    )
    for number in range(2):
        run.publish(requested(number))
    checkpoints = [Checkpoint(ShardState(), 0, 0)]
    for _ in range(data.draw(st.integers(0, 60), label="steps")):
        steps = [*run.choices(), *run.choices(), "tick", "checkpoint", "crash", "later"]
        what = data.draw(st.sampled_from(steps), label="step")
        if what == "checkpoint":
            checkpoints.append(run.checkpoint())
        elif what == "crash":
            run.start(checkpoints[data.draw(st.integers(0, len(checkpoints) - 1), label="restored")])
        elif what == "later":
            run.now += 4_000
            run.step("tick")
        else:
            run.step(what)
    run.settle()
    assert {run.status(name) for name in ("w0", "w1")} <= {"completed", "failed"}
    assert not run.shard.context.state.workflows
    assert not run.shard.context.state.timers
    plans = [item for item in run.dispatches if item.agent == "plan"]
    for name in ("w0", "w1"):
        given = {str(item.event.attributes["effectkey"]) for item in plans if item.workflow_id == name}
        assert len(given) == (run.status(name) == "completed")
    assert {letter.reason for letter in run.dead_letters} <= {"gather-incomplete"}


@pytest.mark.parametrize(
    ("policy", "problem"),
    [
        ({"policy": "quorum"}, "gather on 'trade.requested': policy quorum and the key quorum belong together"),
        (
            {"policy": "quorum", "quorum": 4},
            "gather on 'trade.requested': a quorum of 4, but 3 agents accept it",
        ),
        ({"weights": {"nobody": 2}}, "gather on 'trade.requested': weights for nobody, which is no agent"),
    ],
)
def test_a_gather_that_cannot_work_is_found_by_lint(policy: dict[str, Any], problem: str) -> None:
    assert problem in [item.message for item in problems_of(registry(**policy).file, CONTRACTS)]


def test_an_app_with_gathers_has_no_other_problem() -> None:
    assert problems_of(registry().file, CONTRACTS) == []
