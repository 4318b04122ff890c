"""Limits, time, failure, approval, strict order and what an operator asks for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from switchyard.core.app_checks import problems_of
from switchyard.core.control import Control
from switchyard.core.errors import SettingsError
from switchyard.core.event import Event
from switchyard.core.ledger.record import Decision, parse_record
from switchyard.core.orchestrator.limits import Quota, check_shares
from switchyard.core.orchestrator.messages import Dispatch
from switchyard.core.routing.question import Question
from switchyard.core.routing.verdict import ModelDecision
from switchyard.testing.memory import Checkpoint, InMemory, ScriptedHandler, ShardState
from tests.core import toy

SECOND = 1000


def choose(event: Event, question: Question) -> ModelDecision:
    agent = {"ticket.opened": "triage", "ticket.sorted": "fixing"}.get(event.type, "complete")
    if f'"agent":"{agent}"' in question.messages[1]["content"].partition('"failed":')[2]:
        agent = "answering"
    return ModelDecision((agent,), "chosen", 0.9, "scripted", prompt_tokens=10, completion_tokens=2)


def handlers(**changes: ScriptedHandler | None) -> dict[str, ScriptedHandler]:
    known: dict[str, ScriptedHandler | None] = {
        "triage": lambda event: [("ticket.sorted", {"kind": "bug"})],
        "fixing": lambda event: [("ticket.done", {"note": "mended"})],
        "answering": lambda event: [("ticket.done", {"note": "answered"})],
        **changes,
    }
    return {name: handler for name, handler in known.items() if handler is not None}


def failing(agent: str, times: int = 99) -> ScriptedHandler:
    left = [times]

    def handler(event: Event) -> Sequence[tuple[str, object]]:
        left[0] -= 1
        if left[0] < 0:
            return [("ticket.done", {"note": "at last"})]
        return [("agent.failed", {"agent": agent, "reason": "handler-error", "message": "no luck"})]

    return handler


def with_agent(name: str, **keys: Any) -> list[dict[str, Any]]:
    """The toy's agents, one of them with more keys."""
    agents = toy.registry(None).file.model_dump(mode="json", exclude_defaults=True)["agents"]
    return [{**agent, **keys} if agent["name"] == name else agent for agent in agents]


def runner(attempts: int | None = 1, share: Quota | None = None, **changes: Any) -> InMemory:
    changed = changes.pop("handlers", handlers())
    return InMemory(toy.registry(attempts, **changes), choose, changed, quota=share)


def asked_for(kind: Any, workflow: str = "", waiting: dict[str, str] | None = None, reason: str = "") -> Control:
    """`waiting` is what a status tells of an approval."""
    more = {"approval": waiting["id"], "content": waiting["content"]} if waiting else {}
    return Control.new(kind, "tests", reason, "ada", workflow_id=workflow, **more)


def answer(dispatch: Dispatch, kind: str, data: object, **more: Any) -> Event:
    """What an agent's worker would answer."""
    source = f"switchyard/test/{dispatch.agent}"
    fields: dict[str, Any] = {"id": f"of-{dispatch.dispatch_id}", "source": source, "causationid": dispatch.dispatch_id}
    return Event.new(**{**fields, **more}, type=kind, workflow_id=dispatch.workflow_id, data=data)


def all_records(run: InMemory) -> list[Decision]:
    return [record for record in map(parse_record, run.ledger) if isinstance(record, Decision)]


def until(run: InMemory, reached: str) -> None:
    """Step on until this agent has its dispatch, without letting it answer."""
    for _ in range(200):
        if any(item.agent == reached for item in run.dispatches):
            return
        run.step(run.choices()[0])
    raise AssertionError(f"{reached} was not reached")


# Attempts, deadlines, late answers


def test_an_agent_that_fails_is_tried_again_with_growing_pauses() -> None:
    run = runner(3, handlers=handlers(fixing=failing("fixing", 2)))
    run.publish(toy.opened(1))
    run.settle()
    assert run.status("w1") == "completed"
    assert [item.agent for item in run.dispatches] == ["triage", "fixing", "fixing", "fixing"]
    assert len({item.event.attributes["effectkey"] for item in run.dispatches[1:]}) == 1
    assert len({item.dispatch_id for item in run.dispatches}) == 4
    retries = [record for record in run.decisions() if record.decided_by == "retry"]
    assert [record.delay_ms for record in retries] == [1 * SECOND, 2 * SECOND]
    assert retries[0].reason == "attempt 2 of 3: handler-error: no luck"


def test_after_its_last_attempt_the_model_chooses_another_with_the_failure_in_view() -> None:
    run = runner(2, handlers=handlers(fixing=failing("fixing")))
    run.publish(toy.opened(1))
    run.settle()
    assert [item.agent for item in run.dispatches] == ["triage", "fixing", "fixing", "answering"]
    assert '"failed":[{"agent":"fixing","reason":"handler-error"' in run.asked[-1].messages[1]["content"]
    assert run.status("w1") == "completed"


def test_where_all_have_failed_the_workflow_fails_and_the_event_is_kept() -> None:
    run = runner(2, handlers=handlers(fixing=failing("fixing"), answering=failing("answering")))
    run.publish(toy.opened(1))
    run.settle()
    assert [item.agent for item in run.dispatches] == ["triage", "fixing", "fixing", "answering", "answering"]
    assert [letter.reason for letter in run.dead_letters] == ["agent-failed"]
    assert Event.parse(run.dead_letters[0].raw).type == "ticket.sorted"
    assert run.status("w1") == "failed"


def test_an_agent_that_does_not_answer_is_overdue_and_its_late_answer_does_no_harm() -> None:
    run = runner(1, handlers=handlers(fixing=None), agents=with_agent("fixing", deadline=30))
    run.publish(toy.opened(1))
    run.settle()
    lost = next(item for item in run.dispatches if item.agent == "fixing")
    assert run.status("w1") == "completed"
    timeout = next(record for record in run.decisions() if str(record.subject) == f"timeout/{lost.dispatch_id}")
    assert (timeout.agents, timeout.decided_by, timeout.failed) == (("answering",), "model", ("fixing",))
    assert '"no answer within 30 s"' in run.asked[-1].messages[1]["content"]

    late = Event.new(
        id="late", source="s", type="ticket.done", workflow_id="w1", data={"note": "?"}, causationid=lost.dispatch_id
    )
    for _ in range(2):
        run.publish(late)
    run.settle()
    assert [str(r.subject) for r in all_records(run) if r.action == "late"] == [f"dispatch/{lost.dispatch_id}/0"]
    assert run.status("w1") == "completed"
    assert run.dead_letters == []


def test_an_answer_after_the_next_attempt_is_late_and_only_one_counts() -> None:
    run = runner(2, handlers=handlers(fixing=None), agents=with_agent("fixing", deadline=30, attempts=2))
    run.publish(toy.opened(1))
    until(run, "fixing")
    while len(run.dispatches) < 3:
        run.now = max(run.now, run.shard.next_due() or 0)
        run.step(run.choices()[0] if run.choices() else "tick")
    for number, item in enumerate(run.dispatches[1:]):
        run.publish(answer(item, "ticket.done", {"note": str(number)}))
    run.settle()
    assert run.status("w1") == "completed"
    assert [record.action for record in run.decisions()][-2:] == ["late", "complete"]


def test_an_answer_withdraws_a_timeout_that_a_model_is_only_asked_about() -> None:
    run = runner(1, agents=with_agent("fixing", deadline=30))
    run.publish(toy.opened(1))
    until(run, "fixing")
    run.now += 31 * SECOND
    run.step("tick")
    assert run.choices() == ["model", "agent"]
    run.step("agent")
    run.settle()
    assert run.status("w1") == "completed"
    assert [item.agent for item in run.dispatches] == ["triage", "fixing"]
    assert not any(record.subject.kind == "timeout" for record in all_records(run))


# Limits


def test_two_agents_that_hand_work_to_each_other_for_ever_are_stopped() -> None:
    run = runner(handlers=handlers(fixing=lambda event: [("ticket.part", {"part": event.hops})]))
    run.model = lambda e, q: (
        ModelDecision(("fixing",), "go on", 1.0, "m") if e.type != "ticket.opened" else choose(e, q)
    )
    run.publish(toy.opened(1))
    run.settle()
    told = run.statuses["w1"].data
    assert (told["status"], told["code"], told["reason"]) == ("stopped", "hop-limit", "hop limit of 4 reached")
    assert (told["hops"], told["dispatches"], told["model_calls"]) == (4, 4, 4)
    assert told["last"]["action"] == "stop"
    assert run.statuses["w1"].type == "workflow.stopped"
    assert run.dead_letters == []


def test_the_same_agent_asked_again_with_the_same_data_is_a_loop() -> None:
    run = runner(handlers=handlers(fixing=lambda event: [("ticket.part", {"part": 1})]), limits={"hops": 50})
    run.model = lambda e, q: (
        ModelDecision(("fixing",), "go on", 1.0, "m") if e.type != "ticket.opened" else choose(e, q)
    )
    run.publish(toy.opened(1))
    run.settle()
    told = run.statuses["w1"].data
    assert (told["status"], told["code"]) == ("stopped", "loop")
    assert told["reason"] == "a loop: fixing had ticket.part with the same data before"
    assert len(run.dispatches) == 3


def test_the_dispatches_of_one_workflow_are_limited_whatever_is_under_way() -> None:
    def parts(event: Event) -> Sequence[tuple[str, object]]:
        return [("ticket.part", {"part": n}) for n in range(9)]

    run = runner(handlers=handlers(fixing=parts), limits={"dispatches": 5})
    run.model = lambda e, q: (
        ModelDecision(("fixing",), "go on", 1.0, "m") if e.type != "ticket.opened" else choose(e, q)
    )
    run.publish(toy.opened(1))
    run.settle()
    told = run.statuses["w1"].data
    assert (told["status"], told["code"], told["dispatches"]) == ("stopped", "dispatch-limit", 5)


def test_tokens_and_cost_of_a_workflow_are_limited_those_of_agents_included() -> None:
    run = runner(limits={"tokens": 12})
    run.publish(toy.opened(1))
    run.settle()
    assert run.statuses["w1"].data["reason"] == "limit of 12 tokens reached: 12 used"
    assert len(run.asked) == 1

    run = runner(limits={"cost": 1.0})
    run.price = lambda prompt, completion: 0.5 * (prompt + completion)
    run.start(Checkpoint(ShardState(), 0, 0))
    run.publish(toy.opened(1))
    until(run, "triage")
    run.publish(answer(run.dispatches[0], "ticket.sorted", {"kind": "bug"}, prompttokens=2, completiontokens=1))
    run._inbox = 1
    run.settle()
    told = run.statuses["w1"].data
    assert (told["code"], told["tokens"], told["cost"]) == ("cost-limit", 15, 1.5)


def test_the_tokens_of_an_hour_are_shared_and_not_exceeded() -> None:
    run = runner(limits={"tokens_per_hour": 40_000})
    for number in range(40):
        run.publish(toy.opened(number))
    run.settle()
    told = [event.data for event in run.statuses.values()]
    stopped = [item for item in told if item["status"] == "stopped"]
    assert {item["code"] for item in stopped} == {"hour-limit"}
    assert 0 < len(stopped) < 40
    assert sum(item["tokens"] for item in told) <= 40_000
    run.now += 3_600_000
    run.publish(toy.opened(99))
    run.settle()
    assert run.status("w99") == "completed"


def test_a_workflow_ends_at_its_wall_clock_deadline() -> None:
    run = runner(handlers=handlers(fixing=None), limits={"deadline": 60})
    run.publish(toy.opened(1))
    run.settle()
    told = run.statuses["w1"].data
    assert (told["status"], told["code"], told["reason"]) == ("stopped", "deadline", "deadline of 60 s reached")
    assert run.now < 70 * SECOND


def test_more_workflows_than_may_be_open_wait_and_none_is_lost() -> None:
    run = runner(limits={"open_workflows": 2})
    for number in range(6):
        run.publish(toy.opened(number))
    most = 0
    while run.choices():
        run.step(run.choices()[-1])
        most = max(most, len(run.shard.context.state.workflows))
        if run.events and not run.dispatches:
            assert {run.status(name) for name in run.statuses} <= {"running", "queued"}
    run.settle()
    assert most == 2
    assert [run.status(f"w{number}") for number in range(6)] == ["completed"] * 6
    assert not run.shard.context.state.queues


def test_an_agent_has_no_more_dispatches_than_it_may_have_at_once() -> None:
    run = runner(agents=with_agent("fixing", open_dispatches=1))
    for number in range(5):
        run.publish(toy.opened(number))
    done, most = 0, 0

    def fixing(event: Event) -> Sequence[tuple[str, object]]:
        nonlocal done
        done += 1
        return [("ticket.done", {"note": "x"})]

    run.handlers["fixing"] = fixing
    while run.choices():
        run.step(run.choices()[0])
        most = max(most, sum(item.agent == "fixing" for item in run.dispatches) - done)
    run.settle()
    assert (most, done) == (1, 5)
    assert {run.status(f"w{number}") for number in range(5)} == {"completed"}
    assert run.shard.context.usage.dispatches.get("fixing", 0) == 0
    assert run.shard.context.usage.workflows == 0


@pytest.mark.parametrize("limit", [1, 7, 16, 1000])
def test_shares_add_up_to_the_limit(limit: int) -> None:
    assert sum(Quota(index, 16).part(limit) for index in range(16)) == limit


def test_a_limit_that_leaves_a_shard_nothing_is_refused() -> None:
    registry = toy.registry(limits={"open_workflows": 15})
    check_shares(registry, 15)
    with pytest.raises(SettingsError, match="open_workflows is 15, but a limit is shared out between 16 shards"):
        check_shares(registry, 16)


# What an operator asks for


def test_a_workflow_is_cancelled_and_its_late_answer_recorded() -> None:
    run = runner()
    run.publish(toy.opened(1))
    until(run, "fixing")
    run.request(asked_for("cancel", "w1", reason="a mistake"))
    while "control" in run.choices() or "ledger" in run.choices():
        run.step("control" if "control" in run.choices() else "ledger")
    told = run.statuses["w1"].data
    assert (told["status"], told["reason"]) == ("cancelled", "cancelled by ada: a mistake")
    run.settle()
    assert [record.action for record in run.decisions()][-1] == "late"
    assert run.dead_letters == []
    assert [str(record.subject) for record in run.decisions() if record.action == "cancel"] == ["workflow/cancel"]


@pytest.mark.parametrize("workflow", ["nothing", "w1"])
def test_what_is_not_running_cannot_be_cancelled(workflow: str) -> None:
    run = runner()
    run.publish(toy.opened(1))
    run.settle()
    run.request(asked_for("cancel", workflow))
    run.settle()
    reason = {"nothing": "unknown-workflow", "w1": "workflow-ended"}[workflow]
    assert [letter.reason for letter in run.dead_letters] == [reason]
    assert run.status("w1") == "completed"


def test_a_paused_app_holds_everything_and_goes_on_where_it_stopped() -> None:
    run = runner()
    run.publish(toy.opened(1))
    until(run, "fixing")
    run.request(asked_for("pause"))
    run.step("control")
    run.publish(toy.opened(2))
    run.settle()
    sent, asked = len(run.dispatches), len(run.asked)
    assert run.shard.next_due() is None
    assert run.status("w1") == "running"
    assert "w2" not in run.statuses
    run.start(run.checkpoint())
    run.settle()
    assert (len(run.dispatches), len(run.asked)) == (sent, asked)
    run.request(asked_for("resume"))
    run.settle()
    assert (run.status("w1"), run.status("w2")) == ("completed", "completed")
    assert not run.shard.context.state.queues


# Approval


def approving(**keys: Any) -> InMemory:
    return runner(2, agents=with_agent("fixing", approval="required", **keys))


def test_a_dispatch_waits_for_approval_survives_a_restart_and_is_sent_once_approved() -> None:
    run = approving()
    run.publish(toy.opened(1))
    for _ in range(30):
        run.step(run.choices()[0] if run.choices() else "tick")
    (waiting,) = run.statuses["w1"].data["approvals"]
    assert (waiting["agent"], waiting["type"], waiting["until"]) == ("fixing", "ticket.sorted", None)
    assert [item.agent for item in run.dispatches] == ["triage"]
    run.start(run.checkpoint())
    run.request(asked_for("approve", "w1", waiting, "looks good"))
    run.settle()
    assert run.status("w1") == "completed"
    assert [item.agent for item in run.dispatches] == ["triage", "fixing"]
    assert run.dispatches[1].dispatch_id == waiting["id"]
    granted = next(record for record in run.decisions() if str(record.subject) == f"approval/{waiting['id']}")
    assert (granted.decided_by, granted.reason) == ("operator", "approved by ada: looks good")
    assert run.statuses["w1"].data["approvals"] == []


def test_a_rejected_dispatch_stops_the_workflow_and_nothing_is_sent() -> None:
    run = approving()
    run.publish(toy.opened(1))
    for _ in range(30):
        run.step(run.choices()[0] if run.choices() else "tick")
    (waiting,) = run.statuses["w1"].data["approvals"]
    run.request(asked_for("reject", "w1", waiting, "too dear"))
    run.request(asked_for("approve", "w1", waiting))
    run.settle()
    told = run.statuses["w1"].data
    assert (told["status"], told["code"]) == ("stopped", "rejected")
    assert told["reason"] == "fixing was not approved by ada: too dear"
    assert [item.agent for item in run.dispatches] == ["triage"]
    assert [letter.reason for letter in run.dead_letters] == ["unknown-approval"]


def test_an_approval_can_time_out() -> None:
    run = approving(approval_timeout=60)
    run.publish(toy.opened(1))
    run.settle()
    told = run.statuses["w1"].data
    assert (told["status"], told["code"]) == ("stopped", "approval-timeout")
    assert [item.agent for item in run.dispatches] == ["triage"]


def test_a_second_attempt_needs_no_second_approval() -> None:
    run = approving()
    run.handlers["fixing"] = failing("fixing", 1)
    run.publish(toy.opened(1))
    for _ in range(30):
        run.step(run.choices()[0] if run.choices() else "tick")
    run.request(asked_for("approve", "w1", run.statuses["w1"].data["approvals"][0]))
    run.settle()
    assert run.status("w1") == "completed"
    assert [item.agent for item in run.dispatches] == ["triage", "fixing", "fixing"]


# Strict order


def ordered(**changes: Any) -> InMemory:
    return runner(sequence=["triage", "fixing"], **changes)


def test_a_sequence_needs_no_model() -> None:
    run = ordered()
    run.publish(toy.opened(1))
    run.settle()
    assert run.status("w1") == "completed"
    assert [(d.agents, d.decided_by) for d in run.decisions()] == [
        (("triage",), "sequence"),
        (("fixing",), "sequence"),
        ((), "rule"),
    ]
    assert run.asked == []


def test_an_event_out_of_order_is_refused_with_its_reason() -> None:
    run = ordered()
    run.publish(toy.opened(1))
    until(run, "triage")
    run.publish(Event.new(id="x", source="s", type="ticket.opened", workflow_id="w1", data={"text": "again"}))
    run.settle()
    (letter,) = run.dead_letters
    assert (letter.reason, letter.message) == (
        "out-of-order",
        "out of order: it is for triage, but step 2 of the sequence is fixing",
    )
    assert run.status("w1") == "completed"


def test_a_rule_cannot_break_the_order() -> None:
    run = ordered()
    run.rule = lambda event: ["fixing"] if event.type == "ticket.sorted" and not run.dispatches else None
    sorted_first = Event.new(id="x", source="s", type="ticket.sorted", workflow_id="w1", data={"kind": "bug"})
    run.request(toy.sent_again(sorted_first))
    run.settle()
    assert [letter.reason for letter in run.dead_letters] == ["out-of-order"]
    assert run.dispatches == []


def test_a_step_that_fails_ends_in_dead_letters_and_can_be_sent_again() -> None:
    run = ordered(handlers=handlers(fixing=failing("fixing", 1)))
    run.publish(toy.opened(1))
    run.settle()
    assert run.status("w1") == "failed"
    assert run.asked == []
    (letter,) = run.dead_letters
    event = Event.parse(letter.raw)
    for _ in range(2):
        run.request(toy.sent_again(event))
    run.settle()
    told = run.statuses["w1"].data
    assert (told["status"], told["duplicates"]) == ("completed", 1)
    assert [item.agent for item in run.dispatches] == ["triage", "fixing", "fixing"]
    assert run.dispatches[1].event.attributes["effectkey"] == run.dispatches[2].event.attributes["effectkey"]


@pytest.mark.parametrize(
    ("sequence", "problem"),
    [
        (["triage", "nobody"], "sequence names 'nobody', which is no agent"),
        (["triage", "triage"], "sequence names 'triage' twice"),
        (["answering", "triage"], "in the sequence 'triage' follows 'answering', but accepts nothing that it emits"),
    ],
)
def test_a_sequence_that_cannot_work_is_found_by_lint(sequence: list[str], problem: str) -> None:
    assert problem in [item.message for item in problems_of(toy.registry(sequence=sequence).file, toy.CONTRACTS)]


# Dead letters as work


def test_an_edited_retry_of_an_event_that_never_met_its_contract_begins_its_workflow() -> None:
    run = runner()
    broken = Event.new(id="ticket-1", source="tests", type="ticket.opened", workflow_id="w1", data={"text": 7})
    run.publish(broken)
    run.settle()
    again = broken.again("agent-messages/0/0", {"text": "seven"})
    assert (again.retry, again.key != broken.key) == (1, True)
    run.request(toy.sent_again(broken, {"text": "seven"}))
    run.settle()
    assert run.status("w1") == "completed"
    assert run.dispatches[0].event.effect_key("triage") != broken.effect_key("triage")


def test_decisions_that_are_refused_again_and_again_end_in_dead_letters() -> None:
    run = runner()
    run.model = lambda event, question: ModelDecision(("answering",), "not asked for", 1.0, "m")
    run.publish(toy.opened(1))
    run.settle()
    assert [letter.reason for letter in run.dead_letters] == ["no-usable-decision"]
    assert run.status("w1") == "failed"
    assert len(run.asked) == 6


def test_a_ledger_record_of_an_agent_that_is_gone_is_settled_anew() -> None:
    run = runner()
    run.publish(toy.opened(1))
    until(run, "triage")
    run.step("agent")
    run.step("event")
    run.step("model")
    run.registry = toy.registry(agents=[a for a in with_agent("x") if a["name"] != "fixing"])
    run.model = lambda e, q: ModelDecision(("answering",), "what is left", 0.5, "m")
    run.start(run.checkpoint())
    run.settle()
    assert run.status("w1") == "completed"
    assert [item.agent for item in run.dispatches] == ["triage", "answering"]
