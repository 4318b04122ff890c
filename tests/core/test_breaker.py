"""The circuit breaker, with a clock of the test's own."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from switchyard.core.model.breaker import COOL_DOWN_MAX_S, FAILURES, Breaker


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def broken(clock: Clock) -> Breaker:
    breaker = Breaker(clock)
    for _ in range(FAILURES):
        breaker.failed()
    return breaker


def test_it_opens_after_five_failures_in_a_row() -> None:
    breaker = Breaker(Clock())
    for _ in range(3):
        for _ in range(FAILURES - 1):
            breaker.failed()
        assert not breaker.open
        assert breaker.wait_s == 0.0
        breaker.answered()
    for _ in range(FAILURES):
        assert not breaker.begin(), "no ask is a probe while the circuit is closed"
        breaker.failed()
    assert breaker.open
    assert breaker.failures == FAILURES


def test_the_pause_before_a_probe_doubles() -> None:
    clock = Clock()
    breaker = broken(clock)
    pauses = []
    for _ in range(8):
        pause = breaker.wait_s
        assert pause is not None
        pauses.append(pause)
        clock.now += pause
        assert breaker.begin()
        breaker.failed()
        assert breaker.wait_s is None
        assert not breaker.begin()
        breaker.probed()
    assert pauses == [1, 2, 4, 8, 16, 30, 30, 30]

    breaker.answered()
    assert (breaker.open, breaker.failures, breaker.wait_s) == (False, 0, 0.0)
    for _ in range(FAILURES):
        breaker.failed()
    assert breaker.wait_s == 1.0


def test_failures_of_asks_from_before_do_not_put_off_the_probe() -> None:
    clock = Clock()
    breaker = broken(clock)
    clock.now += 0.9
    for _ in range(100):
        breaker.failed()
    clock.now += 0.2
    assert breaker.begin()
    breaker.failed()
    assert breaker.wait_s is None, "the probe itself has not ended"


@given(st.lists(st.sampled_from(["begin", "failed", "answered", "probed", "wait"]), max_size=80), st.data())
def test_one_probe_at_a_time_and_always_one_more(steps: list[str], data: st.DataObject) -> None:
    clock = Clock()
    breaker = Breaker(clock)
    probing = False
    for step in steps:
        if step == "begin":
            probe = breaker.begin()
            assert not (probe and probing)
            assert not (probe and not breaker.open)
            probing = probing or probe
        elif step == "failed":
            breaker.failed()
        elif step == "answered":
            breaker.answered()
            assert not breaker.open
            assert breaker.wait_s == 0.0
        elif step == "probed" and probing:
            breaker.probed()
            probing = False
        elif step == "wait":
            clock.now += data.draw(st.floats(0, 40), label="seconds")
    if probing:
        breaker.probed()
    clock.now += COOL_DOWN_MAX_S
    assert breaker.wait_s == 0.0
    assert breaker.begin() == breaker.open
