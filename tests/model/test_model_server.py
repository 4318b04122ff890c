"""The offline model behind its HTTP interface."""

import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from switchyard.local.model_server.behaviour import Action, Call, failing, from_file, slow
from switchyard.local.model_server.scripted import ScriptedServer

ROUTING = {
    "event": {"type": "lead.created", "data": {}},
    "contract": None,
    "candidates": [{"name": "ingestion", "description": "Reads a lead.", "accepts": [], "emits": []}],
}


def get(server: ScriptedServer, path: str) -> Any:
    with urllib.request.urlopen(f"http://127.0.0.1:{server.port}{path}") as response:
        return json.load(response)


def post(server: ScriptedServer, purpose: str, facts: Any, namespace: str = "sdr") -> tuple[int, Any]:
    body = {"model": "m", "messages": [{"role": "user", "content": json.dumps(facts)}]}
    request = urllib.request.Request(
        f"{server.base_url}/chat/completions",
        json.dumps(body).encode(),
        {"X-Switchyard-Purpose": purpose, "X-Switchyard-Namespace": namespace},
    )
    try:
        with urllib.request.urlopen(request) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def app_folder(tmp_path: Path, offline: str) -> Path:
    folder = tmp_path / "app"
    folder.mkdir(exist_ok=True)
    (folder / "offline.py").write_text(offline)
    apps = tmp_path / "apps.json"
    apps.write_text(json.dumps({"sdr-1": str(folder)}))
    return apps


def test_it_says_what_it_is() -> None:
    with ScriptedServer() as server:
        _, completion = post(server, "routing", ROUTING)
        assert get(server, "/v1/models")["data"][0]["id"] == "switchyard-offline"
        assert "no language model" in get(server, "/health")["about"]
    assert completion["model"] == "switchyard-offline"
    assert completion["system_fingerprint"] == "offline model, no language model behind it"
    assert completion["usage"]["total_tokens"] > 0
    assert json.loads(completion["choices"][0]["message"]["content"])["agents"] == ["ingestion"]


def test_calls_are_counted_by_purpose_and_by_namespace(tmp_path: Path) -> None:
    apps = app_folder(tmp_path, "def lead_scoring(facts):\n    return {'score': len(facts)}\n")
    with ScriptedServer(apps_file=apps) as server:
        for namespace in ("sdr-1", "sdr-1", "sdr-2"):
            assert post(server, "routing", ROUTING, namespace)[0] == 200
        status, completion = post(server, "agent/sdr-1/lead-scoring", {"a": 1}, "sdr-1")
        assert (status, completion["choices"][0]["message"]["content"]) == (200, '{"score": 1}')
        assert post(server, "agent/sdr-1/unknown", {}, "sdr-1")[0] == 501
        assert get(server, "/calls") == {"routing": 3, "agent/sdr-1/lead-scoring": 1, "failed": 1}
        assert get(server, "/calls?namespace=sdr-1") == {"routing": 2, "agents": 1, "failed": 1}
        assert get(server, "/calls?namespace=none") == {"routing": 0, "agents": 0, "failed": 0}
        log = get(server, "/log")
        assert [entry["status"] for entry in log] == [200, 200, 200, 200, 501]
        assert "user" not in log[0]
        assert get(server, "/log?messages=true")[3]["user"] == '{"a": 1}'


def test_templates_are_read_again_and_their_errors_told(tmp_path: Path) -> None:
    purpose = "agent/sdr-1/a"
    apps = app_folder(tmp_path, "def a(facts):\n    return {'text': 'one'}\n")
    with ScriptedServer(apps_file=apps) as server:
        assert post(server, purpose, {})[0] == 200
        app_folder(tmp_path, "def a(facts):\n    return {'text': facts['missing']}\n")
        os.utime(tmp_path / "app" / "offline.py", (1, 1))
        status, told = post(server, purpose, {})
        assert status == 500 and "template for a failed" in told["error"]["message"]
        (tmp_path / "app" / "offline.py").unlink()
        status, told = post(server, purpose, {})
        assert status == 501 and "does not exist" in told["error"]["message"]
        status, told = post(server, "agent/other/a", {})
        assert status == 501 and "other" in told["error"]["message"]
        assert post(server, "agent/sdr-1/a", ["no object"])[0] == 400


def test_scripts_faults_and_delays_are_the_same_for_the_same_seed(tmp_path: Path) -> None:
    call = Call("routing", "", {}, {})
    script = tmp_path / "script.json"
    script.write_text('[{"status": 500}, {"answer": {"x": 1}, "purpose": "other"}, {"hang": true}]')
    behave = from_file(script)
    assert [behave(call), behave(call), behave(call)] == [Action(status=500), Action(hang=True), Action()]
    once, again = failing(0.5, seed=3), failing(0.5, seed=3)
    outcomes = [once(call).status for _ in range(200)]
    assert outcomes == [again(call).status for _ in range(200)]
    assert 60 < outcomes.count(500) < 140
    assert slow(0.8)(call).delay_s == 0.8
    assert slow(0.8, 0.5, seed=1)(call).delay_s == slow(0.8, 0.5, seed=1)(call).delay_s != 0.8


def test_the_command_line_names_a_bad_script(tmp_path: Path) -> None:
    script = tmp_path / "script.json"
    script.write_text('[{"colour": "red"}]')
    command = [sys.executable, "-m", "switchyard.local.model_server", "--port", "1", "--script", str(script)]
    run = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert run.returncode == 1
    assert "colour" in run.stderr and "Traceback" not in run.stderr


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'{"messages": 3}', b'{"messages": [3]}'])
def test_a_request_that_is_none(body: bytes) -> None:
    with ScriptedServer() as server:
        request = urllib.request.Request(f"{server.base_url}/chat/completions", body)
        with pytest.raises(urllib.error.HTTPError) as raised:
            urllib.request.urlopen(request)
    assert raised.value.code == 400
    raised.value.close()
