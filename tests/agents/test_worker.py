"""Starting a worker: apps anywhere on disk, health, and what is wrong said in a sentence."""

from __future__ import annotations

import json
import threading
import urllib.request
from pathlib import Path

import pytest
from sqlalchemy import Engine

from switchyard.core.app import App
from switchyard.core.app_code import AppCode
from switchyard.core.errors import AppError
from switchyard.core.settings import Settings
from switchyard.local.health import Health
from switchyard.worker.__main__ import main
from switchyard.worker.background import BackgroundContext, BackgroundThread
from switchyard.worker.effects import EffectStore
from switchyard.worker.handler_loop import HandlerLoop
from switchyard.worker.health import HealthServer
from switchyard.worker.memory.store import SqliteMemory
from switchyard.worker.worker import WorkerOptions, processors
from tests.agents.support import SDR, inbox_event
from tests.agents.test_inbox import until

ECHO = '{"type": "record", "name": "echo", "fields": [{"name": "text", "type": "string"}]}'
AGENTS = """
app: tiny
starts: [asked]
ends: [answered]
agents:
  - {name: echo, description: Says it again., accepts: [asked], emits: [answered]}
"""


@pytest.fixture
def tiny(tmp_path: Path) -> App:
    folder = tmp_path / "elsewhere"
    (folder / "contracts").mkdir(parents=True)
    (folder / "agents.yaml").write_text(AGENTS)
    (folder / "contracts" / "asked.avsc").write_text(ECHO)
    (folder / "contracts" / "answered.avsc").write_text(ECHO)
    (folder / "handlers.py").write_text(
        "from . import helper\n\n\ndef echo(task):\n    return {'text': helper.twice(task.data['text'])}\n"
    )
    (folder / "helper.py").write_text("def twice(text):\n    return text + text\n")
    return App.load(str(folder))


def test_an_app_anywhere_on_disk_with_a_module_of_its_own(tiny: App, settings: Settings, database: Engine) -> None:
    [echo] = processors(
        WorkerOptions(tiny, "tiny", settings),
        AppCode(tiny.folder),
        EffectStore(database, "tiny"),
        database,
        SqliteMemory(database, lambda records: None),
        None,
        HandlerLoop(),
    )
    [event] = echo.handle(inbox_event("echo", "asked", {"text": "a"}).json().encode())
    assert (event.type, event.data) == ("answered", {"text": "aa"})


def test_two_apps_may_have_modules_of_the_same_name(tiny: App) -> None:
    assert AppCode(tiny.folder).function("handlers:echo").__module__ != AppCode(SDR.folder).function(
        "handlers:send_email"
    ).__module__.removesuffix("x")


@pytest.mark.parametrize(
    ("reference", "said"), [("handlers:missing", "no function 'missing'"), ("none:f", "write none.py")]
)
def test_a_missing_function_is_one_sentence(tiny: App, reference: str, said: str) -> None:
    with pytest.raises(AppError, match=said):
        AppCode(tiny.folder).function(reference)


def test_only_the_agents_that_are_named(settings: Settings) -> None:
    assert WorkerOptions(SDR, "n", settings, ["send-email", "send-email"]).chosen() == ["send-email"]
    assert len(WorkerOptions(SDR, "n", settings).chosen()) == 5
    with pytest.raises(AppError, match="no agent 'sendemail'"):
        WorkerOptions(SDR, "n", settings, ["sendemail"]).chosen()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [(["nosuch"], "no such app"), (["sdr"], "SWITCHYARD_KAFKA"), (["sdr", "--agent", "x"], "SWITCHYARD_KAFKA")],
)
def test_what_is_wrong_is_said_in_a_sentence(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SWITCHYARD_KAFKA", raising=False)
    assert main(arguments) == 2
    told = capsys.readouterr().err
    assert said in told
    assert "Traceback" not in told


def test_a_worker_that_cannot_open_its_state_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "gone" / "sdr.sqlite"
    for name, value in (("KAFKA", "127.0.0.1:1"), ("HOME", str(tmp_path)), ("DATABASE", f"sqlite:///{file}")):
        monkeypatch.setenv(f"SWITCHYARD_{name}", value)
    assert main(["sdr"]) == 2
    assert f"the agents' state in {file} cannot be used (unable to open database file)" in caplog.text


def test_health_reports_and_fails_when_an_inbox_is_gone() -> None:
    said = {"healthy": True, "agents": []}
    server = HealthServer(0, lambda: said)
    server.start()
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    url = f"http://127.0.0.1:{server.port}/health"
    with opener.open(url, timeout=30) as response:
        assert json.load(response) == said
    said |= {"healthy": False, "problem": "its disk is full"}
    with pytest.raises(urllib.error.HTTPError, match="503"):
        opener.open(url, timeout=30)
    assert Health("http", url).problem() == "its disk is full"
    server.close()


def test_a_background_function_is_called_again_after_a_failure(
    settings: Settings, database: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("switchyard.worker.background.PAUSE_S", 0.01)
    calls: list[int] = []
    stop = threading.Event()

    def failing_twice(context: BackgroundContext, stop: threading.Event) -> None:
        calls.append(1)
        if len(calls) < 3:
            raise RuntimeError if len(calls) == 1 else SystemExit
        stop.wait()

    thread = BackgroundThread("t", failing_twice, BackgroundContext("a", "n", database), stop)
    thread.start()
    until(lambda: len(calls) == 3)
    stop.set()
    thread.join()
