"""A router of an app's own: it decides before a model is asked, and its mistakes go to the fallback."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from switchyard.core.event import Event
from switchyard.core.extensions import Extensions
from switchyard.core.registry import Registry
from switchyard.core.routing.router import LONGEST_REASON
from switchyard.core.routing.verdict import RoutingContext, Verdict
from switchyard.testing.memory import InMemory
from tests.core import toy
from tests.core.test_orchestration import HANDLERS, choose


def with_router(router: Callable[[Event, RoutingContext], Any], **changes: Any) -> InMemory:
    plain = toy.registry(**changes)
    registry = Registry.from_json(plain.json(), Extensions(router))
    run = InMemory(registry, choose, dict(HANDLERS))
    run.publish(toy.opened(1))
    run.settle()
    return run


def test_what_it_decides_is_a_record_like_any_other_and_no_model_is_asked() -> None:
    seen: list[RoutingContext] = []

    def router(event: Event, context: RoutingContext) -> Verdict:
        seen.append(context)
        return Verdict.dispatch(context.candidates[0], reason=f"first for {event.type}", confidence=0.5)

    run = with_router(router)
    first = run.decisions()[0]
    assert (first.decided_by, first.agents, first.reason) == ("router", ("triage",), "first for ticket.opened")
    assert first.confidence == 0.5
    assert run.asked == []
    assert run.status("w1") == "completed"
    assert seen[0].candidates == ("triage",)
    assert [item["type"] for item in seen[1].history] == ["ticket.sorted"]


def test_what_it_leaves_open_the_model_decides() -> None:
    run = with_router(lambda event, context: None)
    assert {record.decided_by for record in run.decisions()} <= {"model", "rule"}
    assert run.asked


def test_a_rule_goes_before_it() -> None:
    run = InMemory(
        Registry.from_json(toy.registry().json(), Extensions(lambda event, context: 1 / 0)),
        choose,
        rule=lambda event: ["triage"],
    )
    run.publish(toy.opened(1))
    run.settle()
    assert run.decisions()[0].decided_by == "rule"


@pytest.mark.parametrize(
    ("returned", "words"),
    [
        ("triage", "returned str"),
        (Verdict.dispatch("nobody", reason=""), "named 'nobody'; the candidates are triage"),
        (Verdict.dispatch(reason=""), "named no agent"),
        (Verdict("stop", "router", ""), "returned the action 'stop'"),
        (Verdict.dispatch("triage", reason="", confidence=7.0), "gave the confidence 7.0, which is from 0 to 1"),
        (Verdict.dispatch("triage", reason="", confidence=float("nan")), "gave the confidence nan"),
        (ZeroDivisionError, "raised ZeroDivisionError"),
    ],
)
def test_its_mistakes_go_to_the_fallback_with_a_sentence(returned: Any, words: str) -> None:
    def router(event: Event, context: RoutingContext) -> Any:
        if isinstance(returned, type):
            raise returned("a text that must not travel")
        return returned

    run = with_router(router, fallback="triage")
    first = run.decisions()[0]
    assert (first.decided_by, first.code, first.agents) == ("fallback", "router-failed", ("triage",))
    assert words in first.reason
    assert "must not travel" not in first.reason


class Score(float):
    """A number of a library's own, which JSON would not take."""


def test_a_record_holds_plain_values_only_and_the_router_changes_nothing() -> None:
    def router(event: Event, context: RoutingContext) -> Verdict:
        event.data["text"] = "another"
        reason = "long and \ud800 broken " * 100
        return Verdict("dispatch", "model", reason, ("triage", "triage"), code="made-up", confidence=Score(0.25))

    run = with_router(router)
    first = run.decisions()[0]
    assert (first.decided_by, first.agents, first.code, first.confidence) == ("router", ("triage",), None, 0.25)
    assert type(first.confidence) is float
    assert len(first.reason) <= LONGEST_REASON
    assert "long and ? broken" in first.reason
    assert run.dispatches[0].event.data == {"text": "ticket 1"}


def test_guards_hold_it_back() -> None:
    run = with_router(lambda event, context: Verdict.dispatch(context.candidates[0], reason=""), limits={"hops": 1})
    assert run.status("w1") == "stopped"


def test_it_ends_a_branch() -> None:
    run = with_router(lambda event, context: Verdict.complete("nothing to do"))
    assert (run.status("w1"), run.decisions()[0].action) == ("completed", "complete")


def test_it_is_asked_once_for_each_event_whatever_crashes() -> None:
    calls: list[str] = []

    def router(event: Event, context: RoutingContext) -> Verdict:
        calls.append(event.id)
        return Verdict.dispatch(context.candidates[0], reason="")

    run = with_router(router)
    asked = len(calls)
    from switchyard.core.orchestrator.state import ShardState
    from switchyard.testing.memory import Checkpoint

    run.start(Checkpoint(ShardState(), 0, 0))
    run.settle()
    assert len(calls) == asked
