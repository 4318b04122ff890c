"""What a job is given on its command line, and what it makes of that."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pyflink.table import StatementSet

from switchyard.core.app import App
from switchyard.core.errors import SettingsError
from switchyard.core.job_config import JobConfig
from switchyard.core.settings import OPENAI_URL, Settings
from switchyard.core.topics import LARGEST_RECORD
from switchyard.environment import read_settings
from switchyard.flink import job, tables
from switchyard.kafka.connection import KafkaConnection


@dataclass(frozen=True)
class JobArguments:
    """One app, one namespace, one Kafka."""

    app: App
    namespace: str
    kafka: KafkaConnection
    largest_record: int
    settings: Settings
    config: JobConfig
    plan: str | None

    def run(self, statements: StatementSet) -> None:
        """Submit, or, with `plan`, only plan."""
        if self.plan is None:
            statements.execute()
        else:
            statements.explain()

    @property
    def options(self) -> dict[str, str]:
        """Flink's options that follow from the command line, as `job.environment` takes them."""
        jars = {} if self.plan is None else {"pipeline.jars": self.plan}
        return {"python.execution-mode": self.settings.python_mode, **jars}

    @classmethod
    def read(cls, program: str, argv: Sequence[str] | None = None) -> JobArguments:
        """From a command line and the environment. Raises SwitchyardError."""
        arguments = _parser(program).parse_args(argv)
        settings = read_settings(kafka=arguments.kafka)
        app = App.load(arguments.app)
        namespace = arguments.namespace or app.name
        model = arguments.model or settings.model
        if model is None:
            raise SettingsError("there is no model to ask: give --model NAME, or set SWITCHYARD_MODEL")
        config = JobConfig.of(
            app.registry,
            namespace,
            settings,
            sql_version=job.sql_version(app),
            model_base_url=arguments.model_base_url or settings.openai_base_url or OPENAI_URL,
            model=model,
            embedded=arguments.embedded_model,
        )
        return cls(
            app,
            namespace,
            KafkaConnection.of(settings, settings.kafka or "127.0.0.1:9092"),
            arguments.largest_record,
            settings,
            config,
            arguments.plan,
        )

    def tables(self, group: str = "orchestrator", start: Mapping[str, str] = tables.FROM_EARLIEST) -> job.CreateTables:
        """Creates the Kafka tables; `group` is the consumer group, after the namespace."""
        values = tables.kafka_values(self.app, self.namespace, self.kafka, self.largest_record, group, start)
        return lambda loader: tables.create_kafka_tables(loader, self.app, values)


def _parser(program: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=program, description="Submit the job of one app.")
    parser.add_argument("--app", required=True, help="name or folder of the app")
    parser.add_argument("--namespace", help="prefix of its topics; the app's name if not given")
    parser.add_argument("--kafka", help="bootstrap servers; SWITCHYARD_KAFKA if not given")
    parser.add_argument("--model-base-url", help="OPENAI_BASE_URL if not given")
    parser.add_argument("--model", help="SWITCHYARD_MODEL if not given")
    parser.add_argument(
        "--embedded-model", action="store_true", help="the endpoint is the local stack's: no key needed"
    )
    parser.add_argument(
        "--largest-record", type=int, default=LARGEST_RECORD, help="largest record of a source topic, in bytes"
    )
    parser.add_argument(
        "--plan", metavar="JARS", help="submit nothing: plan all SQL, with these jars as URIs, ';' between"
    )
    return parser
