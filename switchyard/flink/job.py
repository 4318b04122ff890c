"""The orchestrator's job: sources, rules, the operator, sinks.

`build_job` is all of it but the tables, which differ between a cluster and a test.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from pyflink.common import Configuration, Types
from pyflink.datastream import DataStream, KeyedStream, StreamExecutionEnvironment
from pyflink.table import StatementSet, StreamTableEnvironment
from pyflink.util.java_utils import get_j_env_configuration

from switchyard.core.app import App
from switchyard.core.ids import stable_hash
from switchyard.core.job_config import PARAMETER, JobConfig
from switchyard.core.shards import MAX_PARALLELISM
from switchyard.core.topics import table_name
from switchyard.environment import python_path
from switchyard.flink import app_sql, flink_36298, sql_file, udf_modules
from switchyard.flink.jvm import gateway
from switchyard.flink.operator import INPUT, INPUT_TYPE, OUTPUT_TYPE, UID, Orchestrator
from switchyard.flink.tables import TABLES, Loader

OPTIONS = {
    # Rows reach Python, and an exchange passes them on, when these run out: they are latency, not throughput.
    "python.execution-mode": "process",
    "python.fn-execution.bundle.time": "2",
    "python.fn-execution.bundle.size": "1000",
    "execution.buffer-timeout.interval": "1 ms",
    "execution.checkpointing.interval": "1 s",
    "execution.checkpointing.mode": "EXACTLY_ONCE",
    "execution.checkpointing.externalized-checkpoint-retention": "RETAIN_ON_CANCELLATION",
    "pipeline.max-parallelism": str(MAX_PARALLELISM),
}


CreateTables = Callable[[Loader], None]


def environment(job_name: str, config: JobConfig, parallelism: int, **options: str) -> StreamTableEnvironment:
    """A table environment for one job; `options` are Flink's, with `__` for a dot."""
    flink_36298.apply(gateway())  # first: to name jars changes the thread of the JVM, too
    configuration = Configuration()
    for name, value in OPTIONS.items():
        configuration.set_string(name, value)
    for name, value in options.items():
        configuration.set_string(name.replace("__", "."), value)
    configuration.set_string("pipeline.name", job_name)
    configuration.set_string("parallelism.default", str(parallelism))
    configuration.set_string("pipeline.global-job-parameters", f"{PARAMETER}:'{config.encode()}'")
    stream = StreamExecutionEnvironment.get_execution_environment(configuration)
    _find_packages(get_j_env_configuration(stream._j_stream_execution_environment))
    return StreamTableEnvironment.create(stream)


def _find_packages(configuration: Any) -> None:
    """Where TaskManagers run this very Python, they are told what it finds.

    Inside the TaskManager it does not see the virtual environment that it is of; tests/flink/test_modes.py tells when
    a release of apache-flink makes it see that.
    """
    if configuration.getString("python.executable", "") == sys.executable:
        configuration.setString("python.pythonpath", python_path())


def sql_version(app: App) -> str:
    """Hash of the statements that an app's users edit, and of the functions for them, its router and its policies."""
    files = [*sorted(app.sql.glob("*.sql")), app.folder / udf_modules.FILE, *app.extensions.files]
    return stable_hash(*(path.read_text(encoding="utf-8", errors="replace") for path in files if path.is_file()))[:12]


def build_job(
    app: App,
    config: JobConfig,
    environment: StreamTableEnvironment,
    create_tables: CreateTables,
    own_sinks: bool = True,
) -> StatementSet:
    """Everything between the tables, ready to execute; without `own_sinks` the app's sinks.sql is left out.

    Raises SqlError, UdfError.
    """
    loader = Loader(environment)
    rejected = read_inputs(app, config.namespace, loader, create_tables)
    _orchestrate(loader, rejected, Orchestrator(config, app.extensions.shipped()))
    loader.load(TABLES / "acting.sql")
    app_sql.load_dispatch(app, config.namespace, loader)
    if own_sinks:
        app_sql.load_sinks(app, config.namespace, loader, "ledger.sql", "outcomes.sql")
    return loader.inserts


def read_inputs(app: App, namespace: str, loader: Loader, create_tables: CreateTables) -> list[str]:
    """The app's sources up to `routing_requests`, each with an id of its own; the views of what could not be read."""
    udf_modules.load_bundled()
    loader.load(TABLES / "functions.sql")
    create_tables(loader)
    inputs = {table_name(item.topic): item.type for item in app.registry.file.inputs}
    for table in ("agent_messages", "routing_decisions", "control", *(f"{name}_topic" for name in inputs)):
        loader.register_source(table)
    loader.load(TABLES / "checks.sql", {})
    loader.materialize("checked_events")
    loader.materialize("checked_retries")
    loader.load(TABLES / "views.sql", {})
    for name, event_type in inputs.items():
        loader.load(TABLES / "input_checks.sql", {"table": name, "type": event_type})
        loader.materialize(f"checked_{name}")
        loader.load(TABLES / "input_views.sql", {"table": name, "type": event_type})
    app_sql.load_requests(app, namespace, loader)
    return ["rejected_events", "rejected_retries", *(f"rejected_{name}" for name in inputs)]


def _orchestrate(loader: Loader, rejected: list[str], orchestrator: Orchestrator) -> None:
    template = (TABLES / "rejected.sql").read_text(encoding="utf-8")
    unions = "".join(sql_file.fill(template, {"view": view}, "rejected.sql") for view in rejected)
    loader.load(TABLES / "orchestrator_input.sql", {"rejected": unions})
    columns = ", ".join(f"`{name}`" for name in INPUT)
    payload = loader.environment.sql_query(f"SELECT shard, ROW({columns}) FROM orchestrator_input")  # noqa: S608
    rows = loader.environment.to_append_stream(payload, Types.ROW([Types.INT(), INPUT_TYPE]))
    acted = keyed(rows).process(orchestrator, OUTPUT_TYPE).uid(UID).name("orchestrator")
    loader.environment.create_temporary_view("orchestrator_output", acted)


def keyed(rows: DataStream) -> KeyedStream:
    """Key by the first column, which SQL has computed.

    `DataStream.key_by` would put a Python operator before the exchange just to compute the key; rows of (key, value)
    are the form in which that operator hands them on.
    """
    jvm = gateway().jvm
    stream = rows._j_data_stream
    key_type = Types.ROW([Types.INT()]).get_java_type_info()
    return KeyedStream(stream.keyBy(jvm.KeyByKeySelector(), key_type), rows.get_type(), rows)
