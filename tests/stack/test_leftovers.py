"""What nobody goes on with is removed five weeks after its last change, and nothing else."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from pathlib import Path

import pytest

from switchyard.core.app import App
from switchyard.core.retention import DONE_S
from switchyard.local import broker, flink_cluster
from switchyard.local.layout import Layout
from switchyard.local.leftovers import forget_old
from switchyard.local.program import Program
from switchyard.local.submitted_jobs import StackJob, SubmittedJobs
from switchyard.local.supervisor import Supervisor, program_conf

JOB = StackJob("sdr", "sdr", False, False, "a" * 32, True, wanted=False)


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    layout = Layout(tmp_path / "home")
    layout.make()
    return layout


def age(*paths: Path, seconds: float = DONE_S + 60) -> None:
    """Let all of these, and what is in them, be so old."""
    then = time.time() - seconds
    for path in paths:
        for entry in [*path.rglob("*"), path]:
            os.utime(entry, (then, then))


def left_by(layout: Layout, job: StackJob) -> list[Path]:
    """What a job and its worker leave: what is known of it, its app, its databases, its state."""
    jobs = SubmittedJobs(layout)
    jobs.record(job, App.load("sdr"))
    files = [layout.state / f"{job.namespace}{suffix}" for suffix in (".sqlite", ".sqlite-wal", "-memory.sqlite")]
    for file in files:
        file.touch()
    checkpoint = layout.checkpoints / job.job_id / "chk-3"
    checkpoint.mkdir(parents=True)
    (checkpoint / "_metadata").touch()
    return [jobs.file(job.namespace), jobs.copy(job.namespace), *files, layout.checkpoints / job.job_id]


def test_what_was_stopped_is_removed_with_all_that_it_left(layout: Layout) -> None:
    old = left_by(layout, replace(JOB, namespace="sdr-1"))
    others = [
        *left_by(layout, replace(JOB, namespace="sdr-1-b", job_id="b" * 32, wanted=True)),
        *left_by(layout, replace(JOB, namespace="sdr", job_id="c" * 32)),
    ]
    age(*old, *others)
    young = left_by(layout, replace(JOB, namespace="sdr-3", job_id="d" * 32))
    age(*young, seconds=DONE_S - 60)
    forget_old(layout, ["sdr"], time.time())
    assert [path for path in old if path.exists()] == []
    assert all(path.exists() for path in [*others, *young])
    forget_old(layout, [], time.time() + 120)
    assert [path for path in young if path.exists()] == []


def test_state_that_no_job_is_known_by_is_removed(layout: Layout) -> None:
    gone, start, savepoint, orphan, runs = (layout.checkpoints / (letter * 32) for letter in "abcde")
    savepoint = layout.savepoints / "savepoint-aaaaaa-1"
    for folder in (gone, start, savepoint, orphan, runs):
        (folder / "chk-1").mkdir(parents=True)
    jobs = SubmittedJobs(layout)
    jobs.save(replace(JOB, job_id="f" * 32, start=f"{start}/chk-1", savepoint=str(savepoint), wanted=True))
    age(gone, start, savepoint, orphan, runs)
    (runs / "chk-2").mkdir()
    forget_old(layout, [], time.time())
    assert [path.exists() for path in (gone, start, savepoint, orphan, runs)] == [False, True, True, False, True]


def test_a_job_that_is_being_submitted_is_left_alone(layout: Layout) -> None:
    old = left_by(layout, JOB)
    age(*old)
    with SubmittedJobs(layout).locked("sdr"):
        forget_old(layout, [], time.time())
    assert all(path.exists() for path in old)


def test_the_supervisors_own_logs_are_those_of_two_runs(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("switchyard.local.supervisor.subprocess.run", lambda *command, **how: None)
    monkeypatch.setattr(Supervisor, "pid", lambda self: 1)
    supervisor = Supervisor(layout)
    for run in "123":
        layout.supervisor_log.write_text(run)
        supervisor.start({})
    assert Path(f"{layout.supervisor_log}.1").read_text() == "3"
    assert not layout.supervisor_log.exists()


def test_logs_are_bounded_by_size(layout: Layout) -> None:
    settings = program_conf(layout, Program("a", ["true"]))
    assert "stdout_logfile_maxbytes=50MB\nstdout_logfile_backups=1\n" in settings
    for log4j in (broker._LOG4J, flink_cluster._LOG4J):
        assert "appender.file.policies.size.type = SizeBasedTriggeringPolicy\n" in log4j
        assert "appender.file.strategy.max = 2\n" in log4j
