"""What a record settles: one printer, one parser."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from switchyard.core.deadletter import Position
from switchyard.core.event import Event
from switchyard.core.ledger.subject import Subject

NAMES = st.from_regex(r"[a-z0-9-]{1,32}", fullmatch=True)
SUBJECTS = st.one_of(
    st.builds(lambda name: Subject("event", name), NAMES),
    st.builds(lambda name, index: Subject("dispatch", name, str(index)), NAMES, st.integers(0, 1000)),
    st.builds(Subject.timeout, NAMES),
    st.builds(Subject.approval, NAMES),
    st.builds(Subject.gather_deadline, NAMES),
    st.builds(Subject.gather_incomplete, NAMES),
    st.sampled_from([Subject.cancel(0), Subject.deadline(0)]),
    st.builds(lambda name, number: Subject.of_position(Position(name, 1, number)), NAMES, st.integers(0, 2**40)),
)


@given(SUBJECTS)
def test_what_is_printed_is_parsed(subject: Subject) -> None:
    assert Subject.parse(str(subject)) == subject


@given(SUBJECTS, SUBJECTS)
def test_two_are_the_same_where_their_texts_are(one: Subject, other: Subject) -> None:
    assert (one == other) == (str(one) == str(other))


def test_an_identity_may_hold_a_slash() -> None:
    assert Subject.parse("dispatch/x/y/0") == Subject("dispatch", "x/y", "0")


@pytest.mark.parametrize("text", ["", "event", "event/", "nothing/x", "dispatch/d", "dispatch/d/", "dispatch/d/x"])
def test_what_is_none_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"no subject|no position"):
        Subject.parse(text)


def test_an_event_from_outside_is_settled_itself_and_an_answer_by_its_place() -> None:
    outside = Event.new(id="1", source="s", type="t", workflow_id="w", data=None)
    answer = outside.with_attributes(causationid="d1", answerindex=2, answercount=3)
    assert str(Subject.of_event(outside)) == f"event/{outside.key}"
    assert str(Subject.of_event(answer)) == "dispatch/d1/2"
    assert Subject.of_event(answer).dispatch_id == "d1"
    assert Subject.of_event(outside).dispatch_id is None
