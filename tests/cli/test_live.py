"""What a demo shows: in words while nothing is decided yet, and only figures that the app has."""

from __future__ import annotations

import re
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from switchyard.cli.live import Screen
from switchyard.cli.observe import Observed
from switchyard.cli.summary import in_words, logs_of, lost, summary
from switchyard.core.app import App
from switchyard.core.ledger.effective import FirstRecords
from switchyard.core.ledger.record import Decision, parse_record
from switchyard.local.health import Health
from switchyard.local.info import ProgramRecord, StackInfo
from switchyard.testing.memory import InMemory
from tests.cli.test_topics import choose
from tests.core.toy import opened, registry


def stack(home: Path, *programs: str) -> StackInfo:
    return StackInfo(
        stack_id="s",
        home=home,
        kafka="k:1",
        flink="http://f:1",
        model_base_url="http://m:1/v1",
        model_embedded=False,
        smtp_host="h",
        smtp_port=1,
        mail_folder=home / "mail",
        prometheus_ports={},
        flink_env={},
        programs={name: ProgramRecord(None, Health("none"), f"/log/{name}.log") for name in programs},
    )


@pytest.fixture
def decision() -> Decision:
    memory = InMemory(registry(), choose, {})  # type: ignore[arg-type]
    memory.publish(opened(1))
    memory.settle()
    return next(record for line in memory.ledger if isinstance(record := parse_record(line), Decision))


def screen(monkeypatch: pytest.MonkeyPatch, terminal: bool) -> tuple[Screen, StringIO]:
    written = StringIO()
    console = Console(file=written, force_terminal=terminal, width=120, highlight=False)
    monkeypatch.setattr("switchyard.terminal.console", lambda **_: console)
    return Screen(quiet=False), written


def test_while_flink_starts_it_says_so(monkeypatch: pytest.MonkeyPatch, decision: Decision) -> None:
    shown, written = screen(monkeypatch, terminal=False)
    monkeypatch.setattr("switchyard.cli.live.EVERY_S", -1)
    with shown.step("Flink is planning the SQL and starting the job"):
        pass
    with shown.live():
        shown.show(Observed(), [])
        shown.show(Observed(workflows={"w1": {"status": "running"}}), [])
        shown.show(Observed(_first=FirstRecords([decision])), [decision])
    assert re.sub(r"\d+ s\)", "… s)", written.getvalue()).splitlines() == [
        "Flink is planning the SQL and starting the job ...",
        "Flink starts the job's Python (… s) ...",
        "1 workflow begun; the first decisions are made (… s) ...",
        "0 of 0 workflows ended, 1 decision, 0 dead letters",
    ]


def test_a_terminal_shows_the_seconds_of_a_step(monkeypatch: pytest.MonkeyPatch) -> None:
    shown, written = screen(monkeypatch, terminal=True)
    with shown.step("Starting the agents"):
        shown.say("worker-sdr is healthy")
    assert re.search(r"Starting the agents \(\d+ s\) \.\.\.", written.getvalue())
    assert "worker-sdr is healthy" in written.getvalue()


@pytest.mark.parametrize(("app", "with_mails"), [("sdr", True), ("finance", False)])
def test_mails_are_counted_only_where_an_app_sends_some(tmp_path: Path, app: str, with_mails: bool) -> None:
    figures = summary(App.load(app), Observed(), stack(tmp_path), app, 1.0)
    assert ("emails" in figures) is with_mails
    assert in_words(App.load(app), 2) == ("2 mails still to be sent" if with_mails else "2 still to do")


def test_what_is_missing_at_the_end_names_the_logs(tmp_path: Path) -> None:
    info = stack(tmp_path, "kafka", "flink-taskmanager", "worker-sdr-00c0de")
    logs = logs_of(info, "sdr-00c0de")
    assert logs == "/log/worker-sdr-00c0de.log and /log/flink-taskmanager.log"
    assert lost(3, {"workflows": 2, "duplicates": 0}, Observed(), logs) == [
        f"1 of 3 lines led to nothing; look into {logs}"
    ]
    assert lost(3, {"workflows": 2, "duplicates": 1}, Observed(), logs) == []
    assert logs_of(stack(tmp_path), "sdr") == str(tmp_path / "log")
