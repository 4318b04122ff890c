"""An app's own tables and sinks: what a sink may read, where it writes, and that no test writes there by chance."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from switchyard.core.app import App
from switchyard.core.bundled import SQL
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
VIEWS = ("decisions", "dispatches", "workflow_statuses", "dead_letters_written", "events")
MAY_BE_NULL = {
    "decisions": {"code", "cost"},
    "workflow_statuses": {"code", "cost"},
    "dead_letters_written": {"workflow_id", "event_id"},
    "events": {"causation_id"},
}


def documented(view: str) -> dict[str, str]:
    """Columns and types of a view as sql/README.md lists them."""
    text = (SQL / "README.md").read_text(encoding="utf-8")
    [paragraph] = re.findall(rf"^`{view}`: one row .*?\n\n", text, re.M | re.S)
    columns = dict(re.findall(r"`(\w+)\s([A-Z][^`]*)`", paragraph))
    assert len(columns) == paragraph.count("`") // 2 - 1
    return columns


def with_sinks(folder: Path, target: Path, *views: str) -> App:
    app = copy_of("sdr", folder)
    (app.sql / "tables.sql").write_text(TABLES)
    requests = app.sql / "requests.sql"
    requests.write_text(requests.read_text().replace("FROM events;", "FROM wanted;"))
    statements = []
    for view in views:
        columns = ", ".join(f"`{name}` {kind}" for name, kind in documented(view).items())
        names = ", ".join(f"`{name}`" for name in documented(view))
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


def test_a_sink_gets_what_the_readme_promises(tmp_path: Path, mini_cluster: Callable[..., MiniCluster]) -> None:
    target = tmp_path / "lake"
    job = mini_cluster(with_sinks(tmp_path / "sdr", target, *VIEWS), own_sinks=True)
    job.publish("agent-messages", created(1))
    job.publish("agent-messages", b"{no json")

    def whole(_: object) -> bool:
        counts = {view: len(list(rows(target / "sdr" / view))) for view in VIEWS}
        ended = any(row["status"] == "completed" for row in rows(target / "sdr" / "workflow_statuses"))
        written = (counts["decisions"], counts["events"], counts["dispatches"], counts["dead_letters_written"])
        return ended and written == (3, 3, 2, 1)

    job.until(whole, answer)
    written = {view: list(rows(target / "sdr" / view)) for view in VIEWS}
    for view in VIEWS:
        empty = {name for name in documented(view) if all(row.get(name) is None for row in written[view])}
        assert empty <= MAY_BE_NULL.get(view, set()), view
    decisions = sorted(written["decisions"], key=lambda row: str(row["step"]))
    assert [row["agents"] for row in decisions] == [["lead-ingestion"], ["lead-scoring"], []]
    assert [row["model_calls"] for row in decisions] == [1, 1, 1]
    assert len({row["ledger_offset"] for row in decisions}) == 3
    assert json.loads(decisions[0]["record"])["subject"] == decisions[0]["subject"]
    assert {row["agent"] for row in written["dispatches"]} == {"lead-ingestion", "lead-scoring"}
    [last] = [row for row in written["workflow_statuses"] if row["status"] == "completed"]
    assert last["ended_at"] >= last["started_at"] >= "2020"
    [letter] = written["dead_letters_written"]
    assert (letter["reason"], letter["read_topic"], base64.b64decode(letter["original"])) == (
        "not-json",
        "sdr.agent-messages",
        b"{no json",
    )


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
    assert plan.count("route_message(") == 2  # of what is sent, and of what an operator sends again
    assert "own_decisions" in plan
    assert "own_dispatches" in plan
