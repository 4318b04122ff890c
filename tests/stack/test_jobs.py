"""What the stack remembers of its jobs, and what its watchdog does about one that is lost."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from switchyard.cli.newapp import create
from switchyard.core.app import App
from switchyard.core.errors import SwitchyardError
from switchyard.deployment.stop import FlinkTarget, continuing, stop
from switchyard.deployment.submit import _last_words
from switchyard.deployment.watchdog import JobWatchdog
from switchyard.flink.rest import Flink, FlinkError
from switchyard.flink.savepoints import state_at
from switchyard.local.layout import Layout
from switchyard.local.submitted_jobs import StackJob, SubmittedJobs, settings_of

JOB = StackJob("sdr", "sdr", False, False, "a" * 32, True, {"SWITCHYARD_SHARDS": "8"})


@pytest.fixture
def submitted_jobs(tmp_path: Path) -> SubmittedJobs:
    layout = Layout(tmp_path / "home")
    layout.make()
    return SubmittedJobs(layout)


@pytest.fixture
def answers() -> dict[str, Any]:
    """What Flink answers to each path."""
    return {"/jobs/overview": {"jobs": []}, "/overview": {"taskmanagers": 1}}


@pytest.fixture
def flink(answers: dict[str, Any]) -> Iterator[Flink]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found = answers.get(self.path)
            self.send_response(404 if found is None else 200)
            self.end_headers()
            self.wfile.write(json.dumps(found).encode())

        def do_PATCH(self) -> None:
            answers["/jobs/overview"] = {"jobs": []}
            self.send_response(202)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield Flink(f"http://127.0.0.1:{server.server_port}")
        server.shutdown()
        thread.join()


class Recording(JobWatchdog):
    """A watchdog that only notes what it would bring back."""

    def _bring_back(self, job: StackJob) -> None:
        brought.append(job.namespace)


brought: list[str] = []


@pytest.fixture(autouse=True)
def nothing_brought() -> None:
    brought.clear()


def checkpoint(submitted_jobs: SubmittedJobs, job_id: str, number: int, complete: bool = True) -> Path:
    folder = submitted_jobs.layout.checkpoints / job_id / f"chk-{number}"
    folder.mkdir(parents=True)
    if complete:
        (folder / "_metadata").write_bytes(b"x")
    return folder


def overview(state: str) -> dict[str, Any]:
    return {"jobs": [{"jid": JOB.job_id, "name": "switchyard sdr", "state": state}]}


def test_the_newest_complete_checkpoint_is_found_by_number(submitted_jobs: SubmittedJobs) -> None:
    assert submitted_jobs.newest_checkpoint(JOB.job_id) is None
    assert submitted_jobs.latest_state(replace(JOB, start="/before")) == "/before"
    checkpoint(submitted_jobs, JOB.job_id, 9)
    newest = checkpoint(submitted_jobs, JOB.job_id, 10)
    checkpoint(submitted_jobs, JOB.job_id, 11, complete=False)
    assert submitted_jobs.latest_state(JOB) == str(newest)
    assert submitted_jobs.latest_state(replace(JOB, savepoint="/s")) == "/s"


def test_a_job_is_remembered_with_its_app_as_it_was_and_forgotten_when_it_stops(
    submitted_jobs: SubmittedJobs, tmp_path: Path
) -> None:
    app = App.load("sdr")
    submitted_jobs.record(JOB, app)
    copy = App.load(str(submitted_jobs.copy("sdr")))
    assert copy.registry.version == app.registry.version
    assert [path.name for path in sorted(copy.sql.glob("*.sql"))] == ["dispatch.sql", "requests.sql"]
    submitted_jobs.record(JOB, copy)
    assert App.load(str(submitted_jobs.copy("sdr"))).registry.json() == app.registry.json()
    assert submitted_jobs.wanted() == [JOB]
    submitted_jobs.forget("sdr", "/savepoint")
    assert submitted_jobs.wanted() == []
    assert submitted_jobs.load("sdr") == replace(JOB, wanted=False, savepoint="/savepoint")
    submitted_jobs.save(JOB)
    submitted_jobs.forget_all()
    assert submitted_jobs.wanted() == []
    assert submitted_jobs.load("nowhere") is None


def test_what_an_app_runs_inside_flink_is_remembered_too(submitted_jobs: SubmittedJobs, tmp_path: Path) -> None:
    """Its job is submitted again from the copy, though the folder is gone."""
    folder, _ = create(str(tmp_path / "desk"))
    (folder / "deciding.py").write_text(
        "from .lib import words\n\ndef decide(event, context):\n    return words.ANSWER\n"
    )
    (folder / "lib").mkdir()
    (folder / "lib" / "words.py").write_text("ANSWER = None\n")
    agents = folder / "agents.yaml"
    agents.write_text(agents.read_text() + "router: deciding:decide\n")
    (folder / "udfs.py").write_text("# none yet\n")
    submitted_jobs.record(JOB, App.load(str(folder)))
    shutil.rmtree(folder)
    copy = App.load(str(submitted_jobs.copy("sdr")))
    assert copy.registry.router is not None
    assert copy.registry.router(None, None) is None
    assert (copy.folder / "udfs.py").is_file()


def test_settings_are_kept_and_secrets_are_not() -> None:
    env = {
        "SWITCHYARD_SHARDS": "8",
        "SWITCHYARD_KAFKA_PASSWORD": "secret",
        "SWITCHYARD_DATABASE": "postgresql://me:secret@host/db",
        "OPENAI_API_KEY": "secret",
        "OPENAI_BASE_URL": "https://me:secret@host/v1",
        "PATH": "/bin",
    }
    assert settings_of(env) == {"SWITCHYARD_SHARDS": "8"}
    assert settings_of({"OPENAI_BASE_URL": "http://host/v1"}) == {"OPENAI_BASE_URL": "http://host/v1"}
    stack = {**env, "SWITCHYARD_SHARDS": "4", "SWITCHYARD_HOME": "/home", "SWITCHYARD_PARALLELISM": "2"}
    again = JOB.environment_in(stack)
    assert again["SWITCHYARD_SHARDS"] == "8"
    assert again["SWITCHYARD_KAFKA_PASSWORD"] == again["OPENAI_API_KEY"] == "secret"
    assert again["SWITCHYARD_HOME"] == "/home"
    assert {"SWITCHYARD_PARALLELISM", "OPENAI_BASE_URL"}.isdisjoint(again)
    assert "OPENAI_BASE_URL" in replace(JOB, embedded_model=False).environment_in(stack)


def test_one_process_at_a_time_has_a_namespace(submitted_jobs: SubmittedJobs) -> None:
    with (
        submitted_jobs.locked("sdr") as first,
        submitted_jobs.locked("sdr", wait=False) as second,
        submitted_jobs.locked("other", wait=False) as own,
    ):
        assert (first, second, own) == (True, False, True)
    with submitted_jobs.locked("sdr", wait=False) as again:
        assert again


def test_the_watchdog_brings_back_what_the_jobmanager_has_forgotten(
    submitted_jobs: SubmittedJobs, flink: Flink, answers: dict[str, Any]
) -> None:
    watchdog = Recording(submitted_jobs, flink)
    watchdog.look()
    submitted_jobs.save(JOB)
    answers["/jobs/overview"] = overview("RESTARTING")
    watchdog.look()
    assert brought == []
    answers.update({"/jobs/overview": {"jobs": []}, "/overview": {"taskmanagers": 0}})
    watchdog.look()
    assert brought == [], "there is no TaskManager yet"
    answers["/overview"] = {"taskmanagers": 1}
    watchdog.look()
    assert brought == ["sdr"]
    del answers["/jobs/overview"]
    watchdog.look()
    assert brought == ["sdr"], "a JobManager that does not answer has lost nothing"


@pytest.mark.parametrize("state", ["CANCELED", "FAILED", "FINISHED"])
def test_the_watchdog_lets_go_of_a_job_that_somebody_ended(
    state: str, submitted_jobs: SubmittedJobs, flink: Flink, answers: dict[str, Any]
) -> None:
    submitted_jobs.save(JOB)
    answers["/jobs/overview"] = overview(state)
    with submitted_jobs.locked("sdr"):
        Recording(submitted_jobs, flink).look()
        assert submitted_jobs.wanted() == [JOB], "a submit is at work"
    Recording(submitted_jobs, flink).look()
    assert submitted_jobs.wanted() == brought == []


def test_a_stop_of_a_lost_job_keeps_it_from_coming_back(submitted_jobs: SubmittedJobs, flink: Flink) -> None:
    flink_target = FlinkTarget(flink, submitted_jobs)
    with pytest.raises(FlinkError, match="no job of sdr runs"):
        stop("sdr", False, flink_target, lambda line: None)
    submitted_jobs.save(JOB)
    newest = checkpoint(submitted_jobs, JOB.job_id, 1)
    (stopped,) = stop("sdr", False, flink_target, lambda line: None)
    assert stopped.state == str(newest)
    assert submitted_jobs.wanted() == []


def test_a_state_is_refused_before_anything_else_where_it_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(SwitchyardError, match=r"none does not exist; nothing was stopped"):
        state_at(str(tmp_path / "none"), elsewhere=True)
    with pytest.raises(SwitchyardError, match="holds no _metadata"):
        state_at(f"file://{tmp_path}", elsewhere=False)
    (tmp_path / "_metadata").write_bytes(b"")
    for given in (str(tmp_path), f"file:{tmp_path}", f"file://{tmp_path}/_metadata"):
        assert state_at(given, elsewhere=False) == str(tmp_path)
    for given in ("s3://bucket/savepoint", "file:///mnt/elsewhere"):
        assert state_at(given, elsewhere=True) == given


def test_the_command_to_continue_names_what_was_given() -> None:
    assert (
        continuing("sdr", "/a b", namespace=None, stateless=False, flink=None) == "switchyard submit sdr --from '/a b'"
    )
    assert continuing("x", "/s", namespace="n", stateless=True, flink="http://f:1") == (
        "switchyard submit x --from /s --namespace n --stateless --flink http://f:1"
    )


def test_a_state_that_flink_cannot_place_is_one_sentence() -> None:
    said = (
        "Caused by: java.lang.IllegalStateException: Failed to rollback to checkpoint/savepoint file:/s/savepoint-1. "
        "Cannot map checkpoint/savepoint state for operator 75 to the new program, because the operator is not "
        "available in the new program. If you want to allow to skip this, you can set it.\n"
        "Caused by: x.ProgramAbortException: java.lang.RuntimeException: Python process exits with code: 1\n"
    )
    assert _last_words(said) == (
        "the state cannot be restored: Cannot map checkpoint/savepoint state for operator 75 to the new program, "
        "because the operator is not available in the new program"
    )
