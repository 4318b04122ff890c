"""Ending an app's job, and saying how to continue from the state that it leaves."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

from deploy.flink_rest import Flink, FlinkError, Job
from deploy.retained import local_path
from deploy.stack.info import StackInfo
from deploy.stack.jobs import Book
from deploy.stack.layout import Layout
from switchyard.core.errors import SwitchyardError
from switchyard.core.jobconfig import job_name
from switchyard.core.settings import Settings

Report = Callable[[str], None]


@dataclass(frozen=True)
class Standing:
    """Where an app's jobs run. `book` is None where the Flink is not the local stack's own."""

    flink: Flink
    book: Book | None

    @classmethod
    def find(cls, settings: Settings, stack: StackInfo | None) -> Standing:
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
        return cls(flink, Book(Layout.current()) if local else None)

    def jobs(self, namespace: str) -> list[Job]:
        """The jobs of a namespace that have not ended, of either kind."""
        names = (job_name(namespace), job_name(namespace, stateless=True))
        return [job for job in self.flink.jobs() if job.name in names]

    def lock(self, namespace: str) -> AbstractContextManager[object]:
        """While it is held, nobody else replaces, stops or brings back a job of the namespace."""
        return nullcontext() if self.book is None else self.book.locked(namespace)

    def forget(self, namespace: str, savepoint: str | None = None) -> None:
        if self.book is not None:
            self.book.forget(namespace, savepoint)


@dataclass(frozen=True)
class Stopped:
    """`state` is where to continue from, None where there is nothing yet."""

    name: str
    state: str | None
    stateless: bool


def stop(namespace: str, savepoint: bool, standing: Standing, report: Report) -> list[Stopped]:
    """Stop what runs of a namespace, for good.

    Raises FlinkError where nothing runs, and where a savepoint was asked for and the job cannot write one.
    """
    with standing.lock(namespace):
        return [_stop(job, namespace, savepoint, standing, report) for job in standing.jobs(namespace)] or [
            _lost(namespace, standing)
        ]


def _stop(job: Job, namespace: str, savepoint: bool, standing: Standing, report: Report) -> Stopped:
    flink = standing.flink
    stateless = job.name == job_name(namespace, stateless=True)
    if not savepoint:
        report(f"Stopping {job.name} ({job.id}) ...")
        flink.cancel(job.id)
        standing.forget(namespace)
        return Stopped(job.name, local_path(flink.checkpoint(job.id)), stateless)
    if not flink.running(job.id):
        raise FlinkError(
            f"{job.name} is {job.state} and can write no savepoint now ({flink.trouble(job.id) or 'it starts'}); "
            "try again when it runs, or leave --savepoint out to continue from its newest checkpoint"
        )
    report(f"Stopping {job.name} ({job.id}) with a savepoint ...")
    state = local_path(flink.stop(job.id))
    standing.forget(namespace, state)
    return Stopped(job.name, state, stateless)


def _lost(namespace: str, standing: Standing) -> Stopped:
    """A job that the JobManager has forgotten and that would be submitted again."""
    job = standing.book.load(namespace) if standing.book is not None else None
    if standing.book is None or job is None or not job.wanted:
        raise FlinkError(f"no job of {namespace} runs on the Flink at {standing.flink.address}; nothing was stopped")
    standing.forget(namespace)
    return Stopped(job_name(namespace, job.stateless), standing.book.left_by(job), job.stateless)


def end(namespace: str, standing: Standing) -> None:
    """Cancel what runs of a namespace, for good."""
    with standing.lock(namespace):
        for job in standing.jobs(namespace):
            standing.flink.cancel(job.id)
        standing.forget(namespace)


def continuing(app: str, state: str, *, namespace: str | None, stateless: bool, flink: str | None) -> str:
    """The command that continues from a savepoint or checkpoint; options that were given are given again."""
    command = ["switchyard", "submit", app, "--from", state]
    command += ["--namespace", namespace] if namespace else []
    command += ["--stateless"] if stateless else []
    command += ["--flink", flink] if flink else []
    return shlex.join(command)
