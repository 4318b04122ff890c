"""The job in plain SQL: what its plan promises, and that it keeps it."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from pyflink.table import DataTypes

from switchyard.core.app import App
from switchyard.core.job_config import JobConfig
from switchyard.core.ledger.record import Decision, parse_record
from switchyard.core.orchestrator.ledger_view import derive
from switchyard.core.settings import Settings
from switchyard.flink import job as flink_job
from switchyard.flink import stateless_job
from switchyard.local.model_server.scripted import ScriptedServer
from switchyard.testing.minicluster import FLINK, MiniCluster, Output
from tests.flink.support import answer, copy_of, created, edited

pytestmark = pytest.mark.flink

AUDIT = "CREATE TEMPORARY TABLE audit (id STRING) WITH ('connector' = 'blackhole');\n"
INSERT = "INSERT INTO audit SELECT dispatch_id FROM dispatches;\n"


def job(app: App, folder: Path, url: str, monkeypatch: pytest.MonkeyPatch) -> MiniCluster:
    """The stateless job where MiniCluster would run the orchestrator's."""
    monkeypatch.setattr(flink_job, "build_job", stateless_job.build_job)
    return MiniCluster(app, folder, url, flink=stateless_job.options(config(app, url)))


def config(app: App, url: str) -> JobConfig:
    settings = Settings(shards=4)
    return JobConfig.of(
        app.registry, "sdr", settings, sql_version="", model_base_url=url, model="scripted", embedded=True
    )


def plan_of(explained: str) -> str:
    return explained.partition("== Optimized Execution Plan ==")[2]


def test_each_message_and_each_record_costs_one_call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    app = edited(copy_of("sdr", tmp_path / "sdr"), "dispatch.sql", ("-- What is", AUDIT + INSERT + "-- What is"))
    _, statements = job(app, tmp_path / "job", "http://127.0.0.1:1/v1", monkeypatch).plan()
    plan = plan_of(statements.explain())
    assert plan.count("route_message(") == 2  # of what is sent, and of what an operator sends again
    assert plan.count("read_decision(") == 1
    assert "Deduplicate(keep=[FirstRow]" in plan
    assert "Rank(" not in plan


def test_any_use_of_an_answer_shares_its_one_call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    app = App.load("sdr")
    with ScriptedServer() as model:
        given = config(app, model.base_url)
        environment = flink_job.environment("test", given, 1, **{**FLINK, **stateless_job.options(given)})
        fields = [
            DataTypes.FIELD("text", DataTypes.STRING()),
            DataTypes.FIELD("topic", DataTypes.STRING()),
            DataTypes.FIELD("partition", DataTypes.INT()),
            DataTypes.FIELD("offset", DataTypes.BIGINT()),
            DataTypes.FIELD("rule_agents", DataTypes.ARRAY(DataTypes.STRING())),
        ]
        rules = [None, None, None, None, ["lead-ingestion"]]
        rows = [(created(n).decode(), "t", 0, n, rule) for n, rule in enumerate(rules)]
        table = environment.from_elements([*rows, ("{no json", "t", 0, 9, None)], DataTypes.ROW(fields))
        environment.create_temporary_view("requests", table)
        environment.execute_sql(
            "CREATE TEMPORARY FUNCTION route_message AS 'udfs.route_message.route_message' LANGUAGE PYTHON"
        )
        environment.execute_sql(
            "CREATE TEMPORARY VIEW decided AS "
            "SELECT `offset`, route_message(ENCODE(text, 'UTF-8'), `topic`, `partition`, `offset`, rule_agents) AS d "
            "FROM requests"
        )
        environment.execute_sql("CREATE TEMPORARY TABLE sunk (a STRING, b STRING) WITH ('connector' = 'blackhole')")
        both = environment.create_statement_set()
        for field in ("subject", "reason"):
            both.add_insert_sql(
                f"INSERT INTO sunk SELECT JSON_VALUE(d, '$.{field}'), d FROM decided "
                "WHERE JSON_VALUE(d, '$.action') = 'dispatch'"
            )
        assert plan_of(both.explain()).count("route_message(") == 1
        both.execute().wait()
        assert model.counts.by_purpose()["routing"] == 4

        with environment.execute_sql("SELECT `offset`, d FROM decided").collect() as results:
            found = {row[0]: parse_record(row[1]) for row in results}
    records = [record for _, record in sorted(found.items()) if isinstance(record, Decision)]
    assert [record.decided_by for record in records] == ["model"] * 4 + ["rule", "guard"]
    assert [record.workflow_id for record in records[:5]] == [f"lead-{n}" for n in range(5)]
    assert (records[5].code, records[5].position.offset) == ("not-json", 9)


def test_workflows_complete_and_a_repeat_is_acted_on_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def done(outputs: list[Output]) -> bool:
        known = derive(decisions(outputs))
        return len(known) == 3 and all(item["status"] == "completed" for item in known.values())

    with ScriptedServer() as model, job(App.load("sdr"), tmp_path, model.base_url, monkeypatch) as running:
        for number in (1, 2, 3, 1):
            running.publish("agent-messages", created(number))
        running.publish("agent-messages", b"{no json")
        outputs = running.until(done, answer)
        calls = model.counts.by_purpose()["routing"]
    records = decisions(outputs)
    assert calls == sum(record.model_calls for record in records) == len(records) == 10
    assert sum(item["duplicates"] for item in derive(records).values()) == 1
    inboxes = Counter(output.inbox for output in outputs if output.topic == "agent-inboxes")
    assert inboxes == {"sdr.agent.lead-ingestion": 3, "sdr.agent.lead-scoring": 3}
    letters = [output.value for output in outputs if output.topic == "dead-letters"]
    assert len(letters) == 1
    assert b'"not-json"' in letters[0]


def decisions(outputs: list[Output]) -> list[Decision]:
    records = [parse_record(output.value) for output in outputs if output.topic == "routing-decisions"]
    return [record for record in records if isinstance(record, Decision)]
