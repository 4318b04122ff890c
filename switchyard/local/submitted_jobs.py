"""What was submitted to the stack's Flink, which forgets its jobs when its JobManager dies; one file a namespace."""

from __future__ import annotations

import fcntl
import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from switchyard.core import data_folder
from switchyard.core.app import App
from switchyard.local.layout import Layout
from switchyard.local.model_endpoint import without_secrets
from switchyard.local.program import may_be_secret

_OURS = "SWITCHYARD_"
_URL = "OPENAI_BASE_URL"
# What a later process of the stack knows better, and what may hold a password.
_NOT_KEPT = frozenset(("SWITCHYARD_HOME", "SWITCHYARD_FLINK", "SWITCHYARD_STACK_ID", "SWITCHYARD_DATABASE"))


@dataclass(frozen=True)
class StackJob:
    """One job, and how to submit it again.

    `start` is what it continued from, `savepoint` what it wrote when it was stopped. A job that is not `wanted` was
    stopped: it is known only so that somebody can continue it.
    """

    app: str
    namespace: str
    stateless: bool
    ship_python: bool
    job_id: str
    embedded_model: bool
    environment: Mapping[str, str] = field(default_factory=dict)
    start: str | None = None
    savepoint: str | None = None
    wanted: bool = True

    def environment_in(self, inherited: Mapping[str, str]) -> dict[str, str]:
        """The environment to submit it in again: its own settings, the secrets of the stack."""
        env = {
            name: value
            for name, value in inherited.items()
            if not name.startswith(_OURS) or name in _NOT_KEPT or may_be_secret(name)
        }
        for name in ("SWITCHYARD_FLINK", *([_URL] if self.embedded_model else [])):
            env.pop(name, None)
        return {**env, **self.environment}


def settings_of(environ: Mapping[str, str]) -> dict[str, str]:
    """The settings of an environment that may be written to a file."""
    kept = {
        name: value
        for name, value in environ.items()
        if name.startswith(_OURS) and name not in _NOT_KEPT and not may_be_secret(name)
    }
    url = environ.get(_URL)
    return {**kept, _URL: url} if url is not None and without_secrets(url) == url else kept


@dataclass(frozen=True)
class SubmittedJobs:
    """The jobs of one stack."""

    layout: Layout

    def load(self, namespace: str) -> StackJob | None:
        try:
            return StackJob(**json.loads(self.file(namespace).read_text(encoding="utf-8")))
        except FileNotFoundError:
            return None

    def all(self) -> list[StackJob]:
        jobs = [self.load(path.stem) for path in sorted(self.layout.jobs.glob("*.json"))]
        return [job for job in jobs if job is not None]

    def wanted(self) -> list[StackJob]:
        return [job for job in self.all() if job.wanted]

    def record(self, job: StackJob, app: App) -> None:
        """A job that runs, and a copy of what its app is now: a later edit is submitted by a person, not by a crash."""
        copy = self.copy(job.namespace)
        if app.folder == copy:
            self.save(job)
            return
        shutil.rmtree(copy, ignore_errors=True)
        for folder, patterns, to in (
            (app.folder, ("agents.yaml", "router.md", "*.py", "*/*.py"), copy),
            (app.folder / "contracts", ("*.avsc",), copy / "contracts"),
            (app.sql, ("*.sql",), copy / "sql"),
        ):
            for file in (path for pattern in patterns for path in folder.glob(pattern)):
                target = to / file.relative_to(folder)
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(file, target)
        self.save(job)

    def copy(self, namespace: str) -> Path:
        """The app's folder as it was submitted."""
        return self.layout.jobs.resolve() / namespace

    def forget(self, namespace: str, savepoint: str | None = None) -> None:
        """The job was stopped: nothing submits it again. `savepoint` is what it wrote at its end."""
        job = self.load(namespace)
        if job is not None and (job.wanted or savepoint):
            self.save(replace(job, wanted=False, savepoint=savepoint))

    def forget_all(self) -> None:
        for job in self.wanted():
            self.forget(job.namespace)

    def latest_state(self, job: StackJob) -> str | None:
        """The newest state of a job that does not run: its savepoint, a checkpoint, or what it was started from."""
        return job.savepoint or self.newest_checkpoint(job.job_id) or job.start

    def newest_checkpoint(self, job_id: str) -> str | None:
        """The newest checkpoint of a job that is complete: Flink writes `_metadata` last."""
        complete = self.layout.checkpoints.glob(f"{job_id}/chk-*/_metadata")
        folders = [path.parent for path in complete if path.parent.name.removeprefix("chk-").isdecimal()]
        newest = max(folders, key=lambda path: int(path.name.removeprefix("chk-")), default=None)
        return None if newest is None else str(newest)

    @contextmanager
    def locked(self, namespace: str, wait: bool = True) -> Iterator[bool]:
        """One process at a time replaces, stops or brings back a namespace's job; False where another one does."""
        data_folder.make(self.layout.home, self.layout.jobs)
        with data_folder.private_files():
            lock = (self.layout.jobs / f"{namespace}.lock").open("w")
        with lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
                return
            yield True

    @data_folder.private_files()
    def save(self, job: StackJob) -> None:
        unfinished = self.file(job.namespace).with_suffix(".tmp")
        unfinished.write_text(json.dumps(asdict(job), indent=2) + "\n", encoding="utf-8")
        unfinished.rename(self.file(job.namespace))

    def file(self, namespace: str) -> Path:
        """What is known of a namespace's job."""
        return self.layout.jobs / f"{namespace}.json"
