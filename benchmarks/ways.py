"""The ways to call a model that are compared: each runs for one namespace while its context is open."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path

from benchmarks.apps import ECHO
from benchmarks.stage import Stage
from switchyard.core.errors import SwitchyardError
from switchyard.deployment.submit import Submission, submit
from switchyard.flink.rest import Flink, wait_for

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
def _keyed_function(stage: Stage, namespace: str) -> Iterator[None]:
    client, environment = stage.target.client()
    flink = Flink(stage.target.flink)
    script = Path(__file__).with_name("keyed_job.py")
    command = [*client, "run", "--detached", "-m", flink.host_port, "-pyexec", stage.target.python]
    command += ["-pyclientexec", sys.executable, "-py", str(script), "--app", str(ECHO)]
    command += ["--namespace", namespace, "--kafka", stage.target.kafka.address]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    submitted = re.search(r"JobID ([0-9a-f]{32})", done.stdout)
    if submitted is None:
        raise SwitchyardError(f"Flink refused {script.name}: {done.stdout}{done.stderr}")
    job_id = submitted[1]
    try:
        wait_for(lambda: flink.running(job_id) or None, 120, f"the job {job_id} did not start to run")
        yield
    finally:
        flink.cancel(job_id)


@contextmanager
def _loop(stage: Stage, namespace: str, module: str) -> Iterator[None]:
    kafka = stage.target.kafka.address
    command = [sys.executable, "-m", module, "--kafka", kafka, "--namespace", namespace]
    stage.stack.add_program(namespace, command)
    try:
        yield
    finally:
        stage.stack.remove_program(namespace)


WAYS: dict[str, Way] = {
    "orchestrator": partial(job, stateless=False),
    "route_message": partial(job, stateless=True),
    "plain_loop": partial(_loop, module="benchmarks.plain_loop"),
}

RULE_WAYS: dict[str, Way] = {
    "orchestrator": job,
    "keyed_function": _keyed_function,
    "ledger_loop": partial(_loop, module="benchmarks.ledger_loop"),
}
