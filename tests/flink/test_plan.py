"""Operator ids decide which state and which offsets a restored job gets: they must stay over edited SQL."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pyflink.datastream import StreamExecutionEnvironment

from switchyard.core.app import App
from switchyard.flink.tables import Loader
from switchyard.testing.minicluster import MiniCluster
from tests.flink.support import copy_of, edited

pytestmark = pytest.mark.flink

RULE = ("-- WHEN type = 'lead.created' THEN", "WHEN type = 'lead.created' THEN")
SOURCE = """CREATE TEMPORARY TABLE partner_leads (data STRING) WITH ('connector' = 'datagen', 'number-of-rows' = '1');
"""
FROM = "FROM incoming_leads;"
UNION = "FROM (SELECT data FROM {} UNION ALL SELECT data FROM {}) AS leads;"
LAST = "FROM events;"
BRANCH = """FROM events WHERE type = 'lead.created'
UNION ALL SELECT *, ARRAY['lead-scoring'] AS rule_agents FROM events WHERE type = 'lead.profiled';"""
PARTNERS = """CREATE TEMPORARY TABLE partner_events (
  workflow_id STRING, id STRING, source STRING, type STRING, causation_id STRING, data STRING, hops INT, shard INT,
  `value` BYTES, `topic` STRING, `partition` INT, `offset` BIGINT
) WITH ('connector' = 'datagen', 'number-of-rows' = '1');
"""
BOTH = "FROM (SELECT * FROM {} UNION ALL SELECT * FROM {}) AS events;"
AUDIT = "CREATE TEMPORARY TABLE audit (id STRING, type STRING) WITH ('connector' = 'blackhole');\n"
INSERT = "INSERT INTO audit SELECT id, type FROM {};\n"

UDFS = """
from pyflink.table.udf import udf


@udf(result_type="BOOLEAN")
def wanted(company):
    return company != "Nobody"
"""
TABLE = "CREATE TEMPORARY TABLE lake ({}) WITH ('connector' = 'filesystem', 'format' = 'json', 'path' = '/tmp/lake');\n"

Edit = Callable[[App], App]


def own_functions_tables_and_sinks(app: App) -> App:
    (app.folder / "udfs.py").write_text(UDFS)
    (app.sql / "tables.sql").write_text(SOURCE + PARTNERS)
    (app.sql / "sinks.sql").write_text(
        AUDIT
        + INSERT.format("(SELECT subject AS id, action AS type FROM decisions)")
        + INSERT.format("(SELECT workflow_id AS id, status AS type FROM workflow_statuses)")
        + INSERT.format("events WHERE wanted(JSON_VALUE(data, '$.company'))")
        + TABLE.format("agent STRING")
        + "INSERT INTO lake SELECT agent FROM dispatches;"
    )
    return edited(app, "requests.sql", (LAST, "FROM events WHERE wanted(JSON_VALUE(data, '$.company'));"))


EDITS: dict[str, Edit] = {
    "own functions, tables and sinks": own_functions_tables_and_sinks,
    "another rule": lambda app: edited(app, "requests.sql", RULE),
    "another filter": lambda app: edited(app, "requests.sql", (LAST, "FROM events WHERE hops < 3;")),
    "a union": lambda app: edited(app, "requests.sql", (LAST, BRANCH)),
    "an extra source": lambda app: edited(
        app,
        "requests.sql",
        ("-- Leads from", f"{SOURCE}-- Leads from"),
        (FROM, UNION.format("incoming_leads", "partner_leads")),
    ),
    "an extra source, union swapped": lambda app: edited(
        app,
        "requests.sql",
        ("-- Leads from", f"{SOURCE}-- Leads from"),
        (FROM, UNION.format("partner_leads", "incoming_leads")),
    ),
    "an extra source of events": lambda app: edited(
        app, "requests.sql", ("-- Which", f"{PARTNERS}-- Which"), (LAST, BOTH.format("events", "partner_events"))
    ),
    "an extra source of events, union swapped": lambda app: edited(
        app, "requests.sql", ("-- Which", f"{PARTNERS}-- Which"), (LAST, BOTH.format("partner_events", "events"))
    ),
    "an extra INSERT first": lambda app: edited(
        app, "requests.sql", ("-- Leads from", AUDIT + INSERT.format("events") + "-- Leads from")
    ),
    "extra INSERTs last": lambda app: edited(
        app,
        "dispatch.sql",
        (
            "-- What is",
            AUDIT
            + INSERT.format("events")
            + INSERT.format("(SELECT dispatch_id AS id, agent AS type FROM dispatches)")
            + "-- What is",
        ),
    ),
}


def ids(app: App, folder: Path) -> dict[str, str]:
    """Name → operator id, of the orchestrator and of the app's own sources, as the job graph has them."""
    job = MiniCluster(app, folder, "http://127.0.0.1:1/v1", own_sinks=True)
    environment, statements = job.plan()
    statements.attach_as_datastream()
    stream = StreamExecutionEnvironment(environment._j_tenv.execEnv())
    graph = stream._generate_stream_graph(True).getJobGraph()
    found: dict[str, str] = {}
    for vertex in _each(graph.getVertices()):
        for pair in _each(vertex.getOperatorIDs()):
            name = re.sub(r"\[\d+\]|^Source: ", "", str(pair.getUserDefinedOperatorName()))
            if name in ("orchestrator", "agent_messages", "routing_decisions", "control", "incoming_leads_topic"):
                assert name not in found, f"{name} is there twice"
                found[name] = str(pair.getGeneratedOperatorID())
    return found


def _each(items: Any) -> Any:
    iterator = items.iterator()
    while iterator.hasNext():
        yield iterator.next()


@pytest.fixture(scope="module")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return ids(App.load("sdr"), tmp_path_factory.mktemp("shipped"))


def test_the_operator_and_all_sources_are_in_the_plan_once(shipped: dict[str, str]) -> None:
    assert sorted(shipped) == ["agent_messages", "control", "incoming_leads_topic", "orchestrator", "routing_decisions"]
    assert len(set(shipped.values())) == 5


@pytest.mark.parametrize("edit", EDITS.values(), ids=EDITS.keys())
def test_ids_stay_over_edited_sql(edit: Edit, shipped: dict[str, str], tmp_path: Path) -> None:
    app = edit(copy_of("sdr", tmp_path / "sdr"))
    assert ids(app, tmp_path / "job") == shipped


def test_without_fixed_ids_an_extra_source_changes_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the tests above would say if nothing fixed the ids."""

    fixed = Loader.register_source

    def only_view(self: Loader, table: str) -> None:
        if table == "control":  # two views read it, so without an id of its own it is two sources
            fixed(self, table)
            return
        self.environment.create_temporary_view(f"{table}_source", self.environment.from_path(table))

    monkeypatch.setattr(Loader, "register_source", only_view)
    app = copy_of("sdr", tmp_path / "sdr")
    before = ids(app, tmp_path / "before")
    after = ids(EDITS["an extra source of events, union swapped"](app), tmp_path / "after")
    assert before.keys() == after.keys()
    assert before["routing_decisions"] != after["routing_decisions"]
