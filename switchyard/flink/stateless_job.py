"""The job in plain SQL around `route_message`, as `jobs/stateless.py` submits it; see sql/stateless."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from pydantic import BaseModel
from pyflink.table import StatementSet, StreamTableEnvironment

from switchyard.core.app import App
from switchyard.core.bundled import SQL
from switchyard.core.errors import AppError
from switchyard.core.job_config import JobConfig, job_name
from switchyard.core.registry import Registry
from switchyard.flink import app_sql, job
from switchyard.flink.arguments import JobArguments
from switchyard.flink.tables import FROM_COMMITTED, Loader

STATELESS = SQL / "stateless"

HONOURED = frozenset(
    (
        "app",
        "description",
        "starts",
        "ends",
        "complete",
        "fallback",
        "inputs",
        "background",
        "forget",
        "agents",
        "limits",
        "memory",
    )
) | frozenset(
    (
        *("name", "description", "accepts", "emits", "handler", "sends"),
        *("hops", "event_bytes", "tokens_per_hour", "cost_per_hour"),
    )
)
"""Keys of agents.yaml that need no state. Any other that an app sets is refused, one of a later release included."""

GROUP = "stateless"
REMEMBERED = "15 d"
GRACE_S = 30.0


def options(config: JobConfig) -> dict[str, str]:
    """Flink's options of this job."""
    return {
        # The planner refuses an async function in the TaskManager.
        "python.execution-mode": "process",
        # Rows reach the model's function in waves. A wave lasts as long as its slowest call and takes the rows that
        # come within this time: with 10 ms hardly more than one, which makes 2.5 rows a second instead of 28.
        "python.fn-execution.bundle.time": "100",
        "table.exec.async-scalar.max-concurrent-operations": str(config.model_concurrency),
        # The function keeps its own deadline and answers whatever happens: Flink must neither retry nor give up first.
        "table.exec.async-scalar.timeout": f"{int(config.model_deadline_s + GRACE_S)} s",
        "table.exec.async-scalar.retry-strategy": "NO_RETRY",
        # At least the retention of the ledger: as long as a second record about the same event may come.
        "table.exec.state.ttl": REMEMBERED,
    }


def needs_state(registry: Registry) -> str | None:
    """Why this app's job cannot do without state, as a sentence; None where it can."""
    file = registry.file
    if file.router is not None:
        return "agents.yaml names a router, which decides in the orchestrator alone; submit it without --stateless"
    keys = [*_set(file), *(f"limits: {key}" for key in _set(file.limits))]
    keys += [
        f"{agent.name}: {key}"
        for agent in file.agents
        for key in _set(agent)
        if (key, agent.approval) != ("approval", "never")
    ]
    if not keys:
        return None
    return f"agents.yaml sets {', '.join(keys)}, which needs state; submit it without --stateless"


def build_job(
    app: App,
    config: JobConfig,
    environment: StreamTableEnvironment,
    create_tables: job.CreateTables,
    own_sinks: bool = True,
) -> StatementSet:
    """Everything between the tables, ready to execute; without `own_sinks` the app's sinks.sql is left out.

    Raises SqlError, UdfError.
    """
    loader = Loader(environment)
    rejected = job.read_inputs(app, config.namespace, loader, create_tables)
    loader.load(STATELESS / "functions.sql")
    loader.load(STATELESS / "route.sql")
    app_sql.load_dispatch(app, config.namespace, loader)
    if own_sinks:
        app_sql.load_sinks(app, config.namespace, loader, "ledger.sql")
    for view in rejected:
        loader.load(STATELESS / "rejected.sql", {"view": view})
    return loader.inserts


def main(argv: Sequence[str] | None = None) -> None:
    """Plan and submit; returns when the job is submitted. Raises AppError for an app that needs state."""
    arguments = JobArguments.read("stateless", argv)
    problem = needs_state(arguments.app.registry)
    if problem:
        raise AppError(arguments.app.name, [problem])
    name, parallelism = job_name(arguments.namespace, stateless=True), arguments.settings.parallelism
    chosen = {**arguments.options, **options(arguments.config)}
    environment = job.environment(name, arguments.config, parallelism, **chosen)
    arguments.run(build_job(arguments.app, arguments.config, environment, arguments.tables(GROUP, FROM_COMMITTED)))


def _set(model: BaseModel) -> Iterable[str]:
    fields: dict[str, Any] = type(model).model_fields
    return [
        name
        for name, field in fields.items()
        if name not in HONOURED and getattr(model, name) != field.get_default(call_default_factory=True)
    ]
