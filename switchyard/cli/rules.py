"""The rules of an app's `requests.sql`, run in this process on one event: no Kafka, no cluster."""

from __future__ import annotations

import re
from typing import Any

from pyflink.table import DataTypes

from switchyard.core import strictjson
from switchyard.core.app import App
from switchyard.core.errors import SwitchyardError
from switchyard.core.event import Event
from switchyard.core.input_validator import InputValidator
from switchyard.core.job_config import JobConfig
from switchyard.core.shards import shard_of
from switchyard.core.topics import table_name
from switchyard.flink import app_sql, job, sql_file
from switchyard.flink.tables import Loader
from switchyard.testing.process_state import ProcessState

_STRINGS = ("workflow_id", "id", "source", "type", "causation_id", "data")
_PLACE = [
    DataTypes.FIELD("topic", DataTypes.STRING()),
    DataTypes.FIELD("partition", DataTypes.INT()),
    DataTypes.FIELD("offset", DataTypes.BIGINT()),
]
_EVENTS = DataTypes.ROW(
    [DataTypes.FIELD(name, DataTypes.STRING()) for name in _STRINGS]
    + [DataTypes.FIELD("hops", DataTypes.INT()), DataTypes.FIELD("shard", DataTypes.INT())]
    + [DataTypes.FIELD("value", DataTypes.BYTES()), *_PLACE]
)
_INPUT = DataTypes.ROW([DataTypes.FIELD("data", DataTypes.STRING()), *_PLACE])
_INTO_EVENTS = re.compile(r"\bINSERT\s+INTO\s+agent_messages\b", re.I)
_AGENT_MESSAGES = """\
CREATE TEMPORARY TABLE agent_messages (`key` BYTES, `value` BYTES) WITH ('connector' = 'blackhole')"""


def rule_agents(app: App, config: JobConfig, event: Event) -> tuple[str, ...] | None:
    """What the rules say about an event; None where they leave it to a model. Raises SqlError."""
    text = event.json().encode()
    shard = shard_of(event.workflow_id, config.shards)
    columns = (event.workflow_id, event.id, event.source, event.type, event.causation_id)
    row = (*columns, strictjson.dumps(event.data), event.hops, shard, bytearray(text), "agent-messages", 0, 0)
    environment = _prepared(app, config, [row], {})
    for row in _rows(environment, "SELECT rule_agents FROM routing_requests"):
        return None if row[0] is None else tuple(row[0])
    raise SwitchyardError("requests.sql leaves this event out of routing_requests: it would not be routed at all")


def events_of(app: App, config: JobConfig, topic: str, raw: bytes) -> list[bytes]:
    """The events that `requests.sql` makes of one line of an input topic. Raises Rejected, SqlError."""
    event_type = next((item.type for item in app.registry.file.inputs if item.topic == topic), None)
    if event_type is None:
        topics = ", ".join(item.topic for item in app.registry.file.inputs) or "none"
        raise SwitchyardError(f"{topic!r} is no input topic of the app; there are {topics}")
    data = strictjson.dumps(InputValidator(app.registry).data(event_type, raw))
    environment = _prepared(app, config, [], {topic: data})
    made = []
    for statement in sql_file.read_own(app.sql / "requests.sql", config.namespace):
        insert = _INTO_EVENTS.search(statement.code)
        if statement.kind == "INSERT" and insert:
            made += [bytes(row[1]) for row in _rows(environment, statement.text[insert.end() :])]
    return made


def _prepared(app: App, config: JobConfig, events: list[Any], inputs: dict[str, str]) -> Any:
    environment = job.environment("switchyard route", config, 1)
    _view(environment, "events", events, _EVENTS)
    for item in app.registry.file.inputs:
        rows = [(inputs[item.topic], item.topic, 0, 0)] if item.topic in inputs else []
        _view(environment, table_name(item.topic), rows, _INPUT)
    environment.execute_sql(_AGENT_MESSAGES)
    app_sql.load_requests(app, config.namespace, Loader(environment))
    return environment


def _view(environment: Any, name: str, rows: list[Any], schema: Any) -> None:
    blank = tuple(None for _ in schema.fields)
    table = environment.from_elements(rows or [blank], schema)
    if not rows:
        environment.create_temporary_view(f"no_{name}", table)
        table = environment.sql_query(f"SELECT * FROM no_{name} WHERE FALSE")  # noqa: S608
    environment.create_temporary_view(name, table)


def _rows(environment: Any, query: str) -> list[Any]:
    process_state = ProcessState()
    try:
        with environment.execute_sql(query).collect() as results:
            return list(results)
    finally:
        process_state.restore()
