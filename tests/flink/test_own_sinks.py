"""An app's own tables and sinks: what a sink may read, where it writes, and that no test writes there by chance."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from switchyard.core.app import App
from switchyard.flink import job as flink_job
from switchyard.flink import stateless_job
from switchyard.local.model_server.scripted import ScriptedServer
from switchyard.testing.minicluster import MiniCluster
from tests.flink.support import answer, copy_of, created

pytestmark = pytest.mark.flink

TABLES = """\
-- Leads that are never routed.
CREATE TEMPORARY VIEW wanted AS SELECT * FROM events WHERE JSON_VALUE(data, '$.company') <> 'Nobody';
"""
WRITTEN = {
    "decisions": "workflow_id STRING, subject STRING, agents ARRAY<STRING>, decided_by STRING, decided_at "
    "TIMESTAMP_LTZ(3), model_calls INT, confidence DOUBLE, ledger_partition INT, ledger_offset BIGINT",
    "dispatches": "workflow_id STRING, agent STRING, dispatch_id STRING, event_type STRING",
    "workflow_statuses": "workflow_id STRING, status STRING, started_at TIMESTAMP_LTZ(3), ended_at TIMESTAMP_LTZ(3), "
    "tokens BIGINT, status_id STRING",
    "dead_letters_written": "reason STRING, read_topic STRING, read_offset BIGINT, original STRING",
}


def with_sinks(folder: Path, target: Path, *views: str) -> App:
    app = copy_of("sdr", folder)
    (app.sql / "tables.sql").write_text(TABLES)
    requests = app.sql / "requests.sql"
    requests.write_text(requests.read_text().replace("FROM events;", "FROM wanted;"))
    statements = []
    for view in views:
        columns = WRITTEN[view]
        names = ", ".join(part.split()[0] for part in columns.split(", "))
        statements += [
            f"CREATE TEMPORARY TABLE own_{view} ({columns}) WITH ('connector' = 'filesystem', 'format' = 'json',"
            f" 'path' = '{target}/${{namespace}}/{view}', 'sink.rolling-policy.file-size' = '1 GB');",
            f"INSERT INTO own_{view} SELECT {names} FROM {view};",
        ]
    (app.sql / "sinks.sql").write_text("\n".join(statements))
    return App.load(str(folder))


def rows(folder: Path) -> Iterator[dict[str, Any]]:
    """What a file sink wrote, in files that are still open, too."""
    for path in folder.glob(".part-*"):
        for line in path.read_text().splitlines(keepends=True):
            if line.endswith("\n"):
                yield json.loads(line)


def test_a_sink_gets_ledger_dispatches_statuses_and_dead_letters_as_columns(
    tmp_path: Path, mini_cluster: Callable[..., MiniCluster]
) -> None:
    target = tmp_path / "lake"
    job = mini_cluster(with_sinks(tmp_path / "sdr", target, *WRITTEN), own_sinks=True)
    job.publish("agent-messages", created(1))
    job.publish("agent-messages", b"{no json")

    def whole(_: object) -> bool:
        counts = {view: len(list(rows(target / "sdr" / view))) for view in WRITTEN}
        ended = any(row["status"] == "completed" for row in rows(target / "sdr" / "workflow_statuses"))
        return ended and counts["decisions"] == 3 and counts["dispatches"] == 2 and counts["dead_letters_written"] == 1

    job.until(whole, answer)
    found = {view: list(rows(target / "sdr" / view)) for view in WRITTEN}
    assert {row["workflow_id"] for row in found["decisions"]} == {"lead-1"}
    assert sorted(row["agents"] for row in found["decisions"]) == [[], ["lead-ingestion"], ["lead-scoring"]]
    assert all(row["decided_at"].startswith("20") and row["model_calls"] == 1 for row in found["decisions"])
    assert len({row["ledger_offset"] for row in found["decisions"]}) == 3
    assert {row["agent"] for row in found["dispatches"]} == {"lead-ingestion", "lead-scoring"}
    [last] = [row for row in found["workflow_statuses"] if row["status"] == "completed"]
    assert last["ended_at"] >= last["started_at"]
    assert all(value is not None for value in last.values())
    assert [(row["reason"], row["read_topic"]) for row in found["dead_letters_written"]] == [
        ("not-json", "sdr.agent-messages")
    ]


def test_a_test_leaves_own_sinks_out_unless_it_asks_for_them(tmp_path: Path) -> None:
    app = with_sinks(tmp_path / "sdr", tmp_path / "lake", "decisions")
    plans = [
        MiniCluster(app, tmp_path / f"job-{own}", "http://127.0.0.1:1/v1", own_sinks=own).plan()[1].explain()
        for own in (False, True)
    ]
    assert ["own_decisions" in plan for plan in plans] == [False, True]


def test_the_stateless_job_has_sinks_of_ledger_and_dispatches(
    tmp_path: Path, scripted_model: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(flink_job, "build_job", stateless_job.build_job)
    app = with_sinks(tmp_path / "sdr", tmp_path / "lake", "decisions", "dispatches")
    _, statements = MiniCluster(app, tmp_path / "job", scripted_model.base_url, own_sinks=True).plan()
    plan = statements.explain().partition("== Optimized Execution Plan ==")[2]
    assert plan.count("route_message(") == 1
    assert "own_decisions" in plan
    assert "own_dispatches" in plan
