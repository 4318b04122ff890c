"""Submitting an app's job: check first, then replace what runs, then wait until the new one does."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from switchyard.core.app import App, check_senders, shipped
from switchyard.core.bundled import JOBS
from switchyard.core.data_folder import make, private_files
from switchyard.core.errors import SwitchyardError
from switchyard.core.job_config import PARAMETER, JobConfig, job_name
from switchyard.core.registry import Registry
from switchyard.core.report import Report
from switchyard.core.restore import restore_conflicts, wrong_savepoint
from switchyard.core.settings import Settings
from switchyard.core.topics import LARGEST_RECORD, Topics
from switchyard.deployment import shipping, stranding
from switchyard.deployment.stop import FlinkTarget, continuing
from switchyard.deployment.target import SECRETS, Target
from switchyard.flink.rest import ENDED, Flink, FlinkError, FlinkJob, wait_for
from switchyard.flink.savepoints import local_path, names_in, state_at, writers
from switchyard.kafka import topic_checks
from switchyard.kafka.admin import Cluster, topic_settings
from switchyard.kafka.connection import PASSWORD
from switchyard.local.jars import jars
from switchyard.local.layout import Layout
from switchyard.local.submitted_jobs import StackJob, SubmittedJobs, settings_of

RESTARTS_S = 20.0
CLIENT_LOG = "submit.log"


@dataclass(frozen=True)
class Submission:
    """What to submit. `app` is a name or a folder, `start` a savepoint or checkpoint to continue from."""

    app: str
    namespace: str
    stateless: bool = False
    ship_python: bool = False
    start: str | None = None


@dataclass(frozen=True)
class Submitted:
    """A job that runs; `restored_from` is the savepoint or checkpoint it continues."""

    job_id: str
    name: str
    restored_from: str | None


def submit(wanted: Submission, target: Target, settings: Settings, report: Report) -> Submitted:
    """Submit, replacing the app's running job.

    Raises SwitchyardError with what is wrong; before anything is stopped, where that can be known.
    """
    with _standing(target).lock(wanted.namespace):
        return submit_locked(wanted, target, settings, report)


@private_files()
def submit_locked(wanted: Submission, target: Target, settings: Settings, report: Report) -> Submitted:
    """`submit` for one that has the namespace's lock."""
    app = App.load(wanted.app)
    check_senders(app, settings)
    kafka = Cluster(target.kafka)
    flink_target = _standing(target)
    flink = flink_target.flink
    start = None if wanted.start is None else state_at(wanted.start, elsewhere=flink_target.submitted_jobs is None)
    running = flink_target.jobs(wanted.namespace)
    check_slots(flink, settings.parallelism, len(running))
    state_is_known = _check_change(flink, running, wanted, start, app, settings)
    largest = prepare_topics(kafka, app, wanted.namespace, report)
    for line in _stranded(flink, running, app, kafka, wanted.namespace):
        report(line)
    if running:
        report("Planning the SQL before the job that runs is stopped ...")
        _plan(wanted, target, largest)
    elif start is None:
        _tell_of_state(wanted, flink_target, report)
    kept = _replace(flink_target, running, wanted, report)
    if start is not None and kept is not None:
        report(f"The state of the job that ran is kept at {kept}")
    restored = start or kept
    if restored:
        report(f"Continuing from {restored}")
    report("Submitting to Flink ...")
    try:
        job_id = _run(wanted, target, largest, restored, drop=state_is_known and not wanted.stateless)
        if flink_target.submitted_jobs is not None:
            flink_target.submitted_jobs.record(_recorded(wanted, target, settings, job_id, restored), app)
        _wait_running(flink, job_id, _log(target))
    except FlinkError as error:
        flink_target.forget(wanted.namespace, kept)
        raise FlinkError(f"{error}{_what_is_kept(wanted, restored, kept)}") from None
    return Submitted(job_id, job_name(wanted.namespace, wanted.stateless), restored)


def _standing(target: Target) -> FlinkTarget:
    return FlinkTarget(Flink(target.flink), SubmittedJobs(target.layout) if target.stack else None)


def _check_change(
    flink: Flink, running: list[FlinkJob], wanted: Submission, start: str | None, app: App, settings: Settings
) -> bool:
    """Whether it is known what the state holds that the new job is to go on from.

    Raises SwitchyardError where the new job cannot be given it.
    """
    same = [job.id for job in running if job.name == job_name(wanted.namespace, wanted.stateless)]
    names = None if start is None else names_in(start, jars("flink"))
    wrote = same if start is None else writers(start, flink)
    reasons = [] if names is None else wrong_savepoint(names, app.registry, wanted.namespace, wanted.stateless)
    parameters = [flink.parameter(job_id, PARAMETER) for job_id in wrote or same]
    for parameter in filter(None, parameters):
        reasons += restore_conflicts(JobConfig.fields(parameter), app.registry, settings.shards)
    if reasons:
        runs = "; the job that runs was left alone" if running else ""
        raise SwitchyardError(f"this state cannot be restored: {'; '.join(dict.fromkeys(reasons))}{runs}")
    return names is not None or bool(wrote)


def _stranded(flink: Flink, running: list[FlinkJob], app: App, kafka: Cluster, namespace: str) -> list[str]:
    """What the new job does not know any more of the work that the job that runs has open."""
    parameters = filter(None, (flink.parameter(job.id, PARAMETER) for job in running))
    registries = (Registry.from_json(JobConfig.fields(parameter)["registry"]) for parameter in parameters)
    topic = Topics(namespace).workflow_status
    return [line for before in registries for line in stranding.warnings(before, app.registry, kafka, topic)]


def _tell_of_state(wanted: Submission, flink_target: FlinkTarget, report: Report) -> None:
    """Where the app's last job left state that this submission does not continue."""
    job = flink_target.submitted_jobs.load(wanted.namespace) if flink_target.submitted_jobs is not None else None
    state = (
        flink_target.submitted_jobs.latest_state(job)
        if flink_target.submitted_jobs is not None and job is not None
        else None
    )
    if job is not None and state is not None and job.stateless == wanted.stateless:
        report(
            f"This job begins anew, from the ledger. The last one left its state; to continue from that instead: "
            f"{_continuing(wanted, state)}"
        )


def _continuing(wanted: Submission, state: str) -> str:
    own = wanted.namespace if wanted.namespace != App.load(wanted.app).name else None
    return continuing(wanted.app, state, namespace=own, stateless=wanted.stateless, flink=None)


def _what_is_kept(wanted: Submission, restored: str | None, kept: str | None) -> str:
    """What a person can still do after a submission that failed."""
    if restored is None:
        return ""
    state = kept or restored
    return (
        f"; the old state is kept at {state}. Mend what is wrong and continue from it: "
        f"{_continuing(wanted, state)}; or begin anew, from the ledger, without --from"
    )


def _recorded(wanted: Submission, target: Target, settings: Settings, job_id: str, restored: str | None) -> StackJob:
    """The job as the stack's watchdog needs it: with the options of this command line as settings."""
    options = {"SWITCHYARD_KAFKA": settings.kafka, "SWITCHYARD_FLINK_PYTHON": settings.flink_python}
    return StackJob(
        app=_argument(wanted.app),
        namespace=wanted.namespace,
        stateless=wanted.stateless,
        ship_python=wanted.ship_python,
        job_id=job_id,
        embedded_model=target.embedded_model,
        environment={**settings_of(os.environ), **{name: value for name, value in options.items() if value}},
        start=restored,
    )


def prepare_topics(kafka: Cluster, app: App, namespace: str, report: Report) -> int:
    """Create missing topics; answers the largest record of any source topic, in bytes.

    Raises SwitchyardError where a topic is not kept as the app needs it, with all that must be changed.
    """
    wanted = topic_settings(app, namespace, LARGEST_RECORD)
    created = kafka.create_topics(wanted)
    if created:
        report(f"Created {len(created)} topics: {', '.join(created)}")
    topics, file = Topics(namespace), app.registry.file
    facts = kafka.facts(list(wanted), topic_checks.own_topics(topics))
    problems = topic_checks.topic_problems(file, topics, wanted, facts)
    if problems:
        raise SwitchyardError(topic_checks.sentence(problems, kafka.bootstrap))
    return topic_checks.largest_source(file, topics, facts)


def check_slots(flink: Flink, needed: int, freed: int = 0) -> None:
    """Raises FlinkError where a job has no room. `freed`: jobs of this size that end before."""
    overview = flink.overview()
    if overview["taskmanagers"] < 1:
        raise FlinkError(f"the Flink at {flink.address} has no TaskManager; see `switchyard status`")
    if overview["slots-available"] + freed * needed < needed:
        raise FlinkError(
            f"the Flink at {flink.address} has {overview['slots-available']} free slots and {needed} are needed; "
            "stop a job, or add a TaskManager"
        )


def _replace(flink_target: FlinkTarget, running: list[FlinkJob], wanted: Submission, report: Report) -> str | None:
    """Stop what runs, so that two jobs never decide for one app; answers the state that it left."""
    flink, restored = flink_target.flink, None
    for job in running:
        same_kind = job.name == job_name(wanted.namespace, wanted.stateless)
        report(f"Stopping the job that runs ({job.id}) ...")
        if not same_kind:
            flink.cancel(job.id)
        elif job.state == "RUNNING" and flink.running(job.id):
            restored = local_path(flink.stop(job.id))
        else:
            flink.cancel(job.id)
            restored = local_path(flink.checkpoint(job.id))
        flink_target.forget(wanted.namespace, restored)
    return restored


def _plan(wanted: Submission, target: Target, largest: int) -> None:
    """Raises FlinkError where the statements do not plan."""
    connectors = ";".join(jar.as_uri() for jar in jars("flink"))
    command = [sys.executable, str(_script(wanted)), *_arguments(wanted, target, largest), "--plan", connectors]
    env = {name: value for name, value in os.environ.items() if name not in SECRETS}
    _client(command, env, target.layout)


def _run(wanted: Submission, target: Target, largest: int, restored: str | None, drop: bool) -> str:
    """Submit; answers the job's id. `drop`: state without a place is dropped.

    What must be kept has ids that stay, and was checked. The rest is that of sinks, whose ids change with the
    statements that people edit: Kafka's hold nothing (they write at least once), those of files what is still open.
    """
    client, env = target.client()
    command = [*client, "run", "--detached", "-m", Flink(target.flink).host_port]
    if restored:
        command += ["-s", restored, *(["--allowNonRestoredState"] if drop else [])]
    for jar in target.connectors():
        command += ["-j", str(jar)]
    if wanted.ship_python:
        # What a job has brought along goes with it, and modules in a TaskManager stay.
        env = {**env, "SWITCHYARD_PYTHON_MODE": "process"}
        code, libraries = shipping.build(target.layout.run / "bundle")
        command += ["-pyfs", str(code), "-pyarch", f"{libraries}#{shipping.LIBRARIES}"]
    command += ["-pyexec", target.python, "-pyclientexec", sys.executable, "-py", str(_script(wanted))]
    output = _client([*command, *_arguments(wanted, target, largest)], env, target.layout)
    submitted = re.search(r"JobID ([0-9a-f]{32})", output)
    if not submitted:
        raise FlinkError(f"Flink refused the job: {_last_words(output)} (more in {target.layout.log / CLIENT_LOG})")
    return submitted.group(1)


def _arguments(wanted: Submission, target: Target, largest: int) -> list[str]:
    """What the job's own script is given."""
    return [
        *("--app", _argument(wanted.app)),
        *("--namespace", wanted.namespace, "--kafka", target.kafka.address, "--largest-record", str(largest)),
        *("--model-base-url", target.model_base_url, "--model", target.model),
        *(["--embedded-model"] if target.embedded_model else []),
    ]


def _script(wanted: Submission) -> Path:
    return JOBS / ("stateless.py" if wanted.stateless else "orchestrate.py")


def _argument(app: str) -> str:
    """An app as a process in any folder finds it."""
    return app if app in shipped() else str(Path(app).resolve())


def _client(command: list[str], env: dict[str, str], layout: Layout) -> str:
    """Run Flink's client; answers what it printed. Raises FlinkError with its last words."""
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL, env=env, cwd=JOBS
    )
    log = layout.log / CLIENT_LOG
    make(layout.home, log.parent)
    log.write_text(done.stdout + done.stderr, encoding="utf-8")
    if done.returncode != 0:
        raise FlinkError(f"Flink refused the job: {_last_words(done.stdout + done.stderr)} (more in {log})")
    return done.stdout


def _wait_running(flink: Flink, job_id: str, log: str) -> None:
    """Until every task runs. A job that fails again and again is cancelled: its cause is in the message.

    `log` says where more of it stands, to be continued after a cause.
    """
    patience = time.monotonic() + RESTARTS_S

    def look() -> bool | None:
        state = flink.state(job_id)
        if state in ENDED:
            raise FlinkError(f"the job is {state}: {_trouble(flink, job_id)}{log}")
        if state == "RESTARTING" and time.monotonic() > patience:
            trouble = _trouble(flink, job_id)
            flink.cancel(job_id)
            raise FlinkError(f"the job fails at each start and was cancelled: {trouble}{log}")
        return flink.running(job_id) or None

    wait_for(look, 120, f"the job {job_id} did not start to run{log}")


def _log(target: Target) -> str:
    """Where the local stack's TaskManager writes; empty for another Flink, whose log is elsewhere."""
    return "" if target.stack is None else f" (more in {target.stack.programs['flink-taskmanager'].log})"


def _trouble(flink: Flink, job_id: str) -> str | None:
    """Why a job fails, and what to do where Flink itself is not let into Kafka."""
    trouble = flink.trouble(job_id)
    if trouble is not None and "SaslAuthenticationException" in trouble:
        return f"Kafka refused Flink: set {PASSWORD} where JobManager and TaskManagers start ({trouble})"
    return trouble


def _last_words(output: str) -> str:
    """What a person needs of a failed client: our own sentence, else the last cause."""
    refused = re.search(r"Failed to rollback to checkpoint/savepoint \S+\. (.+?)\.(?: If you want|$)", output, re.M)
    if refused:
        return f"the state cannot be restored: {refused[1]}"
    lines = [line.strip() for line in output.splitlines()]
    lines = [line for line in lines if line and not line.startswith(("at ", "... "))]
    ours = [line for line in lines if line.startswith("switchyard.")]
    causes = [line for line in lines if line.startswith("Caused by:") and "Python process exits" not in line]
    raised = [line for line in lines if re.match(r"[A-Z]\w*(Error|Exception): ", line)]
    found = (ours or causes or raised or lines or ["it printed nothing"])[-1]
    return found.partition(": ")[2] or found
