"""Tables and views out of SQL files; sources with ids that stay."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from py4j.protocol import Py4JJavaError
from pyflink.datastream import DataStream
from pyflink.table import StatementSet, StreamTableEnvironment
from pyflink.util.exceptions import JavaException

from switchyard.core.app import App
from switchyard.core.bundled import SQL, shown
from switchyard.core.restore import source_uid
from switchyard.core.topics import Topics, table_name
from switchyard.flink import sql_file
from switchyard.flink.rest import python_error
from switchyard.flink.sql_file import Statement
from switchyard.kafka.connection import KafkaConnection

TABLES = SQL / "tables"


FROM_EARLIEST = {"scan.startup.mode": "earliest-offset"}
FROM_COMMITTED = {"scan.startup.mode": "group-offsets", "properties.auto.offset.reset": "earliest"}
"""Where a job without state begins: an orchestrator asks nothing that the ledger answers, another job would."""


def kafka_values(
    app: App,
    namespace: str,
    kafka: KafkaConnection,
    largest_record: int,
    group: str = "orchestrator",
    start: Mapping[str, str] = FROM_EARLIEST,
) -> dict[str, str]:
    """The values of the placeholders in `kafka.sql`. `largest_record` is the largest of any source topic, in bytes."""
    topics = Topics(namespace)
    inboxes = [topics.inbox(name) for name in app.registry.agents]
    options = {
        "connector": "kafka",
        **kafka.connector(),
        "key.format": "raw",
        "key.fields": "key",
        "value.format": "raw",
        "value.fields-include": "EXCEPT_KEY",
        # A broker that restarts must find a producer that still tries.
        "properties.delivery.timeout.ms": "600000",
        # A client since Kafka 4.0 waits 5 ms for more records; each step of a workflow would.
        "properties.linger.ms": "0",
    }
    return {
        "namespace": namespace,
        "agent_messages": topics.agent_messages,
        "routing_decisions": topics.routing_decisions,
        "control": topics.control,
        "workflow_status": topics.workflow_status,
        "dead_letters": topics.dead_letters,
        "audit": topics.audit,
        # With one topic in the list the connector ignores the column; naming it twice keeps the check.
        "agent_inboxes": ";".join(inboxes if len(inboxes) > 1 else inboxes * 2),
        "largest_dead_letter": str(largest_record * 4 // 3 + 65536),
        "start": _options({**start, "properties.group.id": f"{namespace}.{group}"}),
        "kafka": _options(options),
    }


def _options(options: Mapping[str, str]) -> str:
    quoted = {name: value.replace("'", "''") for name, value in options.items()}
    return ",\n  ".join(f"'{name}' = '{value}'" for name, value in quoted.items())


def create_kafka_tables(loader: Loader, app: App, values: Mapping[str, str]) -> None:
    """The topics of an app as tables, its inputs included. `values` are those of `kafka_values`."""
    loader.load(TABLES / "kafka.sql", values)
    for item in app.registry.file.inputs:
        names = {"table": table_name(item.topic), "topic": Topics(values["namespace"]).named(item.topic)}
        loader.load(TABLES / "kafka_input.sql", {**values, **names})


class Loader:
    """Runs the statements of SQL files; `INSERT`s are collected, to run together as one job."""

    def __init__(self, environment: StreamTableEnvironment) -> None:
        self.environment = environment
        self.inserts: StatementSet = environment.create_statement_set()

    def load(self, path: Path, values: Mapping[str, str] | None = None) -> None:
        """Run a file. Raises SqlError with file, statement and line; SwitchyardError where the file cannot be read."""
        for statement in sql_file.read(path, values, shown(path)):
            self._run(statement)

    def load_own(self, path: Path, namespace: str) -> None:
        """Run a file of an app, with its job's `${namespace}`. Raises as `load` does."""
        for statement in sql_file.read_own(path, namespace, shown(path)):
            self._run(statement)

    def _run(self, statement: Statement) -> None:
        try:
            if statement.kind == "INSERT":
                self.inserts.add_insert_sql(statement.text)
            elif statement.kind == "SET":
                name, _, value = statement.bare[3:].partition("=")
                self.environment.get_config().set(name.strip().strip("'"), value.strip().strip("'"))
            else:
                self.environment.execute_sql(statement.text)
        except (JavaException, Py4JJavaError) as error:
            raise statement.error(first_cause(error), str(error)) from None

    def register_source(self, table: str) -> None:
        """Register `<table>_source`: the table with a source id of its own.

        Ids of SQL plans are positional, so an edit of a statement could hand one source's offsets to another.
        """
        stream = self.environment.to_data_stream(self.environment.from_path(table))
        source = _source(stream)
        source.setUid(source_uid(table))
        self.environment.create_temporary_view(f"{table}_source", stream)

    def materialize(self, view: str) -> None:
        """Replace a view by a stream of its rows: all that reads it shares one computation."""
        stream = self.environment.to_data_stream(self.environment.from_path(view))
        self.environment.drop_temporary_view(view)
        self.environment.create_temporary_view(view, stream)


def _source(stream: DataStream) -> Any:
    transformation = stream._j_data_stream.getTransformation()
    while not transformation.getInputs().isEmpty():
        transformation = transformation.getInputs().get(0)
    return transformation


def first_cause(error: Exception) -> str:
    """The innermost message of a Java exception, without its trace."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    causes = [line.partition("Caused by: ")[2] for line in lines if line.startswith("Caused by: ")]
    message = causes[-1] if causes else lines[0]
    if (said := python_error(message)) != message:
        return said
    return message.partition(": ")[2] if message.split(":")[0].endswith(("Exception", "Error")) else message
