"""The timers of a shard: in order, kept in state, and no larger than what is due."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from switchyard.core.ledger.subject import Subject
from switchyard.core.orchestrator.timers import IN_FLIGHT, Timer, Timers

ASK = Timer.of("ask", "w1", Subject("event", "e"))


def test_what_is_due_comes_in_the_order_of_its_time_and_once() -> None:
    timers = Timers({})
    timers.set(Timer("send", "w1", "d1"), 30)
    timers.set(Timer("answer", "w2", "d2"), 10)
    timers.set(ASK, 20)
    assert timers.first() == 10
    assert [timer.kind for timer in timers.pop_due(25)] == ["answer", "ask"]
    assert list(timers.pop_due(25)) == []
    assert timers.first() == 30


def test_what_was_in_flight_is_due_at_once_after_a_start() -> None:
    stored: dict[str, str] = {}
    timers = Timers(stored)
    timers.set(ASK, IN_FLIGHT)
    assert list(timers.pop_due(IN_FLIGHT - 1)) == []
    assert [timer.subject for timer in Timers(stored).pop_due(0)] == [ASK.subject]


def test_an_ended_workflow_has_no_timers() -> None:
    stored: dict[str, str] = {}
    timers = Timers(stored)
    for kind in ("send", "answer"):
        timers.set(Timer(kind, "w1", "d1"), 5)  # type: ignore[arg-type]
    timers.set(Timer("deadline", "w2"), 5)
    timers.clear_workflow("w1")
    assert [timer.workflow_id for timer in timers.pop_due(9)] == ["w2"]
    assert stored == {}


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 100), st.booleans())))
def test_it_is_what_a_plain_list_would_be(steps: list[tuple[int, int, bool]]) -> None:
    stored: dict[str, str] = {}
    timers, plain = Timers(stored), {}
    for number, due, clear in steps:
        timer = Timer("send", "w", f"d{number}")
        if clear:
            timers.clear(timer)
            plain.pop(timer, None)
        else:
            timers.set(timer, due)
            plain[timer] = due
    assert timers.first() == min(plain.values(), default=None)
    restored = Timers(dict(stored))
    due = [plain[timer] for timer in restored.pop_due(100)]
    assert due == sorted(plain.values())


def test_what_is_set_and_cleared_again_and_again_leaves_nothing_behind() -> None:
    """The heap of release 0.1.0 kept an entry of each, for ever."""
    timers = Timers({})
    for number in range(10_000):
        timers.set(Timer("deadline", f"w{number}"), 10**9 + number)
        timers.clear_workflow(f"w{number}")
    assert len(timers._heap) < 200
