"""Mails leave by a server of one's own only where somebody has said whether a person is asked before."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from switchyard.core.app import App, check_senders
from switchyard.core.bundled import APPS, SQL
from switchyard.core.errors import AppError, SettingsError
from switchyard.core.settings import Settings
from switchyard.deployment.submit import Submission, submit_locked
from switchyard.deployment.target import Target
from switchyard.local.info import StackInfo
from switchyard.worker.worker import Worker, WorkerOptions
from tests.cli.conftest import Run

OUTSIDE = Settings(smtp="smtp://mail.example")
SENTENCE = "agent 'send-email' sends mails by the server of SWITCHYARD_SMTP"


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A copy of the SDR app."""
    folder = shutil.copytree(APPS / "sdr", tmp_path / "sdr", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(SQL / "sdr", folder / "sql")
    return folder


def say(folder: Path, approval: str) -> App:
    file = folder / "agents.yaml"
    file.write_text(file.read_text().replace("    sends: mail\n", f"    sends: mail\n    approval: {approval}\n"))
    return App.load(str(folder))


def test_the_local_mail_server_needs_no_approval() -> None:
    check_senders(App.load("sdr"), Settings(local_smtp="127.0.0.1:1025"))
    check_senders(App.load("finance"), OUTSIDE)


@pytest.mark.parametrize("approval", ["required", "never"])
def test_either_word_is_enough(own: Path, approval: str) -> None:
    check_senders(say(own, approval), OUTSIDE)


def test_a_worker_does_not_start(tmp_path: Path) -> None:
    settings = OUTSIDE.model_copy(update={"kafka": "127.0.0.1:1", "home": tmp_path})
    with pytest.raises(AppError, match=SENTENCE):
        Worker(WorkerOptions(App.load("sdr"), "sdr", settings, ["lead-scoring"]), None)


def test_a_worker_does_not_start_without_the_password_of_its_mail_server(own: Path, tmp_path: Path) -> None:
    settings = Settings(smtp="smtps://me@mail.example", kafka="127.0.0.1:1", home=tmp_path)
    with pytest.raises(SettingsError, match="set SWITCHYARD_SMTP_PASSWORD, too"):
        Worker(WorkerOptions(say(own, "never"), "sdr", settings), None)


def test_a_job_is_not_submitted(tmp_path: Path) -> None:
    settings = OUTSIDE.model_copy(update={"kafka": "127.0.0.1:1", "flink": "http://127.0.0.1:1", "home": tmp_path})
    settings = settings.model_copy(update={"openai_base_url": "http://127.0.0.1:1/v1", "model": "m"})
    stack: StackInfo | None = None
    with pytest.raises(AppError, match=SENTENCE):
        submit_locked(Submission("sdr", "sdr"), Target.find(settings, stack), settings, lambda line: None)


@pytest.mark.parametrize("command", ["lint", "demo"])
def test_commands_say_so(command: str, run: Run, own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SWITCHYARD_SMTP", "smtp://mail.example")
    result = run(command, str(own))
    assert result.exit_code == 1
    assert SENTENCE in result.output
    assert "write `approval: required` here, or `approval: never`" in result.output
    if command == "lint":
        line = (own / "agents.yaml").read_text().splitlines().index("  - name: send-email") + 1
        assert f"agents.yaml:{line}: " in result.stdout
