"""The app's own cases, run as `switchyard test` runs them."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
from typer.testing import CliRunner

from switchyard.cli.main import app as switchyard
from switchyard.testing.cases import CaseError, load
from tests.flink.support import copy_of, edited

pytestmark = pytest.mark.flink


@pytest.mark.parametrize("app", ["sdr", "finance"])
def test_the_cases_of_the_shipped_apps_pass(app: str) -> None:
    handlers = logging.getLogger().handlers[:]
    result = CliRunner().invoke(switchyard, ["test", app])
    assert result.exit_code == 0, result.output
    assert "FAILED" not in result.output
    assert logging.getLogger().handlers == handlers


def test_a_wrong_expectation_fails_and_says_where(tmp_path: Path) -> None:
    app = copy_of("sdr", tmp_path / "sdr")
    cases = app.sql / "tests" / "routing.yaml"
    text = cases.read_text(encoding="utf-8")
    right, wrong = "event: lead.scored, agents: [active-outreach]", "event: lead.scored, agents: [nurture-campaign]"
    cases.write_text(text.replace(right, wrong), encoding="utf-8")
    line = text[: text.index(right)].count("\n") + 1

    result = CliRunner().invoke(switchyard, ["test", str(app.folder), "--case", "outreach"])

    assert result.exit_code == 1
    assert (
        f"{cases}:{line} outreach: decision 3: expected agents [nurture-campaign], found [active-outreach] "
        "(by model: it asks for a demo)"
    ) in result.output


def test_a_job_that_fails_is_told_in_a_sentence(tmp_path: Path) -> None:
    bad = "FROM dispatches;\nCREATE TEMPORARY TABLE bad (a INT) WITH ('connector' = 'blackhole');\n"
    bad += "INSERT INTO bad SELECT CAST(agent AS INT) FROM dispatches;"
    app = edited(copy_of("sdr", tmp_path / "sdr"), "dispatch.sql", ("FROM dispatches;", bad))
    result = CliRunner().invoke(switchyard, ["test", str(app.folder), "--case", "outreach"])
    assert result.exit_code == 1
    assert "the job failed: For input string: 'lead-ingestion'" in result.output


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("- name: nurture", "- name: outreach"), "name 'outreach' is that of"),
        (("workflow: lead-t2", "workflow: lead-t1"), "workflow 'lead-t1' is that of"),
        (("topic: incoming-leads", "topic: leads"), "the app has no input 'leads'"),
        (("    lead-ingestion:\n", "    lead-digestion:\n"), "the app has no agent 'lead-digestion'"),
        (("lead.created: lead-ingestion", "lead.made: lead-ingestion"), "the app has no event type 'lead.made'"),
        (("status: completed", "status: done"), "expect.status"),
        (("status: completed", "states: completed"), "expect.states"),
        (("agents: [active-outreach], reason", "agents: [active-outreach, reason"), "expected ',' or ']'"),
    ],
)
def test_a_file_that_cannot_be_used_is_told_with_its_line(
    change: tuple[str, str], message: str, tmp_path: Path
) -> None:
    app = copy_of("sdr", tmp_path / "sdr")
    path = app.sql / "tests" / "routing.yaml"
    text = path.read_text(encoding="utf-8")
    assert change[0] in text
    path.write_text(text.replace(*change, 1), encoding="utf-8")
    with pytest.raises(CaseError) as caught:
        load(app)
    assert message in str(caught.value)
    assert str(caught.value).startswith(f"{path}:")
