"""Bursts, queues and what grows: a healthy agent fails nothing because much waits for it."""

from __future__ import annotations

import heapq
from collections import Counter

import pytest

from switchyard.core.event import Event
from switchyard.core.ids import answer_id
from switchyard.core.orchestrator.messages import Dispatch
from switchyard.testing.memory import InMemory
from tests.core import toy
from tests.core.test_supervision import SECOND, answer, choose, handlers, runner, until, with_agent

PLACES = 8


def effect(dispatch: Dispatch) -> str:
    return str(dispatch.event.attributes["effectkey"])


def of_worker(dispatch: Dispatch, kind: str, data: object) -> Event:
    """As a worker answers: its id is of the effect, whatever the attempt."""
    return answer(dispatch, kind, data, id=answer_id(effect(dispatch), 0))


def settle_beside(run: InMemory, handler_s: float) -> int:
    """Let one worker with `PLACES` places work through the inbox in its order; how many handlers ran."""
    position, ran = 0, 0
    busy: list[tuple[int, int, Dispatch]] = []
    while True:
        while run.choices() not in ([], ["agent"]):
            run.step(run.choices()[0])
            run.now -= 1
        while position < len(run.dispatches) and len(busy) < PLACES:
            ran += 1
            heapq.heappush(busy, (run.now + int(handler_s * SECOND), position, run.dispatches[position]))
            position += 1
        due = run.shard.next_due()
        ends = busy[0][0] if busy else None
        if not run.shard.context.state.workflows or (ends is None and due is None):
            return ran
        run.now = max(run.now, min(time for time in (ends, due) if time is not None))
        while busy and busy[0][0] <= run.now:
            run.publish(of_worker(heapq.heappop(busy)[2], "ticket.sorted", {"kind": "bug"}))
        if due is not None and due <= run.now:
            run.step("tick")


def test_a_burst_waits_in_the_inbox_and_nothing_fails() -> None:
    """1,000 at once, ten seconds a handler, eight places: the last waits for twenty minutes."""
    run = InMemory(toy.registry(None, ends=["ticket.done", "ticket.sorted"]), choose, {})
    run.rule = lambda event: ("triage",) if event.type == "ticket.opened" else None
    run._inbox = 10**9
    for number in range(1_000):
        run.publish(toy.opened(number))
    assert settle_beside(run, 10.0) == 1_000
    assert Counter(run.status(name) for name in run.statuses) == {"completed": 1_000}
    assert run.dead_letters == []


def test_an_agent_that_answers_nobody_is_overdue_at_its_deadline() -> None:
    run = runner(1, handlers=handlers(triage=None), agents=with_agent("triage", deadline=30))
    run.publish(toy.opened(1))
    begun = run.now
    run.settle()
    assert run.status("w1") == "failed"
    assert run.now - begun < 40 * SECOND


@pytest.mark.parametrize("late_first", [True, False])
def test_an_answer_to_any_attempt_settles_the_open_one(late_first: bool) -> None:
    run = runner(2, handlers=handlers(fixing=None), agents=with_agent("fixing", deadline=30, attempts=2))
    run.publish(toy.opened(1))
    until(run, "fixing")
    while len(run.dispatches) < 3:
        run.now = max(run.now, run.shard.next_due() or 0)
        run.step(run.choices()[0] if run.choices() else "tick")
    attempts = run.dispatches[1:]
    assert effect(attempts[0]) == effect(attempts[1])
    for item in attempts if late_first else reversed(attempts):
        run.publish(of_worker(item, "ticket.done", {"note": "once"}))
    run.settle()
    told = run.statuses["w1"].data
    assert (told["status"], run.dead_letters) == ("completed", [])
    assert [record.action for record in run.decisions()].count("complete") == 1


def test_a_workflow_has_a_size_limit() -> None:
    run = runner(limits={"workflow_bytes": 64 * 1024})
    run.rule = lambda event: ("triage",) if event.id == "ticket-0" else ()
    run._handle = lambda item: None  # type: ignore[method-assign]
    run.publish(toy.opened(0, "w1"))
    for number in range(1, 900):
        run.publish(toy.opened(number, "w1"))
    run.settle(100_000)
    told = run.statuses["w1"].data
    assert (told["status"], told["code"]) == ("stopped", "size-limit")
    assert told["steps"] < 800
    assert not run.shard.context.state.workflows


def test_what_the_timers_forget_is_forgotten() -> None:
    """One workflow stays open, which once kept an entry of every one that had ended."""
    run = runner(handlers=handlers(triage=None), agents=with_agent("triage", deadline=50_000))
    run.publish(toy.opened(0))
    while run.choices():
        run.step(run.choices()[0])
    run.handlers = handlers()
    for number in range(1, 300):
        run.publish(toy.opened(number))
        while run.choices():
            run.step(run.choices()[0])
    timers = run.shard.context.timers
    assert len(timers._heap) < 200
