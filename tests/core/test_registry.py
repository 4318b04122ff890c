from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from switchyard.core import yamlfile
from switchyard.core.agents_file import AgentsFile
from switchyard.core.app import App
from switchyard.core.app_checks import problems_of
from switchyard.core.errors import AppError, SettingsError
from switchyard.core.job_config import JobConfig
from switchyard.core.registry import Registry
from switchyard.core.routing.prompt import choice_problem
from switchyard.environment import read_settings
from tests.core import toy

BASE: dict[str, Any] = toy.registry().file.model_dump(mode="json")


def problems(**changes: Any) -> list[str]:
    return [item.message for item in problems_of(AgentsFile.model_validate({**BASE, **changes}), toy.CONTRACTS)]


def agent(number: int, **changes: Any) -> list[dict[str, Any]]:
    agents = [dict(item) for item in BASE["agents"]]
    agents[number].update(changes)
    return agents


def test_the_toy_app_has_no_problem() -> None:
    assert problems() == []


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"agents": [*BASE["agents"], BASE["agents"][1]]}, "agent 'fixing' is named twice"),
        ({"agents": agent(0, emits=["ticket.lost"])}, "'ticket.lost' (agent triage) has no contract"),
        ({"starts": ["ticket.done"]}, "nothing can reach agent 'triage'"),
        ({"ends": [], "agents": agent(1, emits=["ticket.part"])}, "agents fixing can hand work to each other for ever"),
        ({"fallback": "nobody"}, "fallback 'nobody' is no agent"),
        ({"inputs": [{"topic": "in", "type": "ticket.done"}]}, "which is not under starts"),
        ({"agents": agent(2, description="mends Bugs")}, "are too alike"),
        ({"starts": ["ticket.opened", "agent.failed"]}, "'agent.failed' is reserved"),
    ],
)
def test_each_problem_is_a_sentence(changes: dict[str, Any], words: str) -> None:
    assert any(words in problem for problem in problems(**changes)), problems(**changes)


@pytest.mark.parametrize(
    ("changes", "path", "message"),
    [
        (
            {"agents": agent(1, aproval="required")},
            ("agents", 1, "aproval"),
            "agent fixing: unknown key 'aproval'; did you mean 'approval'?",
        ),
        (
            {"agents": agent(1, approval="yes")},
            ("agents", 1, "approval"),
            "agent fixing: approval: 'yes' is not one of 'required'",
        ),
        (
            {"agents": agent(1, accepts="ticket.part")},
            ("agents", 1, "accepts"),
            "accepts: write a list, such as [a, b]",
        ),
        ({"limits": {"hop": 3}}, ("limits", "hop"), "unknown key 'limits.hop'; did you mean 'hops'?"),
        ({"limits": {"zzz": 3}}, ("limits", "zzz"), "unknown key 'limits.zzz'; there are hops, dispatches"),
        ({"inputs": [{"topic": "in"}]}, ("inputs", 0, "type"), "input in: the key 'type' is missing"),
        *(
            ({"inputs": [{"topic": name, "type": "ticket.opened"}]}, ("inputs", 0, "topic"), "an input topic's name is")
            for name in ("routing-decisions", "agent.triage", "a b", "in\n")
        ),
        ({"starts": []}, ("starts",), "starts: list at least one"),
        ({"router": "mine"}, ("router",), "router: 'mine' cannot be; it is `module:function` that decides"),
        (
            {"gathers": [{"on": "ticket.opened", "policy": "al"}]},
            ("gathers", 0, "policy"),
            "gather on ticket.opened: policy: 'al' cannot be; it is all, quorum, first or weighted",
        ),
    ],
)
def test_a_key_that_cannot_be_is_told_with_the_nearest(
    tmp_path: Path, changes: dict[str, Any], path: tuple[str | int, ...], message: str
) -> None:
    (tmp_path / "agents.yaml").write_text(yaml.safe_dump({**BASE, **changes}))
    with pytest.raises(AppError) as caught:
        App.load(str(tmp_path))
    (problem,) = caught.value.problems
    assert problem.path == path
    assert message in problem.message


def test_a_misspelt_type_is_one_problem_and_none_follows_from_it() -> None:
    file = AgentsFile.model_validate({**BASE, "agents": agent(0, emits=["ticket.sortet"])})
    (problem,) = problems_of(file, toy.CONTRACTS)
    assert problem.path == ("agents", 0, "emits", 0)
    assert problem.message == (
        "agent triage names the event type 'ticket.sortet', which has no contract; did you mean 'ticket.sorted'?"
    )


def test_the_registry_travels_as_json() -> None:
    registry = toy.registry()
    again = Registry.from_json(registry.json())
    assert again.json() == registry.json()
    assert (again.version, again.prompt_version) == (registry.version, registry.prompt_version)
    assert toy.registry(limits={"hops": 3}).version != registry.version


def test_a_broken_file_is_told_whole(tmp_path: Path) -> None:
    value = {**BASE, "agents": agent(0, name="Not A Name"), "color": "red"}
    (tmp_path / "agents.yaml").write_text(yaml.safe_dump(value))
    with pytest.raises(AppError) as caught:
        App.load(str(tmp_path))
    assert len(caught.value.problems) == 2
    assert {item.path for item in caught.value.problems} == {("agents", 0, "name"), ("color",)}
    assert "agents.yaml: agent Not A Name: name: an agent's name is lower-case words" in str(caught.value)
    with pytest.raises(AppError, match="there is no such app; name one of finance, sdr"):
        App.load("nowhere")


def test_the_job_config_holds_no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:1/v1")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    monkeypatch.setenv("SWITCHYARD_MODEL", "m")
    settings = read_settings()
    config = JobConfig.of(
        toy.registry(), "toy", settings, sql_version="1", model_base_url="http://x", model="m", embedded=False
    )
    assert JobConfig.decode(config.encode()) == config
    assert "sk-secret" not in repr(config) + repr(settings) + config.encode()


def test_a_job_without_a_key_says_where_to_set_it(monkeypatch: pytest.MonkeyPatch) -> None:
    from switchyard.flink.operator import model_client

    config = JobConfig.of(
        toy.registry(),
        "toy",
        read_settings(),
        sql_version="1",
        model_base_url="http://127.0.0.1:1/v1",
        model="m",
        embedded=False,
    )
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(SettingsError, match="set OPENAI_API_KEY in the environment of the Flink TaskManagers"):
        model_client(config)


def test_a_wrong_setting_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SWITCHYARD_SHARDS", "many")
    with pytest.raises(SettingsError, match="SWITCHYARD_SHARDS"):
        read_settings()
    monkeypatch.delenv("SWITCHYARD_SHARDS")
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:1/v1")
    monkeypatch.delenv("SWITCHYARD_MODEL", raising=False)
    with pytest.raises(SettingsError, match="set SWITCHYARD_MODEL to the model's name"):
        read_settings()


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ([], "one JSON object"),
        ({"agents": [], "reason": "", "confidence": 1}, "at least one name"),
        ({"agents": ["send-email"], "reason": "", "confidence": 1}, "is not one of"),
        ({"agents": ["triage", "triage"], "reason": "", "confidence": 1}, "twice"),
        ({"agents": ["triage", "complete"], "reason": "", "confidence": 1}, "must stand alone"),
        ({"agents": ["triage"], "reason": 1, "confidence": 1}, "reason"),
        ({"agents": ["triage"], "reason": "", "confidence": True}, "confidence"),
        ({"agents": ["triage"], "reason": "", "confidence": 2}, "confidence"),
        ({"agents": ["triage"], "reason": "", "confidence": 1, "x": 1}, "exactly the keys"),
    ],
)
def test_an_answer_that_cannot_be_used_is_told_why(answer: Any, words: str) -> None:
    assert words in str(choice_problem(answer, ["triage"]))


def test_words_that_old_yaml_takes_for_booleans_are_words() -> None:
    text = "{on: trade.requested, off: no, holds: true, fails: False, number: 1.5}"
    assert yamlfile.load(text) == {"on": "trade.requested", "off": "no", "holds": True, "fails": False, "number": 1.5}
