"""The client over real HTTP, against a scripted server."""

import asyncio
import itertools
import json
import logging
import traceback
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from pydantic import SecretStr

from switchyard.core.model import (
    BlockingModel,
    MissingKey,
    ModelFailure,
    OpenAIModel,
    Prices,
    RemoteModelRefused,
    Reply,
    Usage,
    access,
    api_key,
    cost,
)
from switchyard.core.model.http_call import retry_after_s
from switchyard.core.model.reply import ANSWER_TOKENS
from switchyard.core.model.request import MOST_TRIES
from switchyard.local.model_server.behaviour import Action, Behaviour, in_turn
from switchyard.local.model_server.habits import REFUSES, with_habit
from switchyard.local.model_server.scripted import ScriptedServer

KEY = "sk-secret-4711"
GOOD = {"agents": ["a"]}
GOOD_ANSWER = Action(answer=GOOD)
SCHEMA = {
    "type": "object",
    "properties": {"agents": {"type": "array", "items": {"enum": ["a", "b"]}}},
    "required": ["agents"],
    "additionalProperties": False,
}
MESSAGES = [{"role": "system", "content": "Route."}, {"role": "user", "content": '{"event": {}}'}]


def model_at(server: ScriptedServer, **settings: Any) -> OpenAIModel:
    patience = {"backoff_s": 0.001, "backoff_max_s": 0.01, "namespace": "sdr", **settings}
    return OpenAIModel(server.base_url, KEY, "some-model", **patience)


def ask(model: OpenAIModel, times: int = 1, **how: Any) -> list[Reply]:
    async def together() -> list[Reply]:
        asks = [model.ask(MESSAGES, SCHEMA, name="route", purpose="routing", **how) for _ in range(times)]
        try:
            return await asyncio.gather(*asks)
        finally:
            await model.aclose()

    return asyncio.run(together())


def failure(behaviour: Behaviour | list[Action], **settings: Any) -> tuple[ModelFailure, ScriptedServer]:
    with ScriptedServer(behaviour) as server, pytest.raises(ModelFailure) as raised:
        ask(model_at(server, **settings))
    assert KEY not in "".join(traceback.format_exception(raised.value))
    assert raised.value.__cause__ is None and raised.value.__context__ is None
    return raised.value, server


def test_the_schema_is_sent_and_the_answer_returned() -> None:
    with ScriptedServer([GOOD_ANSWER]) as server:
        (reply,) = ask(model_at(server))
    (call,) = server.calls
    assert reply.value == GOOD
    assert reply.calls == 1
    assert reply.usage.prompt_tokens > 0 and reply.usage.completion_tokens > 0
    assert reply.model == "switchyard-offline"
    assert call.body["model"] == "some-model"
    assert call.body["temperature"] == 0
    shape = {"name": "route", "schema": SCHEMA, "strict": True}
    assert call.body["response_format"] == {"type": "json_schema", "json_schema": shape}
    assert (call.purpose, call.namespace) == ("routing", "sdr")
    assert call.headers["authorization"] == f"Bearer {KEY}"


def test_a_server_without_response_format_gets_the_schema_in_the_prompt_and_is_remembered() -> None:
    fenced = Action(answer=f"```json\n{json.dumps(GOOD)}\n```")
    with ScriptedServer(with_habit(REFUSES, in_turn([GOOD_ANSWER, fenced]))) as server:
        model = model_at(server)
        first, second = ask(model)[0], ask(model)[0]
    assert (first.calls, second.calls) == (2, 1)
    assert first.value == second.value == GOOD
    plain = server.calls[1].body
    assert "response_format" not in plain
    assert json.dumps(SCHEMA) in plain["messages"][0]["content"]
    assert server.counts.of_namespace("sdr") == {"routing": 2, "agents": 0, "failed": 1}


def test_a_server_that_ignores_response_format_is_told_the_schema_and_remembered() -> None:
    with ScriptedServer(in_turn([Action(answer="I would take a."), GOOD_ANSWER], then=GOOD_ANSWER)) as server:
        model = model_at(server)
        assert [ask(model)[0].calls, ask(model)[0].calls] == [2, 1]
    first, corrected, later = [json.dumps(SCHEMA) in call.body["messages"][0]["content"] for call in server.calls]
    assert (first, corrected, later) == (False, True, True)
    assert all("response_format" in call.body for call in server.calls)


@pytest.mark.parametrize(("takes", "calls"), [("max_tokens", 1), ("max_completion_tokens", 2), ("neither", 3)])
def test_an_answer_is_bounded_by_the_parameter_that_the_server_takes(takes: str, calls: int) -> None:
    def picky(call: Any) -> Action:
        wrong = [name for name in ("max_tokens", "max_completion_tokens") if name in call.body and name != takes]
        return Action(status=400, message=f"Unsupported parameter: '{wrong[0]}'") if wrong else GOOD_ANSWER

    with ScriptedServer(picky) as server:
        model = model_at(server)
        assert [ask(model)[0].calls, ask(model)[0].calls] == [calls, 1]
    assert server.calls[-1].body.get(takes) == (None if takes == "neither" else ANSWER_TOKENS)
    assert "response_format" in server.calls[-1].body


@pytest.mark.parametrize("status", [400, 413, 422])
def test_a_request_that_is_rejected_is_final(status: int) -> None:
    failed, server = failure(lambda call: Action(status=status, message="maximum context length"))
    assert failed.reason == "rejected"
    assert str(status) in failed.message
    assert failed.calls == len(server.calls) <= 2
    with ScriptedServer(in_turn([GOOD_ANSWER], then=Action(status=status))) as server:
        model = model_at(server)
        ask(model)
        with pytest.raises(ModelFailure):
            ask(model)
    assert len(server.calls) == 2, "a server that has taken the schema does not mean the schema"


def test_a_model_that_takes_no_temperature() -> None:
    def picky(call: Any) -> Action:
        if "temperature" in call.body:
            return Action(status=400, message="Unsupported value: 'temperature' does not support 0")
        return GOOD_ANSWER

    with ScriptedServer(picky) as server:
        model = model_at(server)
        assert [ask(model)[0].calls, ask(model)[0].calls] == [2, 1]
    assert "response_format" in server.calls[-1].body


@pytest.mark.parametrize(
    "bad",
    [
        "not JSON",
        'Either {"agents": ["a"]} or {"agents": ["b"]}',
        '<think>{"agents": ["a"]}</think>',
        '{"agents": NaN}',
        "",
        {"agents": ["c"]},
        {"agents": ["a"], "more": 1},
        {},
    ],
)
def test_the_model_sees_its_error_once(bad: Any) -> None:
    with ScriptedServer([Action(answer=bad), GOOD_ANSWER]) as server:
        (reply,) = ask(model_at(server))
    assert reply.value == GOOD
    assert reply.calls == 2
    assistant, correction = server.calls[1].body["messages"][2:]
    assert assistant["content"] == (bad if isinstance(bad, str) else json.dumps(bad))
    assert "cannot be used" in correction["content"]


def test_a_check_of_the_caller_counts_as_much_as_the_schema() -> None:
    with ScriptedServer([Action(answer={"agents": ["b"]}), GOOD_ANSWER]) as server:
        (reply,) = ask(model_at(server), check=lambda value: None if value == GOOD else "b is asleep.")
    assert reply.value == GOOD
    assert "b is asleep. Answer again" in server.calls[1].body["messages"][-1]["content"]


def test_twice_unusable_is_a_failure_that_says_what_it_cost() -> None:
    failed, server = failure([Action(answer="no"), Action(answer={"agents": ["c"]})])
    assert failed.reason == "unusable-answer"
    assert "agents.0" in failed.message
    assert failed.calls == len(server.calls) == 2
    assert failed.usage.prompt_tokens > 0


def test_what_the_server_does_not_count_is_estimated() -> None:
    uncounted = json.dumps({"choices": [{"message": {"content": json.dumps(GOOD)}, "finish_reason": "stop"}]})
    with ScriptedServer([Action(raw=uncounted)]) as server:
        assert ask(model_at(server))[0].usage == Usage(5, 5)
    failed, _ = failure(lambda call: Action(hang=True), deadline_s=0.3, attempt_s=0.1)
    assert failed.usage == Usage(5 * failed.calls, 0)


def test_an_answer_in_parts() -> None:
    parts = [
        {"type": "thinking", "thinking": [{"type": "text", "text": "{}"}]},
        {"type": "text", "text": json.dumps(GOOD)},
    ]
    for content, good in ((parts, True), ([{"type": "text"}], False), (["x"], False), ({"text": "x"}, False)):
        body = json.dumps({"choices": [{"message": {"content": content}, "finish_reason": "stop"}]})
        with ScriptedServer([Action(raw=body), GOOD_ANSWER]) as server:
            (reply,) = ask(model_at(server))
        assert (reply.value, reply.calls) == (GOOD, 1 if good else 2)


def test_a_count_beside_an_answer_that_is_none_is_charged() -> None:
    counted = json.dumps({"choices": [], "usage": {"prompt_tokens": 40, "completion_tokens": 7, "total_tokens": 47}})
    failed, _ = failure([Action(raw=counted), Action(raw=counted)])
    assert failed.usage == Usage(80, 14)


@pytest.mark.parametrize("raw", ["<html>", "{}", '{"choices": []}', "[]", '{"choices": [{"message": {}}]}'])
def test_a_body_that_is_no_chat_completion(raw: str) -> None:
    failed, _ = failure([Action(raw=raw), Action(raw=raw)])
    assert failed.reason == "unusable-answer"
    with ScriptedServer([Action(raw=raw), GOOD_ANSWER]) as server:
        assert ask(model_at(server))[0].value == GOOD


@pytest.mark.parametrize("status", [429, 500, 503, 408])
def test_the_tries_of_an_ask_are_counted(status: int) -> None:
    failed, server = failure(lambda call: Action(status=status))
    assert failed.calls == len(server.calls) == MOST_TRIES


@pytest.mark.parametrize("status", [429, 500, 503, 408])
def test_passing_trouble_is_retried(status: int) -> None:
    trouble = Action(status=status, headers={"Retry-After": "0.01"})
    with ScriptedServer([trouble, trouble, GOOD_ANSWER]) as server:
        (reply,) = ask(model_at(server))
    assert (reply.value, reply.calls) == (GOOD, 3)


def test_retry_after_beyond_the_deadline_fails_at_once() -> None:
    failed, server = failure([Action(status=429, headers={"Retry-After": "3600"})])
    assert (failed.reason, failed.retry_after_s) == ("rate-limited", 3600)
    assert len(server.calls) == 1


def test_retry_after_as_seconds_and_as_a_date() -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    date = format_datetime(now + timedelta(seconds=90), usegmt=True)
    assert retry_after_s("1.5", now.timestamp()) == 1.5
    assert retry_after_s(date, now.timestamp()) == 90
    for nothing in (None, "", "soon", "-3", "nan", "inf", format_datetime(now - timedelta(days=1))):
        assert retry_after_s(nothing, now.timestamp()) == 0


def test_half_of_the_answers_500_and_everything_succeeds() -> None:
    numbers = itertools.count()
    with ScriptedServer(lambda call: Action(status=500) if next(numbers) % 2 else GOOD_ANSWER) as server:
        replies = ask(model_at(server), times=100)
    assert [reply.value for reply in replies] == [GOOD] * 100
    assert sum(reply.calls for reply in replies) == len(server.calls) > 100
    assert server.counts.of_namespace("sdr")["routing"] == 100


def test_a_server_that_never_recovers() -> None:
    failed, server = failure([Action(status=500), Action(status=500, headers={"Retry-After": "3600"})])
    assert failed.reason == "error"
    assert failed.calls == len(server.calls) == 2


class Counted:
    """An observer that is open after so many failures."""

    def __init__(self, most: int = 1000) -> None:
        self.most = most
        self.told: list[str] = []

    @property
    def open(self) -> bool:
        return self.told.count("failed") >= self.most

    def answered(self) -> None:
        self.told.append("answered")

    def failed(self) -> None:
        self.told.append("failed")


def test_an_observer_is_told_of_each_call() -> None:
    observer = Counted()
    actions = [
        Action(status=500),
        Action(status=429),
        Action(hang=True),
        Action(status=400),
        Action(answer="no JSON"),
        GOOD_ANSWER,
    ]
    with ScriptedServer(actions) as server:
        (reply,) = ask(model_at(server, attempt_s=2.0, listener=observer))
    assert reply.calls == len(actions)
    assert observer.told == ["failed", "answered", "failed", "answered", "answered", "answered"]


@pytest.mark.parametrize("status", [401, 404, 501])
def test_a_refusal_is_an_answer(status: int) -> None:
    observer = Counted()
    failed, _ = failure(lambda call: Action(status=status), listener=observer)
    assert set(observer.told) == {"answered"}
    assert failed.reason == "refused"


def test_an_ask_gives_up_once_its_observer_is_open() -> None:
    observer = Counted(most=3)
    failed, server = failure(lambda call: Action(status=500), listener=observer)
    assert failed.reason == "unreachable"
    assert failed.calls == len(server.calls) == len(observer.told) == 3


def test_a_call_that_the_deadline_cuts_off_has_failed() -> None:
    observer = Counted()
    failed, _ = failure(lambda call: Action(hang=True), deadline_s=0.3, attempt_s=5.0, listener=observer)
    assert failed.reason == "deadline"
    assert observer.told == ["failed"]


def test_a_hang_ends_at_the_deadline() -> None:
    failed, _ = failure(lambda call: Action(hang=True), deadline_s=0.3)
    assert failed.reason == "deadline"


def test_one_hang_is_survived() -> None:
    with ScriptedServer([Action(hang=True), GOOD_ANSWER]) as server:
        (reply,) = ask(model_at(server, attempt_s=2.0))
    assert (reply.value, reply.calls) == (GOOD, 2)


def test_no_server_at_all() -> None:
    with ScriptedServer() as server:
        pass
    with pytest.raises(ModelFailure) as raised:
        ask(model_at(server, deadline_s=3.0))
    assert raised.value.reason == "unreachable"


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_key(status: int, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    failed, server = failure([Action(status=status, message=f"Incorrect API key provided: {KEY}")])
    assert failed.reason == "refused"
    assert "OPENAI_API_KEY" in failed.message
    assert len(server.calls) == 1
    assert KEY not in caplog.text


@pytest.mark.parametrize("status", [404, 405, 501])
def test_what_no_retry_would_mend(status: int) -> None:
    failed, server = failure(lambda call: Action(status=status))
    assert failed.reason == "refused"
    assert len(server.calls) <= 2


def test_a_redirect_is_not_followed() -> None:
    failed, _ = failure([Action(status=307, headers={"Location": "http://198.51.100.1/"})])
    assert failed.reason == "refused"


def test_the_key_is_in_no_text_about_the_model() -> None:
    with ScriptedServer() as server:
        assert KEY not in repr(model_at(server))
    with pytest.raises(MissingKey) as raised:
        OpenAIModel("http://127.0.0.1:1/v1", f"{KEY}\n", "m")
    assert KEY not in str(raised.value)


@pytest.mark.parametrize("url", ["https://api.example.com/v1", "http://10.0.0.1/v1", "http://localhost.example/"])
def test_the_switch_refuses_what_is_not_on_this_machine(url: str) -> None:
    with pytest.raises(RemoteModelRefused, match="SWITCHYARD_ALLOW_REMOTE_MODEL"):
        OpenAIModel(url, KEY, "m")


def test_without_the_switch_an_argument_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(access, "ALLOW_REMOTE", True)
    OpenAIModel("https://api.example.com/v1", KEY, "m")
    with pytest.raises(RemoteModelRefused):
        OpenAIModel("https://api.example.com/v1", KEY, "m", allow_remote=False)
    for loopback in ("http://localhost:1/v1", "http://127.0.0.2/v1", "http://[::1]:8/v1"):
        OpenAIModel(loopback, KEY, "m", allow_remote=False)


def test_the_key_comes_from_the_environment() -> None:
    url = "https://someone:password@api.example.com/v1"
    assert api_key(SecretStr(f" {KEY}\n"), url) == KEY
    assert api_key(None, "http://127.0.0.1:1/v1", embedded=True)
    with pytest.raises(MissingKey, match="TaskManagers") as raised:
        api_key(SecretStr(" "), url)
    assert "password" not in str(raised.value)


def test_the_blocking_model_serves_many_threads() -> None:
    with ScriptedServer(lambda call: GOOD_ANSWER) as server:
        model = BlockingModel(model_at(server))
        for _ in range(3):
            assert model.ask(MESSAGES, SCHEMA, name="route", purpose="agent/sdr/a").value == GOOD
        model.close()
        model.close()
    assert server.counts.of_namespace("sdr") == {"routing": 0, "agents": 3, "failed": 0}


def test_cost_needs_prices() -> None:
    assert cost(Usage(1_000_000, 500_000), Prices(prompt=2.0, completion=8.0)) == 6.0
    assert cost(Usage(1, 1), None) is None
