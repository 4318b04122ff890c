"""All SQL of an app, planned in this process with the wiring of the real job. Nothing runs, no server is asked."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from switchyard.cli.linting.problem import Problem
from switchyard.core.app import App
from switchyard.core.errors import SwitchyardError
from switchyard.core.job_config import JobConfig
from switchyard.core.settings import Settings
from switchyard.core.topics import LARGEST_RECORD
from switchyard.flink import job, tables
from switchyard.flink.sql_file import SqlError
from switchyard.flink.udf_modules import UdfError
from switchyard.kafka.connection import KafkaConnection
from switchyard.local.jars import jars

NOWHERE = KafkaConnection("127.0.0.1:1")
_WITHIN_STATEMENT = re.compile(r"From line \d+, column \d+ to line \d+, column \d+: | at line \d+, column \d+")
_COLUMN = re.compile(r"Column '(\w+)' not found")


def unplannable_sql(app: App, settings: Settings) -> Iterator[Problem]:
    """The first statement that does not plan, with Flink's own words."""
    config = JobConfig.of(
        app.registry,
        app.name,
        settings,
        sql_version="",
        model_base_url="",
        model="",
        embedded=True,
    )
    values = tables.kafka_values(app, app.name, NOWHERE, LARGEST_RECORD)
    connectors = ";".join(jar.as_uri() for jar in jars("flink"))
    environment = job.environment(f"lint {app.name}", config, 1, pipeline__jars=connectors)
    try:
        job.build_job(
            app, config, environment, lambda loader: tables.create_kafka_tables(loader, app, values)
        ).explain()
    except SqlError as error:
        yield _placed(app, error)
    except UdfError as error:
        yield Problem(error.file, error.line, error.message)
    except SwitchyardError as error:
        yield Problem(app.sql, 1, str(error))


def _placed(app: App, error: SqlError) -> Problem:
    """An error in our own SQL that only the app's can have caused is reported as one of the app's."""
    requests = app.sql / "requests.sql"
    if error.statement.file.endswith("orchestrator_input.sql"):
        if "routing_requests" in error.message:
            return Problem(requests, 1, "it defines no view routing_requests; see what `switchyard new app` writes")
        missing = _COLUMN.search(error.message)
        name = missing.group(1) if missing else None
        what = f"lacks the column {name}" if name else f"does not fit: {error.message}"
        return Problem(requests, 1, f"the view routing_requests {what}; select * and rule_agents")
    # An outer exception names the place; the innermost one, which SqlError tells, often does not.
    line = error.statement.error(str(error.__context__ or error.message)).line
    message = _WITHIN_STATEMENT.sub("", error.message)
    return Problem(Path(error.statement.file), line, f"statement {error.statement.number}: {message}")
