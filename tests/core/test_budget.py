"""What models cost is charged: to the workflow, to the hour in which it was spent, and never twice."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from switchyard.core.control import Control
from switchyard.core.errors import SettingsError
from switchyard.core.event import Event
from switchyard.core.orchestrator.limits import HOUR_MS, Quota, ShardUsage, check_shares
from switchyard.core.orchestrator.messages import ModelAnswered
from switchyard.core.routing.question import LARGEST_ASK, Question
from switchyard.core.routing.verdict import ModelDecision, ModelUnavailable
from switchyard.core.times import rfc3339
from switchyard.testing.memory import Checkpoint, InMemory, ShardState
from tests.core import toy

DAY_MS = 24 * HOUR_MS
NOW = 500_000 * HOUR_MS
TIMED_OUT = ModelUnavailable("deadline", "no answer in time", "m", 2, 4_000, 1_000, retry=True, bounded=True)
LIMITED = ModelUnavailable("rate-limited", "too many", "m", 1, retry=True)


def choose(event: Event, question: Question) -> ModelDecision:
    agent = {"ticket.opened": "triage", "ticket.sorted": "fixing"}.get(event.type, "complete")
    return ModelDecision((agent,), "chosen", 0.9, "m", prompt_tokens=10, completion_tokens=2)


HANDLERS = {
    "triage": lambda event: [("ticket.sorted", {"kind": "bug"})],
    "fixing": lambda event: [("ticket.done", {"note": "mended"})],
}


def runner(*outcomes: ModelUnavailable, **changes: object) -> InMemory:
    """The model fails so, once for each of `outcomes`, and answers from then on."""
    left: Iterator[ModelUnavailable] = iter(outcomes)
    run = InMemory(
        toy.registry(1, **changes), lambda event, question: next(left, None) or choose(event, question), HANDLERS
    )
    run.now = NOW
    run.publish(toy.opened(1))
    return run


def used(run: InMemory) -> int:
    return run.shard.context.usage.spent(run.now)[0]


# Asks in vain


def test_what_asks_in_vain_have_used_is_in_the_record_and_charged_once() -> None:
    run = runner(TIMED_OUT, TIMED_OUT)
    run.settle()
    first = run.decisions()[0]
    assert (first.decided_by, first.model_calls, first.prompt_tokens, first.completion_tokens) == (
        *("model", 5, 8_010),
        2_002,
    )
    told = run.statuses["w1"].data
    assert (told["status"], told["tokens"]) == ("completed", 10_000 + 2 * 12)
    assert used(run) == told["tokens"]


def test_asks_in_vain_end_at_the_token_limit_of_the_workflow() -> None:
    run = runner(*[TIMED_OUT] * 99, limits={"tokens": 20_000})
    run.settle()
    told = run.statuses["w1"].data
    assert (told["code"], told["tokens"], len(run.asked)) == ("token-limit", 20_000, 4)


def test_asks_in_vain_end_at_the_limit_of_the_hour() -> None:
    run = runner(*[TIMED_OUT] * 99, limits={"tokens_per_hour": 30_000})
    run.settle()
    assert run.statuses["w1"].data["code"] == "hour-limit"
    assert used(run) <= 30_000


def test_a_request_that_fails_at_each_ask_is_given_up() -> None:
    run = runner(*[TIMED_OUT] * 99, fallback="triage")
    run.settle()
    assert run.decisions()[0].decided_by == "fallback"
    assert "deadline: no answer in time" in run.decisions()[0].reason
    assert run.decisions()[0].model_calls == 20
    assert run.now - NOW < HOUR_MS


def test_while_the_endpoint_is_down_a_decision_waits_and_asks_are_paced() -> None:
    run = runner(*[LIMITED] * 99_999)
    run.settle(100_000)
    assert run.statuses["w1"].data["code"] == "deadline"
    assert len(run.asked) < DAY_MS / 60_000 + 10
    run = runner(*[LIMITED] * 500)
    run.settle()
    assert run.status("w1") == "completed"


@pytest.mark.parametrize(("wanted_s", "waits_s"), [(0.0, 2), (1.0, 2), (90.0, 90), (86_400.0, 300)])
def test_the_next_ask_comes_when_the_endpoint_wants_it_within_a_bound(wanted_s: float, waits_s: int) -> None:
    run = runner(ModelUnavailable("rate-limited", "too many", "m", 1, retry=True, retry_after_s=wanted_s))
    while not run.asked:
        run.step(run.choices()[0])
    assert run.shard.next_due() == run.now + waits_s * 1000
    run.settle()
    assert run.status("w1") == "completed"


def test_an_answer_that_nobody_waits_for_any_more_is_charged() -> None:
    run = runner()
    while "model" not in run.choices():
        run.step(run.choices()[0])
    (ask,) = run._asks
    run.request(Control.new("cancel", "tests", "", "ada", workflow_id="w1"))
    run.settle()
    assert (run.status("w1"), used(run)) == ("cancelled", 0)
    answer = ModelDecision(("triage",), "late", 1.0, "m", prompt_tokens=10, completion_tokens=2)
    run.shard.advance(ModelAnswered(ask.workflow_id, ask.subject, ask.attempt, answer), run.now)
    assert used(run) == 12


def test_an_answer_of_an_agent_that_comes_too_late_is_charged() -> None:
    run = runner()
    while not run.dispatches:
        run.step(run.choices()[0])
    before = used(run)
    run.handlers = {}
    run.request(Control.new("cancel", "tests", "", "ada", workflow_id="w1"))
    run.settle()
    run.publish(answer(run, run.now))
    run.settle()
    assert run.statuses["w1"].data["status"] == "cancelled"
    assert used(run) == before + 1_000


# The hour


def answer(run: InMemory, at: int) -> Event:
    """What the agent of the first dispatch answers, after it has used 1,000 tokens."""
    return Event.new(
        id=f"answer-{at}",
        source="switchyard/test/triage",
        type="ticket.sorted",
        workflow_id="w1",
        data={"kind": "bug"},
        causationid=run.dispatches[0].dispatch_id,
        prompttokens=800,
        completiontokens=200,
        time=rfc3339(at / 1000),
    )


def test_tokens_are_charged_to_the_hour_in_which_they_were_spent() -> None:
    usage = ShardUsage({})
    usage.spend(NOW - 1, NOW, 10, 1.0)
    assert usage.spent(NOW) == (0, 0.0)
    usage.spend(NOW, NOW + 5, 10, 1.0)
    assert usage.spent(NOW + 5) == (10, 1.0)
    assert usage.spent(NOW + HOUR_MS) == (0, 0.0)


def test_a_clock_that_is_ahead_takes_nothing_out_of_the_count() -> None:
    usage = ShardUsage({})
    usage.spend(NOW + 70 * 60_000, NOW, 10, 1.0)
    usage.spend(NOW, NOW + 1, 5, 1.0)
    assert usage.spent(NOW + 1) == (15, 2.0)
    ahead = NOW + HOUR_MS
    usage.spend(ahead, ahead, 20, 1.0)
    assert usage.spent(NOW + 2) == (20, 1.0), "the clock was wrong; what it counted was spent"
    usage.spend(NOW + 2, NOW + 2, 1, 0.0)
    assert usage.spent(NOW + 2) == (21, 1.0)
    assert usage.spent(ahead) == (0, 0.0)


def test_after_a_restart_without_state_history_is_not_charged_to_this_hour() -> None:
    run = runner()
    run.handlers = {**HANDLERS, "triage": lambda event: []}
    while not run.dispatches:
        run.step(run.choices()[0])
    run.publish(answer(run, run.now))
    run.settle()
    assert used(run) == 1_024
    run.now += HOUR_MS
    run.start(Checkpoint(ShardState(), 0, 0))
    run.settle()
    assert run.status("w1") == "completed"
    assert used(run) == 0


def test_an_hour_in_which_one_question_may_find_no_room_is_refused() -> None:
    check_shares(toy.registry(limits={"tokens_per_hour": 16 * LARGEST_ASK}), 16)
    with pytest.raises(SettingsError, match=f"tokens_per_hour is {16 * LARGEST_ASK - 1}"):
        check_shares(toy.registry(limits={"tokens_per_hour": 16 * LARGEST_ASK - 1}), 16)
    run = runner()
    run.quota = Quota(0, 1)
    run.publish(toy.opened(2))
    run.settle()
    assert max(question.most_tokens for question in run.asked) <= LARGEST_ASK
