"""What the plugin gives to every test, and how cases are compared; without Flink."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from switchyard.core import strictjson
from switchyard.core.app import App
from switchyard.core.event import Event
from switchyard.core.model import BlockingModel, OpenAIModel
from switchyard.core.model.access import RemoteModelRefused
from switchyard.local.model_server.behaviour import Action, Call
from switchyard.local.model_server.scripted import ScriptedServer
from switchyard.testing.cases import Case, load
from switchyard.testing.folders import Sink, Source
from switchyard.testing.memory import InMemory
from switchyard.testing.outcome import Outcome
from switchyard.testing.script import ModelScript

SDR = App.load("sdr")
CASES = {case.name: case for case in load(SDR)}


def test_no_test_reaches_a_model_outside_this_machine() -> None:
    assert os.environ["SWITCHYARD_ALLOW_REMOTE_MODEL"] == "0"
    with pytest.raises(RemoteModelRefused):
        OpenAIModel("https://models.example/v1", "key", "some-model")


def test_the_scripted_model_keeps_its_calls(scripted_model: ScriptedServer) -> None:
    scripted_model.script([Action(answer={"ok": True})])
    schema = {"type": "object", "properties": {"ok": {"type": "boolean"}}, "required": ["ok"]}
    with closing(BlockingModel(OpenAIModel(scripted_model.base_url, "offline", "scripted"))) as client:
        reply = client.ask([{"role": "user", "content": "well?"}], schema, name="test", purpose="routing")
    assert reply.value == {"ok": True}
    assert [call.user for call in scripted_model.calls] == ["well?"]


def test_in_memory_asks_the_offline_model(in_memory: Callable[..., InMemory]) -> None:
    run = in_memory("sdr")
    run.publish(_event(CASES["a model that finds no agent"]))
    run.settle()
    assert {dispatch.agent for dispatch in run.dispatches} == {"lead-ingestion"}


def test_cases_with_events_alike_are_told_apart() -> None:
    one, other = CASES["a model that finds no agent"], CASES["the same lead twice"]
    script, event = ModelScript(), _event(one)
    asked = strictjson.dumps({"event": {"type": event.type, "data": event.data}})
    call = Call("routing", "sdr", {"messages": [{"role": "user", "content": asked}]}, {})
    assert script.claim(one, event)
    assert not script.claim(other, event)
    assert script(call).answer["agents"] == ["none"]
    script.release(event)
    assert script.claim(other, event)
    assert script(call).answer["agents"] == ["complete"]


def test_nothing_found_is_told_for_each_expectation() -> None:
    found = Outcome(CASES["a model that finds no agent"]).differences()
    assert [line.split(" a model that finds no agent: ")[1] for line in found] == [
        "decision 1: expected action dead-letter, by fallback, found none",
        "expected dead letter reason no-usable-decision, event lead.created, found none",
        "expected status failed, found none",
    ]


def test_folders_are_topics(tmp_path: Path) -> None:
    source, sink = Source(tmp_path / "in"), Sink(tmp_path / "out")
    assert [source.append(b"a"), source.append(b"b", b"key")] == [0, 1]
    assert sorted(path.name for path in source.folder.iterdir()) == ["000000000.json", "000000001.json"]
    sink.folder.mkdir()
    with (sink.folder / ".part-0.inprogress").open("a") as file:
        file.write('{"key":"aw==","value":"dg=="}\n{"key":nu')
        file.flush()
        assert [(row["key"], row["value"]) for row in sink.rows()] == [(b"k", b"v")]
        file.write('ll,"value":"dw=="}\n')
        file.flush()
        assert [(row["key"], row["value"]) for row in sink.rows()] == [(None, b"w")]
        assert list(sink.rows()) == []


def _event(case: Case) -> Event:
    event = case.content.events[0]
    assert isinstance(event, dict)
    return Event.new(id="e", source="tests", type=event["type"], workflow_id="w", data=event["data"])
