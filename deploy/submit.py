"""Submitting an app's job: check first, then replace what runs, then wait until the new one does."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from deploy import bundle
from deploy.flink_rest import ENDED, Flink, FlinkError, Job, wait_for
from deploy.kafka import Cluster, topic_settings
from deploy.stack.java import jars
from deploy.stack.layout import Layout
from deploy.target import SECRETS, Target
from switchyard.core.app import ROOT, App, shipped
from switchyard.core.errors import SwitchyardError
from switchyard.core.jobconfig import job_name
from switchyard.core.kafkaaccess import PASSWORD
from switchyard.core.settings import Settings
from switchyard.core.topics import LARGEST_RECORD, Topics
from udfs import LIBRARIES

RESTARTS_S = 20.0

Report = Callable[[str], None]


@dataclass(frozen=True)
class Submission:
    """What to submit. `app` is a name or a folder."""

    app: str
    namespace: str
    stateless: bool = False
    ship_python: bool = False


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
    app = App.load(wanted.app)
    flink, kafka = Flink(target.flink), Cluster(target.kafka)
    running = _running(flink, wanted.namespace)
    _check_slots(flink, settings.parallelism, len(running))
    largest = prepare_topics(kafka, app, wanted.namespace, report)
    if running:
        report("Planning the SQL before the job that runs is stopped ...")
        _plan(wanted, target, largest)
    restored = _replace(flink, running, wanted, report)
    report("Submitting to Flink ...")
    try:
        job_id = _run(wanted, target, largest, restored)
        _wait_running(flink, job_id)
    except FlinkError as error:
        kept = f"; the state of the job that ran before is kept at {restored}" if restored else ""
        raise FlinkError(f"{error}{kept}") from None
    return Submitted(job_id, job_name(wanted.namespace, wanted.stateless), restored)


def prepare_topics(kafka: Cluster, app: App, namespace: str, report: Report) -> int:
    """Create missing topics; answers the largest record of any source topic, in bytes.

    Raises SwitchyardError where the ledger would forget decisions about events that are still there.
    """
    wanted = topic_settings(app, namespace, LARGEST_RECORD)
    created = kafka.create_topics(wanted)
    if created:
        report(f"Created {len(created)} topics: {', '.join(created)}")
    topics = Topics(namespace)
    sources = [topics.agent_messages, topics.routing_decisions]
    sources += [topics.named(item.topic) for item in app.registry.file.inputs]
    configs = kafka.topic_config([*sources, topics.dead_letters])
    ledger, events = (_retention(configs[name]) for name in (topics.routing_decisions, topics.agent_messages))
    if ledger < events:
        raise SwitchyardError(
            f"topic {topics.routing_decisions} keeps records for a shorter time than {topics.agent_messages}; "
            "raise its retention.ms to at least the same"
        )
    largest = max(int(configs[name]["max.message.bytes"]) for name in sources)
    room = int(configs[topics.dead_letters]["max.message.bytes"])
    if room < largest * 4 // 3:
        raise SwitchyardError(
            f"topic {topics.dead_letters} takes records of {room} bytes, but a source record may have {largest}; "
            f"raise its max.message.bytes to {largest * 4 // 3 + 65536}"
        )
    return largest


def _retention(config: dict[str, str]) -> float:
    milliseconds = int(config["retention.ms"])
    return float("inf") if milliseconds < 0 else milliseconds


def _running(flink: Flink, namespace: str) -> list[Job]:
    names = (job_name(namespace), job_name(namespace, stateless=True))
    return [job for job in flink.jobs() if job.name in names]


def _check_slots(flink: Flink, needed: int, freed: int) -> None:
    overview = flink.overview()
    if overview["taskmanagers"] < 1:
        raise FlinkError(f"the Flink at {flink.address} has no TaskManager; see `switchyard status`")
    if overview["slots-available"] + freed * needed < needed:
        raise FlinkError(
            f"the Flink at {flink.address} has {overview['slots-available']} free slots and {needed} are needed; "
            "stop a job, or add a TaskManager"
        )


def _replace(flink: Flink, running: list[Job], wanted: Submission, report: Report) -> str | None:
    """Stop what runs, so that two jobs never decide for one app; answers the state to start from."""
    restored = None
    for job in running:
        same_kind = job.name == job_name(wanted.namespace, wanted.stateless)
        report(f"Stopping the job that runs ({job.id}) ...")
        if not same_kind:
            flink.cancel(job.id)
        elif job.state == "RUNNING" and flink.running(job.id):
            restored = flink.stop(job.id)
        else:
            restored = flink.checkpoint(job.id)
            flink.cancel(job.id)
    if restored:
        report(f"Continuing from {restored}")
    return restored


def _plan(wanted: Submission, target: Target, largest: int) -> None:
    """Raises FlinkError where the statements do not plan."""
    module = "jobs.stateless" if wanted.stateless else "jobs.orchestrate"
    connectors = ";".join(jar.as_uri() for jar in jars("flink"))
    command = [sys.executable, "-m", module, *_arguments(wanted, target, largest), "--plan", connectors]
    _client(command, {name: value for name, value in os.environ.items() if name not in SECRETS})


def _run(wanted: Submission, target: Target, largest: int, restored: str | None) -> str:
    client, env = target.client()
    command = [*client, "run", "--detached", "-m", Flink(target.flink).host_port]
    if restored:
        command += ["-s", restored]
    for jar in target.connectors():
        command += ["-j", str(jar)]
    if wanted.ship_python:
        code, libraries = bundle.build(Layout.current().run / "bundle")
        command += ["-pyfs", str(code), "-pyarch", f"{libraries}#{LIBRARIES}"]
    script = "stateless.py" if wanted.stateless else "orchestrate.py"
    command += ["-pyexec", target.python, "-pyclientexec", sys.executable, "-py", str(ROOT / "jobs" / script)]
    said = _client([*command, *_arguments(wanted, target, largest)], env)
    found = re.search(r"JobID ([0-9a-f]{32})", said)
    if not found:
        raise FlinkError(f"Flink refused the job: {_last_words(said)}")
    return found.group(1)


def _arguments(wanted: Submission, target: Target, largest: int) -> list[str]:
    """What the job's own script is given."""
    return [
        *("--app", wanted.app if wanted.app in shipped() else str(Path(wanted.app).resolve())),
        *("--namespace", wanted.namespace, "--kafka", target.kafka.address, "--largest-record", str(largest)),
        *("--model-base-url", target.model_base_url, "--model", target.model),
        *(["--embedded-model"] if target.embedded_model else []),
    ]


def _client(command: list[str], env: dict[str, str]) -> str:
    """Run Flink's client; answers what it printed. Raises FlinkError with its last words."""
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL, env=env, cwd=ROOT
    )
    log = Layout.current().log / "submit.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_text(done.stdout + done.stderr, encoding="utf-8")
    if done.returncode != 0:
        raise FlinkError(f"Flink refused the job: {_last_words(done.stdout + done.stderr)} (more in {log})")
    return done.stdout


def _wait_running(flink: Flink, job_id: str) -> None:
    """Until every task runs. A job that fails again and again is cancelled: its cause is in the message."""
    patience = time.monotonic() + RESTARTS_S

    def look() -> bool | None:
        state = flink.state(job_id)
        if state in ENDED:
            raise FlinkError(f"the job is {state}: {_trouble(flink, job_id)}")
        if state == "RESTARTING" and time.monotonic() > patience:
            trouble = _trouble(flink, job_id)
            flink.cancel(job_id)
            raise FlinkError(f"the job fails at each start and was cancelled: {trouble}")
        return flink.running(job_id) or None

    wait_for(look, 120, f"the job {job_id} did not start to run")


def _trouble(flink: Flink, job_id: str) -> str | None:
    """Why a job fails, and what to do where Flink itself is not let into Kafka."""
    told = flink.trouble(job_id)
    if told is not None and "SaslAuthenticationException" in told:
        return f"Kafka refused Flink: set {PASSWORD} where JobManager and TaskManagers start ({told})"
    return told


def _last_words(output: str) -> str:
    """What a person needs of a failed client: our own sentence, else the last cause."""
    lines = [line.strip() for line in output.splitlines() if line.strip() and not line.lstrip().startswith("at ")]
    ours = [line for line in lines if line.startswith(("switchyard.core.errors.", "jobs.sqlfile."))]
    causes = [line for line in lines if line.startswith("Caused by:")]
    return (ours or causes or lines or ["it printed nothing"])[-1].partition(": ")[2] or lines[-1]
