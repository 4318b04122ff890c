"""What is left of jobs and namespaces that nobody goes on with: removed five weeks after its last change."""

from __future__ import annotations

import shutil
from collections.abc import Container, Iterable
from pathlib import Path

from switchyard.core.retention import DONE_S
from switchyard.local.layout import Layout
from switchyard.local.submitted_jobs import StackJob, SubmittedJobs


def forget_old(layout: Layout, served: Container[str], now: float) -> None:
    """Remove stopped jobs with their workers' files, and state of Flink that no job is known by.

    `served` are the namespaces that have a worker; `now` is in seconds since 1970.
    """
    submitted_jobs = SubmittedJobs(layout)
    for job in submitted_jobs.all():
        if not job.wanted and job.namespace not in served and _is_old(submitted_jobs.file(job.namespace), now):
            with submitted_jobs.locked(job.namespace, wait=False) as ours:
                if ours and submitted_jobs.load(job.namespace) == job:
                    _remove(job, submitted_jobs, layout)
    known = [text for job in submitted_jobs.all() for text in (job.job_id, job.start, job.savepoint) if text]
    for folder in [*layout.checkpoints.glob("*"), *layout.savepoints.glob("*")]:
        if _is_old(folder, now) and not any(folder.name in text for text in known):
            shutil.rmtree(folder, ignore_errors=True)


def _remove(job: StackJob, submitted_jobs: SubmittedJobs, layout: Layout) -> None:
    for name in (job.namespace, f"{job.namespace}-memory"):
        for file in layout.state.glob(f"{name}.sqlite*"):
            file.unlink(missing_ok=True)
    shutil.rmtree(submitted_jobs.copy(job.namespace), ignore_errors=True)
    submitted_jobs.file(job.namespace).unlink(missing_ok=True)


def _is_old(path: Path, now: float) -> bool:
    """Whether neither it nor what stands in it has changed for so long."""
    return max(_changed([path, *path.glob("*")]), default=now) < now - DONE_S


def _changed(paths: Iterable[Path]) -> Iterable[float]:
    return (path.lstat().st_mtime for path in paths if path.exists())
