"""Brings back the jobs of the local stack when its JobManager has lost them.

`python -m switchyard.deployment.watchdog --flink URL`.

A session cluster forgets its jobs when its JobManager dies. `SubmittedJobs` holds what was submitted; a job that
is wanted there and unknown to a JobManager that answers is submitted again, from its newest checkpoint. One that the
JobManager knows as ended was ended by somebody.
"""

from __future__ import annotations

import argparse
import logging
import os
import subprocess
import sys
import time
from dataclasses import dataclass, field, replace

from switchyard.core.settings import Settings
from switchyard.environment import read_settings
from switchyard.flink.rest import ENDED, Flink, FlinkError
from switchyard.local import leftovers
from switchyard.local.info import StackInfo
from switchyard.local.layout import Layout
from switchyard.local.submitted_jobs import StackJob, SubmittedJobs
from switchyard.terminal import log_to_stderr

log = logging.getLogger(__name__)

POLL_S = 1.0
LONGEST_PAUSE_S = 60.0
FORGET_S = 3600.0


@dataclass
class JobWatchdog:
    """`look` once a second. A job that cannot be brought back is tried again after a pause that doubles."""

    submitted_jobs: SubmittedJobs
    flink: Flink
    pauses: dict[str, tuple[float, float]] = field(default_factory=dict)
    waits: bool = False

    def look(self) -> None:
        wanted = self.submitted_jobs.wanted()
        if not wanted:
            return
        try:
            states = self.flink.states()
            lost = [job for job in wanted if job.job_id not in states]
            ready = not lost or self.flink.overview()["taskmanagers"] > 0
        except FlinkError:
            return
        for job in wanted:
            if states.get(job.job_id) in ENDED:
                self._let_go(job, states[job.job_id])
        if not ready and not self.waits:
            _say(f"{_names(lost)} lost with the JobManager; waiting for a TaskManager")
        self.waits = not ready
        for job in lost if ready else []:
            if self.pauses.get(job.namespace, (0.0, 0.0))[0] <= time.monotonic():
                self._bring_back(job)

    def _let_go(self, job: StackJob, state: str) -> None:
        with self.submitted_jobs.locked(job.namespace, wait=False) as ours:
            if ours and self.submitted_jobs.load(job.namespace) == job:
                self.submitted_jobs.forget(job.namespace)
                _say(f"{job.namespace}: job {job.job_id} is {state}; it is not submitted again")

    def _bring_back(self, job: StackJob) -> None:
        """In a process of its own, whose environment is that of the submission."""
        command = [
            sys.executable,
            "-P",
            "-m",
            "switchyard.deployment.watchdog",
            "--flink",
            self.flink.address,
            "--again",
            job.namespace,
        ]
        done = subprocess.run(command, env=job.environment_in(os.environ), stdin=subprocess.DEVNULL, check=False)
        if done.returncode == 0:
            self.pauses.pop(job.namespace, None)
            return
        pause = min(self.pauses.get(job.namespace, (0.0, 1.0))[1] * 2, LONGEST_PAUSE_S)
        self.pauses[job.namespace] = (time.monotonic() + pause, pause)
        _say(f"{job.namespace}: not brought back; trying again in {pause:.0f} s")


def bring_back(namespace: str, submitted_jobs: SubmittedJobs, flink: Flink, settings: Settings) -> None:
    """Submit a lost job again, unless somebody else is at it. Raises SwitchyardError."""
    from switchyard.deployment.stop import FlinkTarget
    from switchyard.deployment.submit import Submission, submit_locked
    from switchyard.deployment.target import Target
    from switchyard.local.stack import Stack

    with submitted_jobs.locked(namespace, wait=False) as ours:
        job = submitted_jobs.load(namespace) if ours else None
        if job is None or not job.wanted or job.job_id in flink.states():
            return
        others = FlinkTarget(flink, submitted_jobs).jobs(namespace)
        if others:
            submitted_jobs.save(replace(job, job_id=others[0].id))
            _say(f"{namespace}: job {others[0].id} runs in place of {job.job_id}, which was lost")
            return
        start = submitted_jobs.newest_checkpoint(job.job_id) or job.start
        _say(
            f"{namespace}: job {job.job_id} was lost with its JobManager; submitting it again from {start or 'nothing'}"
        )
        wanted = Submission(str(submitted_jobs.copy(namespace)), namespace, job.stateless, job.ship_python, start)
        try:
            done = submit_locked(wanted, Target.find(settings, Stack(submitted_jobs.layout).info()), settings, _say)
        except BaseException:
            submitted_jobs.save(job)
            raise
        again = submitted_jobs.load(namespace) or job
        submitted_jobs.save(replace(again, app=job.app, job_id=done.job_id))
        _say(f"{namespace}: runs again, as {done.job_id}")


def main() -> None:
    from switchyard.core.errors import SwitchyardError

    parser = argparse.ArgumentParser(description="Bring back lost jobs of the local stack.")
    parser.add_argument("--flink", required=True, help="its REST address")
    parser.add_argument("--again", metavar="NAMESPACE", help="bring back this one job, once")
    given = parser.parse_args()
    log_to_stderr("%(asctime)s %(message)s")
    logging.getLogger("kafka").setLevel(logging.ERROR)
    logging.getLogger("httpx2").setLevel(logging.WARNING)
    settings = read_settings(flink=given.flink)
    submitted_jobs, flink = SubmittedJobs(Layout.of(settings)), Flink(given.flink)
    if given.again is not None:
        try:
            bring_back(given.again, submitted_jobs, flink, settings)
        except SwitchyardError as error:
            _say(f"{given.again}: {error}")
            sys.exit(1)
        return
    _say(f"watching the jobs of {flink.address}")
    watchdog, forget_at = JobWatchdog(submitted_jobs, flink), time.monotonic() + FORGET_S
    while True:
        watchdog.look()
        if time.monotonic() >= forget_at:
            stack = StackInfo.load(submitted_jobs.layout.stack_file)
            leftovers.forget_old(submitted_jobs.layout, stack.apps if stack else (), time.time())
            forget_at = time.monotonic() + FORGET_S
        time.sleep(POLL_S)


def _names(jobs: list[StackJob]) -> str:
    return f"{', '.join(job.namespace for job in jobs)} {'was' if len(jobs) == 1 else 'were'}"


def _say(line: str) -> None:
    log.info("%s", line)


if __name__ == "__main__":
    main()
