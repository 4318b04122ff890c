"""The orchestrator's job. `switchyard submit APP` runs it; so does

flink run -d -pyexec PYTHON -pyclientexec PYTHON -py jobs/orchestrate.py --app sdr --kafka HOST:PORT
"""

from __future__ import annotations

from collections.abc import Sequence

from jobs import wiring
from jobs.given import Given
from switchyard.core.jobconfig import job_name


def main(argv: Sequence[str] | None = None) -> None:
    """Plan and submit; returns when the job is submitted."""
    given = Given.read("orchestrate", argv)
    name, parallelism = job_name(given.namespace), given.settings.parallelism
    environment = wiring.environment(name, given.config, parallelism, **given.options)
    given.run(wiring.wire(given.app, environment, given.tables()))


if __name__ == "__main__":
    main()
