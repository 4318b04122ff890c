"""Which app and which namespace a command is about, where none is named."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from switchyard.cli.app_choice import app_argument, app_or_example, apps_to_serve
from switchyard.core.app import App
from switchyard.core.bundled import APPS, SQL
from switchyard.core.errors import SwitchyardError
from switchyard.environment import read_settings
from switchyard.local.layout import Layout
from switchyard.local.submitted_jobs import StackJob, SubmittedJobs
from tests.cli.conftest import FakeCluster, Run

TOPICS = ("routing-decisions", "workflow-status", "dead-letters", "control", "agent-messages", "incoming-leads")

Submitted = Callable[..., None]


@pytest.fixture(autouse=True)
def elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """In an empty folder, with nothing set."""
    monkeypatch.delenv("SWITCHYARD_APP")
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")


@pytest.fixture
def helpdesk(run: Run, tmp_path: Path) -> Path:
    assert run("new", "app", str(tmp_path / "helpdesk")).exit_code == 0
    return tmp_path / "helpdesk"


@pytest.fixture
def submitted() -> Submitted:
    """Writes down that an app was submitted to the local stack."""

    def submit(app: str, namespace: str, wanted: bool = True) -> None:
        layout = Layout.of(read_settings())
        layout.jobs.mkdir(parents=True, exist_ok=True)
        SubmittedJobs(layout).save(StackJob(app, namespace, False, False, "job-1", True, wanted=wanted))

    return submit


def write(kafka: type[FakeCluster], namespace: str, time: int = 0) -> None:
    """The topics of a namespace; with a time, an input that came then."""
    for name in TOPICS:
        kafka.content.setdefault(f"{namespace}.{name}", [])
    if time:
        kafka.add(f"{namespace}.incoming-leads", b"", b"{}", time)


def test_an_app_that_is_named_is_meant(helpdesk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SWITCHYARD_APP", "finance")
    monkeypatch.chdir(helpdesk)
    assert app_argument("sdr", read_settings()) == "sdr"
    assert app_argument(str(helpdesk), read_settings()) == str(helpdesk)


def test_else_the_folder_one_stands_in(helpdesk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SWITCHYARD_APP", "finance")
    monkeypatch.chdir(helpdesk)
    assert app_argument(None, read_settings()) == "."
    monkeypatch.chdir(helpdesk / "contracts")
    assert app_argument(None, read_settings()) == str(helpdesk)


def test_the_folder_of_a_bundled_app_has_its_sql(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(APPS / "sdr")
    app = App.load(app_argument(None, read_settings()))
    assert (app.name, app.folder, app.sql) == ("sdr", APPS / "sdr", SQL / "sdr")


def test_else_what_the_environment_says(monkeypatch: pytest.MonkeyPatch, submitted: Submitted) -> None:
    submitted("sdr", "sdr")
    monkeypatch.setenv("SWITCHYARD_APP", "finance")
    assert app_argument(None, read_settings(), guess=False) == "finance"


def test_else_the_only_one_that_was_submitted(helpdesk: Path, submitted: Submitted) -> None:
    submitted("sdr", "sdr", wanted=False)
    assert app_argument(None, read_settings()) == "sdr"
    submitted(str(helpdesk), "helpdesk")
    submitted(str(helpdesk), "helpdesk-2")
    assert app_argument(None, read_settings()) == str(helpdesk)
    submitted("finance", "finance-00c0de")
    with pytest.raises(SwitchyardError, match=rf"the stack has finance, {helpdesk}$"):
        app_argument(None, read_settings())


def test_else_an_error_lists_what_there_is() -> None:
    with pytest.raises(SwitchyardError, match=r"set SWITCHYARD_APP; there are finance, sdr$"):
        app_argument(None, read_settings())


def test_what_shows_switchyard_takes_the_example_then(submitted: Submitted) -> None:
    assert app_or_example(None, read_settings()) == "sdr"
    assert apps_to_serve([], read_settings()) == ["sdr"]
    submitted("finance", "finance")
    assert app_or_example(None, read_settings()) == "finance"
    assert apps_to_serve([], read_settings()) == ["finance"]
    assert apps_to_serve(["sdr"], read_settings()) == ["sdr"]
    with pytest.raises(SwitchyardError, match="there is no such app"):
        app_or_example("nowhere", read_settings())


def test_an_app_that_was_submitted_from_a_folder_is_known_by_its_name(
    run: Run, kafka: type[FakeCluster], helpdesk: Path, submitted: Submitted
) -> None:
    write(kafka, "helpdesk")
    assert "there is no such app; name one of finance, sdr, or" in run("workflows", "--app", "helpdesk").stderr
    submitted(str(helpdesk), "helpdesk", wanted=False)
    assert "There are no workflows in helpdesk yet" in run("workflows", "--app", "helpdesk").stdout
    shutil.rmtree(helpdesk)
    assert "there is no such app; name one of finance, sdr, or" in run("workflows", "--app", "helpdesk").stderr


def test_an_app_whose_worker_the_stack_had_is_known(helpdesk: Path) -> None:
    layout = Layout.of(read_settings())
    layout.run.mkdir(parents=True)
    layout.apps_file.write_text(json.dumps({"helpdesk-0a1b2c": str(helpdesk), "gone": "/nowhere"}))
    assert app_argument("helpdesk", read_settings()) == app_argument(None, read_settings()) == str(helpdesk)
    layout.apps_file.write_text(json.dumps({"sdr": str(APPS / "sdr")}))
    assert app_argument(None, read_settings()) == "sdr"


def test_send_never_guesses(run: Run, kafka: type[FakeCluster], submitted: Submitted) -> None:
    submitted("sdr", "sdr")
    write(kafka, "sdr")
    refused = run("send", "-", input="{}\n")
    assert refused.exit_code == 1
    assert "which app (this command never guesses)? Give its name" in refused.stderr
    assert refused.stderr.endswith("; the stack has sdr\n")
    assert "Sent 1 message to sdr.incoming-leads" in run("send", "-", "--app", "sdr", input="{}\n").stdout


def test_the_only_namespace_of_an_app_is_shown(run: Run, kafka: type[FakeCluster]) -> None:
    for namespace in ("sdr-00c0de", "sdr-copy", "finance"):
        write(kafka, namespace)
    result = run("workflows", "--app", "sdr")
    assert "There are no workflows in sdr-00c0de yet" in result.stdout
    assert "--app sdr --namespace sdr-00c0de" in result.stdout
    assert result.stderr == ""


def test_of_several_namespaces_the_newest_is_shown_and_a_line_says_so(run: Run, kafka: type[FakeCluster]) -> None:
    for namespace, time in (("sdr", 1_000), ("sdr-00c0de", 3_000), ("sdr-0a1b2c", 2_000)):
        write(kafka, namespace, time)
    result = run("workflows", "--app", "sdr")
    assert "There are no workflows in sdr-00c0de yet" in result.stdout
    assert result.stderr == (
        "Several namespaces of sdr are there (sdr, sdr-00c0de, sdr-0a1b2c); showing sdr-00c0de, the newest. "
        "Choose with --namespace.\n"
    )
    assert run("workflows", "--app", "sdr", "--namespace", "sdr").stderr == ""


def test_what_changes_something_takes_the_own_namespace_or_the_only_one(run: Run, kafka: type[FakeCluster]) -> None:
    write(kafka, "sdr-00c0de")
    assert "Sent 1 message to sdr-00c0de.incoming-leads" in run("send", "-", "--app", "sdr", input="{}\n").stdout
    write(kafka, "sdr-0a1b2c")
    refused = run("pause", "sdr")
    assert refused.exit_code == 1
    assert "several namespaces of sdr are there (sdr-00c0de, sdr-0a1b2c); choose with --namespace" in refused.stderr
    write(kafka, "sdr")
    assert "shards of sdr to pause" in run("pause", "sdr").stdout


def test_a_namespace_of_ones_own_is_the_apps_where_the_stack_knows(
    run: Run, kafka: type[FakeCluster], submitted: Submitted
) -> None:
    write(kafka, "mine")
    submitted("sdr", "mine")
    assert "There are no workflows in mine yet" in run("workflows").stdout
