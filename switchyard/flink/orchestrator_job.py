"""The orchestrator's job, as `jobs/orchestrate.py` submits it."""

from __future__ import annotations

from collections.abc import Sequence

from switchyard.core.job_config import job_name
from switchyard.flink import job
from switchyard.flink.arguments import JobArguments


def main(argv: Sequence[str] | None = None) -> None:
    """Plan and submit; returns when the job is submitted."""
    arguments = JobArguments.read("orchestrate", argv)
    name, parallelism = job_name(arguments.namespace), arguments.settings.parallelism
    environment = job.environment(name, arguments.config, parallelism, **arguments.options)
    arguments.run(job.build_job(arguments.app, arguments.config, environment, arguments.tables()))
