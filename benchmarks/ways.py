"""The ways to call a model that are compared: each runs for one namespace while its context is open."""

from __future__ import annotations

import re
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path

from benchmarks.apps import ECHO
from benchmarks.stage import Stage
from switchyard.deployment.submit import Submission, submit
from switchyard.flink.rest import Flink

Way = Callable[[Stage, str], AbstractContextManager[None]]


@contextmanager
def job(stage: Stage, namespace: str, stateless: bool = False, app: Path = ECHO) -> Iterator[None]:
    """As `switchyard submit` runs it."""
    with tempfile.TemporaryDirectory() as folder:
        submitted_app = _without_limits(app, Path(folder) / app.name) if stateless else app
        wanted = Submission(str(submitted_app), namespace, stateless)
        submitted = submit(wanted, stage.target, stage.settings, lambda line: None)
        try:
            yield
        finally:
            Flink(stage.target.flink).cancel(submitted.job_id)


def _without_limits(app: Path, copy: Path) -> Path:
    """The app for a job without state, which refuses limits that need it."""
    shutil.copytree(app, copy)
    agents = copy / "agents.yaml"
    agents.write_text(re.sub(r"^limits: .*\n", "", agents.read_text(encoding="utf-8"), flags=re.M), encoding="utf-8")
    return copy


@contextmanager
def _plain_loop(stage: Stage, namespace: str) -> Iterator[None]:
    kafka = stage.target.kafka.address
    command = [sys.executable, "-m", "benchmarks.plain_loop", "--kafka", kafka, "--namespace", namespace]
    stage.stack.add_program(namespace, command)
    try:
        yield
    finally:
        stage.stack.remove_program(namespace)


WAYS: dict[str, Way] = {
    "orchestrator": partial(job, stateless=False),
    "route_message": partial(job, stateless=True),
    "plain_loop": _plain_loop,
}
