from __future__ import annotations

import asyncio
import contextlib
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Engine
from sqlalchemy.exc import OperationalError

from switchyard.core import strictjson
from switchyard.core.errors import AgentError, Rejected
from switchyard.core.event import Event
from switchyard.core.ids import answer_id
from switchyard.core.model import ModelFailure, Reply, Usage
from switchyard.worker.effects import EFFECTS
from switchyard.worker.task import Answer, Task
from switchyard.worker.thinking import PROMPT_BYTES
from tests.agents.support import SCORED, SDR, inbox_event, leads

LEAD = next(leads())
PROFILED = {
    **{name: LEAD[name] for name in LEAD if name != "created_at"},
    "research": {"source": "s", "industry": "", "employees": None, "facts": []},
    "summary": "S",
}
SCORED_LEAD = {**{k: v for k, v in PROFILED.items() if k != "research"}, **SCORED}
MESSAGE = inbox_event("lead-scoring", "lead.profiled", PROFILED)


def raw(event: Any = MESSAGE) -> bytes:
    return event.json().encode()


def test_an_answer_says_what_it_answers(processor: Any) -> None:
    [event] = processor("lead-scoring", lambda task: SCORED_LEAD).handle(raw())
    assert event.type == "lead.scored"
    assert event.data == SCORED_LEAD
    assert event.id == answer_id(MESSAGE.effect_key("lead-scoring"), 0)
    assert event.source == "switchyard/test/lead-scoring"
    assert event.workflow_id == "w1"
    assert event.causation_id == MESSAGE.attributes["dispatchid"]
    assert (event.hops, event.answer_index, event.answer_count) == (3, 0, 1)
    assert event.from_object(event.object()) == event


def test_a_list_is_several_answers_in_order(processor: Any) -> None:
    answers = [Answer("lead.scored", {**SCORED_LEAD, "score": score}) for score in (1, 2, 3)]
    events = processor("lead-scoring", lambda task: answers).handle(raw())
    assert [(e.answer_index, e.answer_count, e.data["score"]) for e in events] == [(0, 3, 1), (1, 3, 2), (2, 3, 3)]
    assert len({e.id for e in events}) == 3


def test_a_second_delivery_publishes_the_stored_answer_and_does_not_run_the_handler(processor: Any) -> None:
    runs: list[Task] = []

    def handler(task: Task) -> dict[str, Any]:
        runs.append(task)
        return {**SCORED_LEAD, "score": len(runs)}

    first = processor("lead-scoring", handler).handle(raw())
    again = processor("lead-scoring", handler).handle(raw())
    later = processor("lead-scoring", handler).handle(
        raw(inbox_event("lead-scoring", "lead.profiled", PROFILED, attempt=1))
    )
    assert [e.json() for e in again] == [e.json() for e in first]
    assert [e.id for e in later] == [e.id for e in first]
    assert later[0].causation_id != first[0].causation_id
    assert len(runs) == 1


def test_two_deliveries_at_once_run_the_handler_once(processor: Any) -> None:
    runs: list[int] = []
    entered = threading.Event()
    go_on = threading.Event()

    def handler(task: Task) -> dict[str, Any]:
        runs.append(1)
        entered.set()
        go_on.wait(30)
        return SCORED_LEAD

    scoring = processor("lead-scoring", handler)
    with ThreadPoolExecutor(4) as pool:
        futures = [pool.submit(scoring.handle, raw()) for _ in range(4)]
        assert entered.wait(30)
        go_on.set()
        assert len({future.result()[0].json() for future in futures}) == 1
    assert len(runs) == 1


class Panic(BaseException):
    """As a Rust extension raises one."""


def raising(error: BaseException) -> Any:
    def handler(task: Task) -> Any:
        raise error

    return handler


@pytest.mark.parametrize(
    ("handler", "reason", "said"),
    [
        (raising(RuntimeError("secret text")), "handler-error", "RuntimeError"),
        (raising(SystemExit("secret text")), "handler-error", "SystemExit"),
        (raising(KeyboardInterrupt("secret text")), "handler-error", "KeyboardInterrupt"),
        (raising(GeneratorExit("secret text")), "handler-error", "GeneratorExit"),
        (raising(asyncio.CancelledError("secret text")), "handler-error", "CancelledError"),
        (raising(Panic("secret text")), "handler-error", "Panic"),
        (raising(OperationalError("secret text", None, Exception("secret text"))), "handler-error", "Operational"),
        (raising(AgentError("No prices.", reason="no-prices")), "no-prices", "No prices."),
        (raising(ModelFailure("deadline", "The model did not answer.")), "model-unavailable", "did not answer"),
        (raising(ModelFailure("unusable-answer", "Unusable.")), "model-unusable-answer", "Unusable"),
        (lambda task: None, "no-answer", "no answer"),
        (lambda task: [], "no-answer", "no answer"),
        (lambda task: {**SCORED_LEAD, "score": "high"}, "contract-violation", "score"),
        (lambda task: {**SCORED_LEAD, "more": 1}, "contract-violation", "more"),
        (lambda task: {**SCORED_LEAD, "name": object()}, "contract-violation", "not JSON"),
        (lambda task: Answer("lead.created", LEAD), "contract-violation", "does not emit"),
        (lambda task: "yes", "contract-violation", "str"),
        (lambda task: {**SCORED_LEAD, "summary": "x" * 300_000}, "too-large", "larger"),
    ],
)
def test_a_failure_becomes_an_event(processor: Any, handler: Any, reason: str, said: str) -> None:
    [event] = processor("lead-scoring", handler).handle(raw())
    assert event.type == "agent.failed"
    assert (event.data["agent"], event.data["reason"]) == ("lead-scoring", reason)
    assert said in event.data["message"]
    assert "secret" not in event.json()
    assert event.causation_id == MESSAGE.attributes["dispatchid"]


def test_an_error_of_the_agents_own_says_whether_a_further_attempt_helps(processor: Any) -> None:
    [event] = processor("lead-scoring", raising(AgentError("No.", retryable=False))).handle(raw())
    assert event.data == {"agent": "lead-scoring", "reason": "handler-error", "message": "No.", "retryable": False}
    SDR.registry.check(event)
    again = inbox_event("lead-scoring", "lead.profiled", PROFILED, id="e2")
    [event] = processor("lead-scoring", raising(AgentError("x" * 501))).handle(raw(again))
    assert (len(event.data["message"]), "retryable" in event.data) == (500, False)
    SDR.registry.check(event)


def test_the_model_is_shown_facts_of_a_bounded_size(processor: Any, model: Any) -> None:
    long = inbox_event("lead-scoring", "lead.profiled", {**PROFILED, "message": "x" * 240_000})
    [event] = processor("lead-scoring").handle(raw(long))
    assert event.type == "lead.scored"
    content = model.asked[0]["messages"][1]["content"]
    assert len(content) <= PROMPT_BYTES
    assert "(cut: 240000 bytes)" in content


def test_a_request_that_the_model_rejects_is_not_made_again(processor: Any) -> None:
    [event] = processor("lead-scoring", raising(ModelFailure("rejected", "It is too long."))).handle(raw())
    assert (event.data["reason"], event.data["retryable"]) == ("model-unavailable", False)


@pytest.mark.parametrize("reason", ["", "No prices", "a_b", "x" * 65])
def test_a_reason_is_a_code(reason: str) -> None:
    with pytest.raises(ValueError, match="lower-case words joined by dashes"):
        AgentError("m", reason=reason)


def test_a_task_says_when_its_time_is_over(processor: Any) -> None:
    tasks: list[Task] = []

    def handler(task: Task) -> dict[str, Any]:
        tasks.append(task)
        return SCORED_LEAD

    before = datetime.now(UTC)
    scoring = processor("lead-scoring", handler)
    scoring.handle(raw())
    assert before <= tasks[0].deadline - timedelta(seconds=scoring.agent.deadline) <= datetime.now(UTC)


def test_an_agent_may_have_all_the_time_there_is(processor: Any) -> None:
    scoring = processor("lead-scoring", lambda task: SCORED_LEAD)
    scoring.agent = scoring.agent.model_copy(update={"deadline": float("inf")})
    assert scoring.handle(raw())[0].type == "lead.scored"


def test_a_task_holds_no_settings(processor: Any) -> None:
    tasks: list[Task] = []
    processor("lead-scoring", lambda task: tasks.append(task) or SCORED_LEAD).handle(raw())
    public = {name for name in dir(tasks[0]) if not name.startswith("_")}
    assert public == {
        *("event", "data", "agent", "namespace", "effect_key", "deadline", "memory", "database"),
        *("think", "think_async", "language_model"),
    }
    assert tasks[0].agent == "lead-scoring"


def test_a_failure_stays_for_its_dispatch_and_the_next_attempt_runs_again(processor: Any) -> None:
    failing = processor("lead-scoring", raising(RuntimeError()))
    working = processor("lead-scoring", lambda task: SCORED_LEAD)
    [failed] = failing.handle(raw())
    assert working.handle(raw())[0].json() == failed.json()
    [answer] = working.handle(raw(inbox_event("lead-scoring", "lead.profiled", PROFILED, attempt=1)))
    assert answer.type == "lead.scored"
    assert answer.id != failed.id


def test_input_that_breaks_its_contract_reaches_no_handler(processor: Any) -> None:
    scoring = processor("lead-scoring", raising(AssertionError()))
    [event] = scoring.handle(raw(inbox_event("lead-scoring", "lead.profiled", {**PROFILED, "email": 1})))
    assert event.data["reason"] == "input-violation"
    [event] = scoring.handle(raw(inbox_event("lead-scoring", "lead.created", LEAD, id="e2")))
    assert event.data["reason"] == "not-accepted"


@pytest.mark.parametrize(
    ("message", "reason", "field"),
    [
        (b"", "not-json", ""),
        (b"\xff\x00", "not-json", ""),
        (b"[]", "not-a-cloudevent", ""),
        (raw(inbox_event("a", "lead.profiled", {}).with_attributes(effectkey="")), "not-a-cloudevent", "effectkey"),
        (raw(inbox_event("a", "lead.profiled", {}).with_attributes(dispatchid=7)), "not-a-cloudevent", "dispatchid"),
    ],
)
def test_what_is_no_dispatch_is_rejected(processor: Any, message: bytes, reason: str, field: str) -> None:
    with pytest.raises(Rejected) as caught:
        processor("lead-scoring").handle(message)
    assert (caught.value.reason, caught.value.field) == (reason, field)


class Spending:
    """A model that takes ten tokens for each question and, where it fails, three for nothing."""

    def __init__(self, *outcomes: bool) -> None:
        self.outcomes = list(outcomes)

    def ask(self, *asked: Any, **how: Any) -> Reply:
        if self.outcomes.pop(0):
            return Reply({}, Usage(10, 2), 0.0, 1, "m")
        raise ModelFailure("unusable-answer", "Unusable.", usage=Usage(3, 1))


def asking(then: Any) -> Any:
    """A handler that asks twice, whatever comes of the first question."""

    def handler(task: Task) -> Any:
        with contextlib.suppress(ModelFailure):
            task.think("", {})
        task.think("", {})
        return then

    return handler


def spent(events: list[Event]) -> list[tuple[Any, Any]]:
    return [(event.attributes.get("prompttokens"), event.attributes.get("completiontokens")) for event in events]


def test_the_first_answer_tells_what_the_handler_spent_on_the_model(processor: Any) -> None:
    answers = [Answer("lead.scored", {**SCORED_LEAD, "score": score}) for score in (1, 2)]
    scoring = processor("lead-scoring", asking(answers))
    scoring.model = Spending(False, True)
    events = scoring.handle(raw())
    assert spent(events) == [(13, 3), (None, None)]
    assert [event.json() for event in scoring.handle(raw())] == [event.json() for event in events]
    assert all(Event.parse(event.json()) == event for event in events)

    scoring.model = Spending(True, True)
    assert spent(scoring.handle(raw(inbox_event("lead-scoring", "lead.profiled", PROFILED, id="e2")))) == [
        (20, 4),
        (None, None),
    ], "each run counts for itself"


def test_a_failure_tells_what_it_cost(processor: Any) -> None:
    scoring = processor("lead-scoring", asking(SCORED_LEAD))
    scoring.model = Spending(True, False)
    events = scoring.handle(raw())
    assert events[0].data["reason"] == "model-unusable-answer"
    assert spent(events) == [(13, 3)]
    assert scoring.handle(raw())[0].json() == events[0].json()


def test_effects_of_a_release_that_did_not_count(processor: Any, database: Engine) -> None:
    scoring = processor("lead-scoring", raising(AssertionError()))
    row = {"namespace": "test", "effect_key": MESSAGE.attributes["effectkey"], "agent": "lead-scoring"}
    answers = strictjson.dumps([{"type": "lead.scored", "data": SCORED_LEAD}])
    with database.begin() as connection:
        connection.execute(EFFECTS.insert().values(row | {"answers": answers, "created_at": "2026-01-31T12:00:00Z"}))
    events = scoring.handle(raw())
    assert [event.data for event in events] == [SCORED_LEAD]
    assert spent(events) == [(None, None)]


def test_workflows_with_events_of_one_id_share_neither_answers_nor_failures(processor: Any) -> None:
    asked: list[str] = []

    def handler(task: Any) -> Any:
        asked.append(task.event.workflow_id)
        if task.event.workflow_id == "w1":
            raise AgentError("not this one")
        return SCORED_LEAD

    working = processor("lead-scoring", handler)
    events = [MESSAGE, MESSAGE.with_attributes(workflowid="w2", effectkey="another")]
    answers = [working.handle(raw(event))[0] for event in events for _ in range(2)]
    assert [answer.type for answer in answers] == ["agent.failed", "agent.failed", "lead.scored", "lead.scored"]
    assert asked == ["w1", "w2"]
