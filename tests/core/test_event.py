from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from switchyard.core.errors import Rejected
from switchyard.core.event import Event

GOOD: dict[str, Any] = {
    "specversion": "1.0",
    "id": "1",
    "source": "tests",
    "type": "a.b",
    "workflowid": "w",
    "time": "2026-01-31T12:00:00.5+02:00",
    "traceparent": "00-abc",
    "data": {"x": [1, None]},
}


def test_unknown_attributes_survive_a_round_trip() -> None:
    event = Event.parse(json.dumps(GOOD))
    assert json.loads(event.json()) == GOOD
    assert (event.id, event.type, event.workflow_id, event.causation_id, event.hops) == ("1", "a.b", "w", None, 0)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"id": None}, "id"),
        ({"id": ""}, "id"),
        ({"specversion": "0.3"}, "specversion"),
        ({"workflowid": ""}, "workflowid"),
        ({"workflowid": 7}, "workflowid"),
        ({"time": "yesterday"}, "time"),
        ({"time": "2026-01-31T12:00:00"}, "time"),
        ({"Upper": "x"}, "Upper"),
        ({"nested": {"a": 1}}, "nested"),
        ({"ratio": 1.5}, "ratio"),
        ({"data_base64": "AAAA"}, "data_base64"),
        ({"hops": -1}, "hops"),
        ({"hops": True}, "hops"),
        ({"answerindex": 3, "answercount": 3}, "answerindex"),
        ({"causationid": 4}, "causationid"),
        ({"id": "x" * 300}, "id"),
    ],
)
def test_a_broken_attribute_is_named(change: dict[str, Any], field: str) -> None:
    with pytest.raises(Rejected) as caught:
        Event.parse(json.dumps({**GOOD, **change}))
    assert (caught.value.reason, caught.value.field) == ("not-a-cloudevent", field)


@pytest.mark.parametrize("name", ["id", "source", "type", "specversion", "workflowid"])
def test_a_missing_attribute_is_named(name: str) -> None:
    with pytest.raises(Rejected) as caught:
        Event.parse(json.dumps({key: value for key, value in GOOD.items() if key != name}))
    assert caught.value.field == name


@pytest.mark.parametrize("raw", [b"", b"{", b"\xff", b'{"a": NaN}', b'{"a": Infinity}', b"[" * 5000])
def test_what_is_not_json(raw: bytes) -> None:
    with pytest.raises(Rejected) as caught:
        Event.parse(raw)
    assert caught.value.reason == "not-json"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@pytest.mark.parametrize("name", ["prompttokens", "completiontokens"])
def test_tokens_are_integers_from_zero(name: str) -> None:
    assert Event.parse(json.dumps({**GOOD, name: 0})).attributes[name] == 0
    for wrong in (-1, "7", True, 2**31, 1.5):
        with pytest.raises(Rejected) as caught:
            Event.parse(json.dumps({**GOOD, name: wrong}))
        assert (caught.value.reason, caught.value.field) == ("not-a-cloudevent", name)


@given(st.binary() | JSON.map(lambda value: json.dumps(value).encode()))
def test_no_other_exception_leaves_the_parser(raw: bytes) -> None:
    try:
        Event.parse(raw)
    except Rejected as error:
        assert error.reason in ("not-json", "not-a-cloudevent")


@given(st.dictionaries(st.sampled_from([*GOOD, "hops", "prompttokens", "extra"]), JSON))
def test_nor_by_odd_values_of_known_attributes(change: dict[str, Any]) -> None:
    try:
        event = Event.parse(json.dumps({**GOOD, **change}))
    except Rejected:
        return
    assert isinstance(event.workflow_id, str)
    assert event.hops >= 0


@pytest.mark.parametrize(
    "text", ["", "{", "[1]", "null", "{}", json.dumps({**GOOD, "workflowid": 7}), json.dumps({**GOOD, "hops": "x"})]
)
def test_what_was_never_checked_is_no_trusted_event(text: str) -> None:
    with pytest.raises(Rejected) as refused:
        Event.trusted(text)
    assert refused.value.reason == "not-a-cloudevent"


def test_a_trusted_event_is_the_one_that_was_checked() -> None:
    text = json.dumps({**GOOD, "extra": "kept"})
    assert Event.trusted(text) == Event.parse(text)
