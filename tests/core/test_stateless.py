"""Decisions without state: the same verdicts and settle keys as the orchestrator's, where no state is needed."""

from __future__ import annotations

import pytest

from switchyard.core.agents_file import AgentsFile
from switchyard.core.deadletter import Position
from switchyard.core.event import Event
from switchyard.core.ledger.record import Decision, parse_record
from switchyard.core.orchestrator.ledger_view import derive
from switchyard.core.registry import Registry
from switchyard.core.routing import decide, single_event
from switchyard.core.routing.inbox_event import inbox_event
from switchyard.core.routing.question import question
from switchyard.core.routing.single_event import RoutingInput
from switchyard.core.routing.verdict import ModelDecision, ModelUnavailable
from switchyard.flink.stateless_job import needs_state
from switchyard.testing.memory import InMemory
from tests.core import toy
from tests.core.test_orchestration import HANDLERS, choose

PLACE = Position("agent-messages", 2, 7)


def message(event: Event, *rule: str) -> RoutingInput:
    return RoutingInput(event, event.json(), PLACE, rule or None)


def decided(
    registry: Registry, item: RoutingInput, outcome: ModelDecision | ModelUnavailable | None = None
) -> Decision:
    verdict = single_event.before_model(registry, item)
    if verdict is None:
        assert outcome is not None
        verdict = decide.after_model(registry, item.event, item.context, outcome)
    return single_event.record_of(registry, item, verdict, outcome, 1_000, "sql")


def answer(kind: str, data: dict[str, object], hops: int = 1) -> Event:
    return Event.new(id="a", source="tests", type=kind, workflow_id="w", data=data, causationid="d1", hops=hops)


def test_a_whole_workflow_decided_without_state_is_that_of_the_orchestrator() -> None:
    run = InMemory(toy.registry(), choose, dict(HANDLERS))
    run.publish(toy.opened(1))
    run.settle()
    records = []
    for text in run.events:
        event = Event.parse(text)
        item = RoutingInput(event, text.decode(), PLACE, None)
        asked = question(run.registry, event)
        records.append(decided(run.registry, item, choose(event, asked)))
    known = ("subject", "agents", "action", "decided_by", "reason", "attempt", "answer_count", "candidates", "step")
    assert [[getattr(r, name) for name in known] for r in records] == [
        [getattr(r, name) for name in known] for r in run.decisions()
    ]
    sent = [inbox_event(record, agent) for record in records for agent in record.agents]
    assert sent == [(item.dispatch_id, item.event) for item in run.dispatches]
    (mine,) = derive(records, "toy").values()
    assert {mine[name] for name in ("status", "hops")} == {"completed", 2}
    assert all(parse_record(record.json()) == record for record in records)


def test_a_rule_needs_no_model_and_its_wrong_agent_is_a_dead_letter() -> None:
    good = decided(toy.registry(), message(toy.opened(1), "triage"))
    bad = decided(toy.registry(), message(toy.opened(1), "nobody"))
    assert (good.action, good.decided_by, good.agents, good.model_calls) == ("dispatch", "rule", ("triage",), 0)
    assert (bad.action, bad.code) == ("dead-letter", "unknown-agent")


def test_hops_that_the_event_tells_meet_the_limit() -> None:
    over = decided(toy.registry(limits={"hops": 3}), message(answer("ticket.part", {"part": 1}, hops=3)))
    assert (over.action, over.decided_by, over.code, over.step) == ("stop", "guard", "hop-limit", 3)


def test_a_failed_agent_is_a_dead_letter_for_its_event_is_not_at_hand() -> None:
    failed = answer("agent.failed", {"agent": "fixing", "reason": "handler-error", "message": "no luck"})
    record = decided(toy.registry(fallback="answering"), message(failed, "answering"))
    assert (record.action, record.code, record.failed) == ("dead-letter", "agent-failed", ("fixing",))
    assert record.reason == "fixing failed: no luck"


@pytest.mark.parametrize(("fallback", "action"), [("answering", "dispatch"), (None, "dead-letter")])
def test_a_model_out_of_reach_takes_the_fallback_with_the_reason(fallback: str | None, action: str) -> None:
    gone = ModelUnavailable("unreachable", "no connection", "m", calls=3, retry=True)
    record = decided(toy.registry(fallback=fallback), message(answer("ticket.sorted", {"kind": "bug"})), gone)
    assert (record.action, record.decided_by, record.code) == (action, "fallback", "no-usable-decision")
    assert (record.reason, record.model_calls) == ("unreachable: no connection", 3)


def test_an_app_that_declares_what_needs_state_is_refused() -> None:
    class Later(AgentsFile):
        approvals: tuple[str, ...] = ()

    def registry(**changes: object) -> Registry:
        value = toy.registry(None).file.model_dump()
        return Registry(Later.model_validate({**value, **changes}), toy.CONTRACTS, "")

    def with_agent(**keys: str) -> Registry:
        value = toy.registry(None).file.model_dump()
        value["agents"][0].update(keys)
        return Registry(AgentsFile.model_validate(value), toy.CONTRACTS, "")

    assert needs_state(toy.registry(None, limits={"hops": 3}, fallback="answering", background=["a:b"])) is None
    assert needs_state(registry()) is None
    assert needs_state(with_agent(sends="mail", approval="never")) is None
    assert "triage: approval, " in str(needs_state(with_agent(sends="mail", approval="required")))
    sentence = needs_state(registry(approvals=["refund"]))
    assert sentence == "agents.yaml sets approvals, which needs state; submit it without --stateless"
