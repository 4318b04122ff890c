"""The orchestrator's job. `switchyard submit APP` runs it; so does

    flink run -d -pyexec PYTHON -pyclientexec PYTHON -py jobs/orchestrate.py --app sdr --kafka HOST:PORT
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from jobs import tables, wiring
from jobs.tables import Loader
from switchyard.core.app import App
from switchyard.core.jobconfig import JobConfig
from switchyard.core.settings import Settings


def job_name(namespace: str) -> str:
    """The name by which a namespace's job is found again."""
    return f"switchyard {namespace}"


def arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="orchestrate", description="Submit the job of one app.")
    parser.add_argument("--app", required=True, help="name or folder of the app")
    parser.add_argument("--namespace", help="prefix of its topics; the app's name if not given")
    parser.add_argument("--kafka", help="bootstrap servers; SWITCHYARD_KAFKA if not given")
    parser.add_argument("--model-base-url", help="OPENAI_BASE_URL if not given")
    parser.add_argument("--model", help="SWITCHYARD_MODEL if not given")
    parser.add_argument("--embedded-model", action="store_true", help="the endpoint is the local stack's: no key needed")
    parser.add_argument("--largest-record", type=int, default=1 << 20, help="largest record of a source topic, in bytes")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    """Plan and submit; returns when the job is submitted."""
    given = arguments(argv)
    settings = Settings.read(kafka=given.kafka)
    app = App.load(given.app)
    namespace = given.namespace or app.name
    kafka = settings.kafka or "127.0.0.1:9092"
    config = JobConfig.of(
        app.registry,
        namespace,
        settings,
        sql_version=wiring.sql_version(app),
        model_base_url=given.model_base_url or settings.openai_base_url or "https://api.openai.com/v1",
        model=given.model or settings.model or "gpt-4o-mini",
        embedded=given.embedded_model,
    )
    values = tables.kafka_values(app, namespace, kafka, given.largest_record)

    def create_tables(loader: Loader) -> None:
        loader.load(tables.TABLES / "kafka.sql", values)
        for item in app.registry.file.inputs:
            table = tables.table_name(item.topic)
            topic = f"{namespace}.{item.topic}"
            loader.load(tables.TABLES / "kafka_input.sql", {**values, "table": table, "topic": topic})

    environment = wiring.environment(job_name(namespace), config, settings.parallelism)
    wiring.wire(app, environment, create_tables).execute()


if __name__ == "__main__":
    main()
