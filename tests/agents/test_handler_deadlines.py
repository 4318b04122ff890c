"""A handler that does not end: its dispatch is answered at its deadline, others go on, no effect runs twice."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import Engine
from sqlalchemy.exc import OperationalError

from switchyard.core.event import Event
from switchyard.core.model import Reply, Usage
from switchyard.worker import handler_loop
from switchyard.worker import processor as module
from switchyard.worker.effects import EffectStore
from switchyard.worker.handler_run import HandlerRun
from switchyard.worker.task import Task
from tests.agents.support import inbox_event
from tests.agents.test_inbox import until
from tests.agents.test_processor import PROFILED, SCORED_LEAD, asking, raising, raw, spent

SHORT_S = 0.05


@pytest.fixture
def go_on() -> Iterator[threading.Event]:
    """What hanging handlers wait for; set after the test."""
    event = threading.Event()
    yield event
    event.set()


@pytest.fixture
def scoring(processor: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """An agent with little time."""
    monkeypatch.setattr(module, "GRACE_S", SHORT_S)
    made = processor("lead-scoring")
    made.agent = made.agent.model_copy(update={"deadline": SHORT_S})
    return made


def unhurried(processor: Any) -> Any:
    """The same agent with time enough for what does not hang, however slow the machine is."""
    processor.agent = processor.agent.model_copy(update={"deadline": 30.0})
    return processor


def message(id: str = "e1", attempt: int = 0) -> bytes:
    return raw(inbox_event("lead-scoring", "lead.profiled", PROFILED, id=id, attempt=attempt))


def reason(events: list[Event]) -> Any:
    [event] = events
    return event.data["reason"] if event.type == "agent.failed" else event.type


def test_a_hanging_handler_fails_its_dispatch_and_runs_once_for_all_attempts(
    scoring: Any, go_on: threading.Event
) -> None:
    runs: list[str] = []

    def handler(task: Task) -> Any:
        runs.append(task.event.id)
        if task.event.id == "e1":
            go_on.wait()
        return SCORED_LEAD

    scoring.handler = handler
    assert [reason(scoring.handle(message(attempt=attempt))) for attempt in range(3)] == ["handler-timeout"] * 3
    assert reason(scoring.handle(message(attempt=1))) == "handler-timeout", "a repeated delivery changes nothing"
    assert scoring.hanging == 1
    assert reason(unhurried(scoring).handle(message(id="e2"))) == "lead.scored"
    go_on.set()
    until(lambda: scoring.hanging == 0)
    assert reason(scoring.handle(message(attempt=3))) == "lead.scored"
    assert runs == ["e1", "e2"]


def test_what_comes_late_is_kept_for_any_worker(scoring: Any, database: Engine, go_on: threading.Event) -> None:
    scoring.handler = lambda task: go_on.wait() and SCORED_LEAD
    assert reason(scoring.handle(message())) == "handler-timeout"
    go_on.set()
    effects = EffectStore(database, "test")
    until(lambda: effects.get(Event.parse(message()).attributes["effectkey"]) is not None)
    scoring.handler = raising(AssertionError())
    assert reason(scoring.handle(message(attempt=1))) == "lead.scored"


def test_a_late_failure_leaves_the_next_attempt_its_own_run(scoring: Any, go_on: threading.Event) -> None:
    scoring.handler = lambda task: go_on.wait() and None
    assert reason(scoring.handle(message())) == "handler-timeout"
    go_on.set()
    until(lambda: not scoring._runs)
    scoring.handler = lambda task: SCORED_LEAD
    assert reason(unhurried(scoring).handle(message(attempt=1))) == "lead.scored"


def test_tokens_are_told_once(scoring: Any, go_on: threading.Event, monkeypatch: pytest.MonkeyPatch) -> None:
    class Counting:
        def ask(self, *asked: Any, **how: Any) -> Reply:
            if spending:
                asked_again.set()
                go_on.wait()
            spending.append(1)
            return Reply({}, Usage(10, 2), 0.0, 1, "m")

    spending: list[int] = []
    asked_again = threading.Event()
    wait = HandlerRun.wait
    monkeypatch.setattr(HandlerRun, "wait", lambda run, seconds: asked_again.wait(30) and wait(run, seconds))
    scoring.model = Counting()
    scoring.handler = asking(SCORED_LEAD)
    assert spent(scoring.handle(message())) == [(10, 2)]
    go_on.set()
    until(lambda: not scoring._runs)
    assert spent(scoring.handle(message(attempt=1))) == [(10, 2)]


def test_an_async_handler_is_cancelled(scoring: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "GRACE_S", 30.0)
    ended: list[str] = []

    async def handler(task: Task) -> Any:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(task.event.id)

    scoring.handler = handler
    assert [reason(scoring.handle(message(attempt=attempt))) for attempt in range(2)] == ["handler-timeout"] * 2
    assert ended == ["e1", "e1"]
    assert scoring.hanging == 0


def test_a_thread_that_outlives_its_async_handler_counts(
    scoring: Any, go_on: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "GRACE_S", 30.0)

    async def handler(task: Task) -> Any:
        working = threading.Event()
        thread = asyncio.create_task(asyncio.to_thread(lambda: working.set() or go_on.wait()))
        await asyncio.sleep(0)
        working.wait()  # a thread that has not begun would be cancelled with the handler
        await thread
        return SCORED_LEAD

    scoring.handler = handler
    assert reason(scoring.handle(message())) == "handler-timeout"
    assert reason(scoring.handle(message(id="e2"))) == "handler-timeout"
    assert scoring.hanging == 2
    go_on.set()
    until(lambda: scoring.hanging == 0)


def test_an_async_handler_that_blocks_the_loop_holds_up_nobody_who_comes_later(
    scoring: Any, go_on: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(handler_loop, "PROBE_S", SHORT_S)

    async def handler(task: Task) -> Any:
        if task.event.id == "e1":
            go_on.wait()
        return SCORED_LEAD

    scoring.handler = handler
    assert reason(scoring.handle(message())) == "handler-timeout"
    assert reason(unhurried(scoring).handle(message(id="e2"))) == "lead.scored"
    assert scoring.hanging == 1
    go_on.set()
    until(lambda: scoring.hanging == 0)


def test_a_store_that_cannot_write_is_tried_alone(processor: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """And the handler does not run again, whether it answered or failed."""
    runs: list[str] = []

    def handler(task: Task) -> Any:
        runs.append(task.event.id)
        return SCORED_LEAD if task.event.id == "e1" else None

    def full(*args: Any, **how: Any) -> Any:
        raise OperationalError("INSERT", None, Exception("database or disk is full"))

    scoring = processor("lead-scoring", handler)
    for id in ("e1", "e2"):
        with monkeypatch.context() as patch:
            patch.setattr(scoring.effects, "put", full)
            for _ in range(3):
                with pytest.raises(OperationalError):
                    scoring.handle(message(id))
    assert [reason(scoring.handle(message(id))) for id in ("e1", "e2")] == ["lead.scored", "no-answer"]
    assert runs == ["e1", "e2"]
    assert not scoring._runs


def test_all_places_are_free_again_while_handlers_hang(scoring: Any, go_on: threading.Event) -> None:
    scoring.handler = lambda task: (task.event.id == "ok" or go_on.wait()) and SCORED_LEAD
    with ThreadPoolExecutor(8) as places:
        hung = list(places.map(lambda n: reason(scoring.handle(message(f"h{n % 3}", n // 3))), range(9)))
        assert reason(places.submit(unhurried(scoring).handle, message("ok")).result()) == "lead.scored"
    assert hung == ["handler-timeout"] * 9
    assert scoring.hanging == 3
