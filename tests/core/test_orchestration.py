"""The state machine, event by event."""

from __future__ import annotations

import pytest

from switchyard.core.event import Event
from switchyard.core.ledger.record import Fence, parse_record
from switchyard.core.routing.question import Question
from switchyard.core.routing.verdict import ModelDecision, ModelUnavailable
from switchyard.testing.memory import Checkpoint, InMemory, ShardState
from tests.core import toy


def choose(event: Event, question: Question) -> ModelDecision:
    agent = {"ticket.opened": "triage", "ticket.sorted": "fixing"}.get(event.type, "complete")
    return ModelDecision((agent,), f"because of {event.type}", 0.9, "scripted", prompt_tokens=10, completion_tokens=2)


HANDLERS = {
    "triage": lambda event: [("ticket.sorted", {"kind": "bug"})],
    "fixing": lambda event: [("ticket.done", {"note": "mended"})],
    "answering": lambda event: [("ticket.done", {"note": "answered"})],
}


def runner(**changes: object) -> InMemory:
    return InMemory(toy.registry(**changes), choose, dict(HANDLERS))


def test_a_workflow_runs_to_its_end() -> None:
    run = runner()
    run.publish(toy.opened(1))
    run.settle()
    assert run.status("w1") == "completed"
    assert [(d.agents, d.decided_by, d.action) for d in run.decisions()] == [
        (("triage",), "model", "dispatch"),
        (("fixing",), "model", "dispatch"),
        ((), "rule", "complete"),
    ]
    summary = run.statuses["w1"].data
    assert (summary["hops"], summary["dispatches"], summary["model_calls"], summary["tokens"]) == (2, 2, 2, 24)
    assert [d.step for d in run.decisions()] == [0, 1, 2]
    assert run.decisions()[1].inputs == (run.decisions()[1].parsed_event().id,)


def test_a_rule_needs_no_model() -> None:
    run = runner()
    run.rule = lambda event: ["triage"] if event.type == "ticket.opened" else None
    run.publish(toy.opened(1))
    run.settle()
    assert run.status("w1") == "completed"
    assert [d.decided_by for d in run.decisions()] == ["rule", "model", "rule"]
    assert len(run.asked) == 1


@pytest.mark.parametrize(
    ("agents", "code"), [(["nobody"], "unknown-agent"), (["triage", "answering"], "no-agent-accepts")]
)
def test_a_rule_that_names_the_wrong_agent_is_a_dead_letter(agents: list[str], code: str) -> None:
    run = runner()
    run.rule = lambda event: agents
    run.publish(toy.opened(1))
    run.settle()
    assert run.status("w1") == "failed"
    assert [letter.reason for letter in run.dead_letters] == [code]
    assert run.dead_letters[0].raw == run.events[0]
    assert run.dispatches == []


def test_a_repeated_event_counts_once_while_running_and_after_the_end() -> None:
    run = runner()
    for _ in range(2):
        run.publish(toy.opened(1))
    run.settle()
    run.publish(toy.opened(1))
    run.settle()
    assert len(run.dispatches) == 2
    assert run.statuses["w1"].data["duplicates"] == 2
    assert run.dead_letters == []


def test_an_answer_twice_counts_once() -> None:
    run = runner()
    run.publish(toy.opened(1))
    run.settle()
    answer = Event.parse(run.events[1])
    run.publish(answer)
    run.publish(answer.with_attributes(id="another-id"))
    run.settle()
    assert len(run.dispatches) == 2
    assert [letter.reason for letter in run.dead_letters] == []
    assert run.statuses["w1"].data["duplicates"] == 2


def test_an_answer_to_an_unknown_dispatch_starts_nothing() -> None:
    run = runner()
    run.publish(toy.opened(1).with_attributes(causationid="never-sent"))
    run.settle()
    assert [letter.reason for letter in run.dead_letters] == ["unknown-dispatch"]
    assert run.statuses == {}


def test_an_event_after_the_end_is_a_dead_letter() -> None:
    run = runner()
    run.publish(toy.opened(1))
    run.settle()
    run.publish(toy.opened(2, "w1"))
    run.settle()
    assert [letter.reason for letter in run.dead_letters] == ["workflow-ended"]


def test_what_breaks_its_contract_goes_to_dead_letters_with_the_field() -> None:
    run = runner()
    run.publish(b"{not json")
    run.publish(Event.new(id="1", source="s", type="ticket.opened", workflow_id="w", data={"text": 7}))
    run.publish(Event.new(id="1", source="s", type="ticket.lost", workflow_id="w", data={}))
    run.settle()
    assert [(letter.reason, letter.field, letter.offset) for letter in run.dead_letters] == [
        ("not-json", "", 0),
        ("contract-violation", "data.text", 1),
        ("unknown-type", "type", 2),
    ]


def test_work_that_never_ends_stops_at_the_hop_limit() -> None:
    run = InMemory(toy.registry(), lambda e, q: ModelDecision(("fixing",), "again", 1.0, "m"), {})
    run.handlers = {"triage": HANDLERS["triage"], "fixing": lambda event: [("ticket.part", {"part": event.hops})]}
    run.rule = lambda event: ["triage"] if event.type == "ticket.opened" else None
    run.publish(toy.opened(1))
    run.settle()
    assert run.status("w1") == "stopped"
    assert run.statuses["w1"].data["reason"] == "hop limit of 4 reached"
    assert len(run.dispatches) == 4


def test_one_answer_of_several_parts_waits_for_all_of_them() -> None:
    run = runner()
    run.handlers["fixing"] = lambda event: (
        [("ticket.part", {"part": n}) for n in range(3)]
        if event.type == "ticket.sorted"
        else [("ticket.done", {"note": "part"})]
    )
    run.model = lambda e, q: ModelDecision(("triage" if e.type == "ticket.opened" else "fixing",), "", 1.0, "m")
    run.publish(toy.opened(1))
    run.settle()
    assert run.status("w1") == "completed"
    assert run.statuses["w1"].data["dispatches"] == 5


def test_a_failed_agent_is_left_out_and_the_router_sees_it() -> None:
    run = runner()
    run.handlers["fixing"] = lambda event: [
        ("agent.failed", {"agent": "fixing", "reason": "handler-error", "message": "no luck"})
    ]
    run.model = lambda e, q: (
        choose(e, q)
        if '"failed":[]' in q.messages[1]["content"]
        else ModelDecision(("answering",), "the other", 0.5, "m")
    )
    run.publish(toy.opened(1))
    run.settle()
    assert run.status("w1") == "completed"
    assert [d.agent for d in run.dispatches] == ["triage", "fixing", "answering"]
    failure = '"failed":[{"agent":"fixing","reason":"handler-error","message":"no luck"}]'
    assert failure in run.asked[-1].messages[1]["content"]
    assert '"answered":[{"agent":"triage"' in run.asked[-1].messages[1]["content"]


def test_an_agent_that_has_an_event_already_may_take_over_for_one_that_failed() -> None:
    run = runner()
    run.handlers["answering"] = lambda event: [
        ("agent.failed", {"agent": "answering", "reason": "handler-error", "message": "no luck"})
    ]
    run.model = lambda e, q: (
        choose(e, q)
        if e.type == "ticket.opened"
        else ModelDecision(("fixing", "answering"), "both", 1.0, "m")
        if '"failed":[]' in q.messages[1]["content"]
        else ModelDecision(("fixing",), "the one left", 1.0, "m")
    )
    run.publish(toy.opened(1))
    run.settle()
    assert [d.agent for d in run.dispatches] == ["triage", "fixing", "answering", "fixing"]
    assert run.events[2] != run.events[4]
    assert Event.parse(run.events[2]).id == Event.parse(run.events[4]).id
    assert run.status("w1") == "completed"


def test_an_unusable_answer_takes_the_fallback_else_a_dead_letter() -> None:
    def useless(event: Event, question: Question) -> ModelDecision | ModelUnavailable:
        if event.type == "ticket.opened":
            return choose(event, question)
        return ModelUnavailable("unusable-answer", "not JSON", "m", calls=2)

    run = runner(fallback="answering")
    run.model = useless
    run.publish(toy.opened(1))
    run.settle()
    assert run.decisions()[1].decided_by == "fallback"
    assert run.dispatches[-1].agent == "answering"

    run = runner()
    run.model = useless
    run.publish(toy.opened(1))
    run.settle()
    assert run.status("w1") == "failed"
    assert [letter.reason for letter in run.dead_letters] == ["no-usable-decision"]


def test_a_model_out_of_reach_is_asked_again() -> None:
    run = runner()
    outcomes = [ModelUnavailable("unreachable", "no connection", retry=True)] * 3
    run.model = lambda event, question: outcomes.pop() if outcomes else choose(event, question)
    run.publish(toy.opened(1))
    run.settle()
    assert run.status("w1") == "completed"
    assert len(run.asked) == 5


def test_without_state_nothing_is_asked_again_and_only_what_is_open_is_sent() -> None:
    run = runner()
    run.publish(toy.opened(1))
    run.publish(toy.opened(2))
    run.settle()
    asked, sent = len(run.asked), len(run.dispatches)
    run.start(Checkpoint(ShardState(), 0, 0))
    run.settle()
    assert (len(run.asked), len(run.dispatches)) == (asked, sent)
    assert {run.status("w1"), run.status("w2")} == {"completed"}
    assert run.dead_letters == []


def test_events_wait_for_the_fence() -> None:
    run = runner()
    run.publish(toy.opened(1))
    run.step("event")
    assert run.choices() == ["control", "ledger"]
    assert isinstance(parse_record(run.ledger[0]), Fence)
    run.step("ledger")
    assert run.choices() == ["control"]
    run.step("control")
    assert run.choices() == ["model"]


def test_a_fence_that_is_lost_is_written_again() -> None:
    run = runner()
    run.ledger.clear()
    run.publish(toy.opened(1))
    run.settle()
    assert run.status("w1") == "completed"


def test_a_record_is_written_again_unchanged_until_it_is_read_back() -> None:
    run = runner()
    run.publish(toy.opened(1))
    for step in ("control", "ledger", "event", "model"):
        run.step(step)
    lost = run.ledger.pop()
    run.settle()
    assert run.ledger[1] == lost
    assert run.status("w1") == "completed"


def test_a_record_that_names_an_agent_no_longer_there_is_settled_anew() -> None:
    run = runner()
    run.publish(toy.opened(1))
    for step in ("control", "ledger", "event", "model"):
        run.step(step)
    run.ledger[-1] = run.ledger[-1].replace('"agents":["triage"]', '"agents":["retired"]')
    run.settle()
    assert run.status("w1") == "completed"
    assert [(d.agents, d.attempt) for d in run.decisions()][:2] == [(("retired",), 0), (("triage",), 1)]


def test_two_records_for_the_same_thing_the_first_wins() -> None:
    run = runner()
    run.publish(toy.opened(1))
    for step in ("control", "ledger", "event", "model", "ledger"):
        run.step(step)
    run.ledger.append(run.ledger[-1].replace('"action":"dispatch"', '"action":"complete"'))
    run.settle()
    assert run.status("w1") == "completed"
    assert [d.agent for d in run.dispatches] == ["triage", "fixing"]
