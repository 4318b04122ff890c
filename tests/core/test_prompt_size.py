"""A prompt has a limit, whatever an event, a history, a contract or an app's own texts hold."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from switchyard.core import strictjson
from switchyard.core.app import App
from switchyard.core.event import Event
from switchyard.core.model.trimming import cut, size
from switchyard.core.routing.prompt import PROMPT_BYTES
from switchyard.core.routing.question import Question, question
from tests.core import toy

SDR = App.load("sdr").registry
LEAD = {
    "lead_id": "l",
    "name": "n",
    "email": "a@b.example",
    "company": "c",
    "title": "t",
    "source": "s",
    "interest": "i",
    "message": "m",
    "created_at": "2026-01-31T12:00:00Z",
}


def asked(data: Any, history: list[dict[str, Any]] | None = None) -> Question:
    event = Event.new(id="1", source="s", type="lead.created", workflow_id="w", data=data)
    return question(SDR, event, (), history)


def length(asked: Question) -> int:
    return sum(len(message["content"].encode()) for message in asked.messages)


def told(asked: Question) -> dict[str, Any]:
    value: dict[str, Any] = strictjson.loads(asked.messages[1]["content"])
    return value


@pytest.mark.parametrize("text", ["a" * 240_000 + "@b.example", "\x01" * 60_000, "🚂" * 60_000])
@pytest.mark.parametrize("field", ["email", "message"])
def test_a_long_text_of_an_event_is_cut_with_a_mark(field: str, text: str) -> None:
    short = asked({**LEAD, field: text})
    assert length(short) <= PROMPT_BYTES
    assert told(short)["event"]["data"][field].endswith(f" (cut: {len(text.encode())} bytes)")
    assert told(short)["event"]["data"] == {**LEAD, field: told(short)["event"]["data"][field]}
    assert told(short)["candidates"] == told(asked(LEAD))["candidates"]


def test_a_prompt_that_fits_is_left_as_it_is() -> None:
    history = [{"agent": "a", "type": "t", "data": {"n": number}} for number in range(20)]
    whole = told(asked(LEAD, history))
    assert (whole["event"]["data"], whole["answered"]) == (LEAD, history)


def test_the_oldest_history_is_left_out_first() -> None:
    history = [{"agent": "a", "type": "t", "data": {"n": number, "text": "x" * 4_000}} for number in range(20)]
    short = asked(LEAD, history)
    assert length(short) <= PROMPT_BYTES
    kept = told(short)["answered"]
    whole = sum(entry["data"] != "(left out: too large)" for entry in kept)
    assert kept[-whole:] == history[-whole:]
    assert [entry["agent"] for entry in kept] == ["a"] * 20
    assert 3 <= whole < 20
    assert told(short)["event"]["data"] == LEAD


def test_agents_keep_their_names_however_long_they_are_described() -> None:
    agent = toy.registry(None).file.model_dump(mode="json", exclude_defaults=True)["agents"][0]
    agents = [{**agent, "name": f"agent-{number}", "description": "d" * 20_000} for number in range(100)]
    registry = toy.registry(1, agents=agents, description="d" * 100_000, complete="c" * 100_000)
    short = question(registry, toy.opened(1))
    assert length(short) <= PROMPT_BYTES
    assert [item["name"] for item in told(short)["candidates"]] == [f"agent-{number}" for number in range(100)]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=300),
    lambda inner: st.lists(inner, max_size=40) | st.dictionaries(st.text(max_size=60), inner, max_size=40),
    max_leaves=60,
)


@given(JSON, st.integers(64, 4_000))
def test_what_is_cut_fits(value: Any, room: int) -> None:
    assert size(cut(value, room)) <= room
