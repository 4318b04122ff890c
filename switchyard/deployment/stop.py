"""Ending an app's job, and saying how to continue from the state that it leaves."""

from __future__ import annotations

import shlex
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

from switchyard.core.errors import SwitchyardError
from switchyard.core.job_config import job_name
from switchyard.core.report import Report
from switchyard.core.settings import Settings
from switchyard.flink.rest import Flink, FlinkError, FlinkJob
from switchyard.flink.savepoints import local_path
from switchyard.local.info import StackInfo
from switchyard.local.layout import Layout
from switchyard.local.submitted_jobs import SubmittedJobs


@dataclass(frozen=True)
class FlinkTarget:
    """Where an app's jobs run. `submitted_jobs` is None where the Flink is not the local stack's own."""

    flink: Flink
    submitted_jobs: SubmittedJobs | None

    @classmethod
    def find(cls, settings: Settings, stack: StackInfo | None) -> FlinkTarget:
        """Raises SwitchyardError where there is no Flink."""
        address = settings.flink or (stack.flink if stack else None)
        if address is None:
            raise SwitchyardError(
                "there is no Flink to talk to: start the local stack with `switchyard up`, or give --flink http://HOST:PORT"
            )
        flink = Flink(address)
        local = (
            stack is not None and "flink-jobmanager" in stack.programs and Flink(stack.flink).address == flink.address
        )
        return cls(flink, SubmittedJobs(Layout.of(settings)) if local else None)

    def jobs(self, namespace: str) -> list[FlinkJob]:
        """The jobs of a namespace that have not ended, of either kind."""
        names = (job_name(namespace), job_name(namespace, stateless=True))
        return [job for job in self.flink.jobs() if job.name in names]

    def lock(self, namespace: str) -> AbstractContextManager[object]:
        """While it is held, nobody else replaces, stops or brings back a job of the namespace."""
        return nullcontext() if self.submitted_jobs is None else self.submitted_jobs.locked(namespace)

    def forget(self, namespace: str, savepoint: str | None = None) -> None:
        if self.submitted_jobs is not None:
            self.submitted_jobs.forget(namespace, savepoint)


@dataclass(frozen=True)
class StoppedJob:
    """`state` is where to continue from, None where there is nothing yet."""

    name: str
    state: str | None
    stateless: bool


def stop(namespace: str, savepoint: bool, flink_target: FlinkTarget, report: Report) -> list[StoppedJob]:
    """Stop what runs of a namespace, for good.

    Raises FlinkError where nothing runs, and where a savepoint was asked for and the job cannot write one.
    """
    with flink_target.lock(namespace):
        return [_stop(job, namespace, savepoint, flink_target, report) for job in flink_target.jobs(namespace)] or [
            _lost(namespace, flink_target)
        ]


def _stop(job: FlinkJob, namespace: str, savepoint: bool, flink_target: FlinkTarget, report: Report) -> StoppedJob:
    flink = flink_target.flink
    stateless = job.name == job_name(namespace, stateless=True)
    if not savepoint:
        report(f"Stopping {job.name} ({job.id}) ...")
        flink.cancel(job.id)
        flink_target.forget(namespace)
        return StoppedJob(job.name, local_path(flink.checkpoint(job.id)), stateless)
    if not flink.running(job.id):
        raise FlinkError(
            f"{job.name} is {job.state} and can write no savepoint now ({flink.trouble(job.id) or 'it starts'}); "
            "try again when it runs, or leave --savepoint out to continue from its newest checkpoint"
        )
    report(f"Stopping {job.name} ({job.id}) with a savepoint ...")
    state = local_path(flink.stop(job.id))
    flink_target.forget(namespace, state)
    return StoppedJob(job.name, state, stateless)


def _lost(namespace: str, flink_target: FlinkTarget) -> StoppedJob:
    """A job that the JobManager has forgotten and that would be submitted again."""
    job = flink_target.submitted_jobs.load(namespace) if flink_target.submitted_jobs is not None else None
    if flink_target.submitted_jobs is None or job is None or not job.wanted:
        raise FlinkError(
            f"no job of {namespace} runs on the Flink at {flink_target.flink.address}; nothing was stopped"
        )
    flink_target.forget(namespace)
    return StoppedJob(job_name(namespace, job.stateless), flink_target.submitted_jobs.latest_state(job), job.stateless)


def end(namespace: str, flink_target: FlinkTarget) -> None:
    """Cancel what runs of a namespace, for good."""
    with flink_target.lock(namespace):
        for job in flink_target.jobs(namespace):
            flink_target.flink.cancel(job.id)
        flink_target.forget(namespace)


def continuing(app: str, state: str, *, namespace: str | None, stateless: bool, flink: str | None) -> str:
    """The command that continues from a savepoint or checkpoint; options that were given are given again."""
    command = ["switchyard", "submit", app, "--from", state]
    command += ["--namespace", namespace] if namespace else []
    command += ["--stateless"] if stateless else []
    command += ["--flink", flink] if flink else []
    return shlex.join(command)
