"""The job's configuration, as the functions inside Flink read it."""

from __future__ import annotations

from typing import Any

from switchyard.core.job_config import PARAMETER, JobConfig


def job_config(context: Any) -> JobConfig:
    """From the context that Flink hands to `open()` of a table function or a process function."""
    return JobConfig.decode(context.get_job_parameter(PARAMETER, ""))
