"""The sdr app in a namespace of its own on a stack that is up, and a model to script."""

from __future__ import annotations

import json
import sqlite3
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest
from sqlalchemy import Engine

from agent_endpoints.sdr import mails
from switchyard.core import strictjson
from switchyard.core.app import App
from switchyard.core.topics import Topics
from switchyard.deployment.stop import FlinkTarget, end
from switchyard.deployment.submit import Submission, prepare_topics, submit
from switchyard.deployment.target import Target
from switchyard.environment import read_settings
from switchyard.flink.rest import Flink, FlinkError
from switchyard.kafka.admin import Cluster
from switchyard.kafka.connection import KafkaConnection
from switchyard.local import plan, ports
from switchyard.local.apps import ServedApp
from switchyard.local.info import StackInfo
from switchyard.local.model_server import behaviour
from switchyard.local.model_server.behaviour import Behaviour
from switchyard.local.model_server.scripted import ScriptedServer
from switchyard.local.stack import Stack
from switchyard.local.submitted_jobs import SubmittedJobs
from switchyard.worker.database import database_url, open_database
from tests.agents.support import leads
from tests.recovery.evidence import ended
from tests.recovery.reader import EvidenceReader

SDR = App.load("sdr")
TOPICS = Topics("recovery")
WORKER = f"worker-{TOPICS.namespace}"
LIMIT_S = 240.0
ENVIRONMENT = {
    "SWITCHYARD_MODEL": "scripted",
    "SWITCHYARD_MODEL_DEADLINE_S": "24",
    "SDR_DAY_SECONDS": "0.05",
}
ELSEWHERE = ("SWITCHYARD_KAFKA", "SWITCHYARD_FLINK", "SWITCHYARD_DATABASE", "SWITCHYARD_SMTP")


class Rig:
    """What a run strikes at and looks at. Times are seconds since 1970. `note` is what a strike has to say itself."""

    def __init__(self, stack: Stack, info: StackInfo, model: ScriptedServer, usual: Behaviour, engine: Engine) -> None:
        self.stack = stack
        self.info = info
        self.model = model
        self.usual = usual
        self.workflows: list[str] = []
        self.note = ""
        self._engine = engine
        self._flink = Flink(info.flink)
        self._submitted_jobs = SubmittedJobs(stack.layout)
        self._cluster = Cluster(KafkaConnection(info.kafka))
        self._reader = EvidenceReader(self._cluster, TOPICS, SDR.registry.agents, info.mail_folder)
        self.evidence = self._reader.evidence
        self.decided = self._reader.decided
        self.look_again = self._reader.look_again
        self._leads = list({lead["lead_id"]: lead for lead in leads()}.values())

    def send(self, name: str, count: int) -> list[str]:
        """Send leads of a kind that the demo has, under new ids; answers their workflow ids."""
        found = [{**self._leads[n % len(self._leads)], "lead_id": f"{name}-{n}"} for n in range(count)]
        self._send(found)
        sent = [lead["lead_id"] for lead in found]
        self.workflows += sent
        return sent

    def delay(self, name: str, *, before: dict[str, str] | None = None) -> float:
        """Seconds from a lead to the first decision about it; `before` replaces fields of one that is sent with it."""
        lead = {**self._leads[0], "lead_id": name}
        self.workflows.append(name)
        at = time.time()
        self._send([*([] if before is None else [{**lead, "lead_id": f"before-{name}", **before}]), lead], b"one")

        def decided() -> list[float]:
            return [when for when, _, record in self.decided if record.workflow_id == name]

        self.until(lambda: bool(decided()), f"nothing was decided about {name}")
        return min(decided()) - at

    def _send(self, found: list[dict[str, Any]], key: bytes | None = None) -> None:
        """Leads with the same key are read one after the other."""
        self._cluster.send(TOPICS.named("incoming-leads"), [(key, strictjson.dumps(lead).encode()) for lead in found])

    def look(self) -> None:
        """Take in what the topics and the mail folder have that is new."""
        self._reader.look()

    def until(self, true: Callable[[], bool], what: str) -> None:
        """Look until it is true; AssertionError naming `what` after a generous time."""
        deadline = time.monotonic() + LIMIT_S
        self.look()
        while not true():
            assert time.monotonic() < deadline, f"{what} within {LIMIT_S:.0f} s; {self._standing()}"
            self.look()

    def all_done(self) -> bool:
        """Whether all workflows have ended and every mail that is scheduled has been sent."""
        return ended(self.evidence).issuperset(self.workflows) and mails.waiting(self._engine, TOPICS.namespace) == 0

    def store_is_free(self) -> bool:
        """Whether nobody holds the lock of the workers' SQLite file."""
        with closing(sqlite3.connect(str(self._engine.url.database), timeout=0.5)) as store:
            try:
                store.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError:
                return False
            return True

    def nothing_left(self) -> bool:
        """Whether all input is in a checkpoint of the job, so that nothing can be written any more."""
        sources = [TOPICS.named("incoming-leads"), TOPICS.agent_messages]
        return self._cluster.consumed(f"{TOPICS.namespace}.orchestrator", sources)

    def healthy(self) -> bool:
        return all(item.healthy for item in self.stack.status())

    def job_id(self) -> str | None:
        """The job that the stack's watchdog keeps running; None where none is recorded."""
        job = self._submitted_jobs.load(TOPICS.namespace)
        return job.job_id if job is not None and job.wanted else None

    def runs_since(self) -> float | None:
        """When our job began to run; None while it does not."""
        job_id = self.job_id()
        try:
            since = self._flink.running_since(job_id) if job_id is not None and self._flink.running(job_id) else None
        except FlinkError:
            return None
        return None if since is None else since / 1000

    def process(self, program: str) -> psutil.Process:
        """The process that a program of the stack is now."""
        pid = next(item.pid for item in self.stack.status() if item.process == program)
        assert pid is not None, f"{program} is not running"
        return psutil.Process(pid)

    def log(self, program: str) -> str:
        """What a program has logged."""
        return Path(self.info.programs[program].log).read_text(encoding="utf-8", errors="replace")

    @contextmanager
    def another_worker(self) -> Iterator[str]:
        """One more worker, once it and the first have inboxes to read; answers the name of its program."""
        environment = {**plan.worker_environment(self.info), **ENVIRONMENT, "OPENAI_BASE_URL": self.model.base_url}
        program = ServedApp.find("sdr", TOPICS.namespace).worker(ports.free_port([]), environment)
        program = replace(program, name=f"{WORKER}-2")
        self.stack.add_program(program.name, program.command, program.env, program.health, program.port)
        try:
            self.until(lambda: self.reads(WORKER) and self.reads(program.name), "two workers did not share the inboxes")
            yield program.name
        finally:
            self.stack.remove_program(program.name)

    def reads(self, worker: str, at_least: int = 1) -> bool:
        """Whether a worker reads at least so many partitions of each inbox."""
        agents = self.worker_health(worker).get("agents", ())
        return bool(agents) and all(agent["partitions"] >= at_least for agent in agents)

    def until_in_a_handler(self, worker: str = WORKER) -> None:
        """Look until a handler of this worker runs; what comes next is sent where nothing is left to do."""

        def busy() -> bool:
            if self.all_done():
                self.send(f"more{len(self.workflows)}", 50)
            return any(agent["running"] for agent in self.worker_health(worker).get("agents", ()))

        self.until(busy, f"no handler of {worker} ran")

    def worker_health(self, worker: str = WORKER) -> dict[str, Any]:
        """A worker's /health; empty where none answers."""
        info = self.stack.info()
        assert info is not None
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{info.programs[worker].port}/health", timeout=5) as answer:
                said: dict[str, Any] = json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                said = json.load(error)
        except OSError:
            return {}
        return said

    def checkpoint(self) -> str | None:
        """The job's newest complete checkpoint."""
        return self._submitted_jobs.newest_checkpoint(self.job_id() or "")

    def first_record(self, after: float) -> float | None:
        """When the first record was written after this time."""
        return min((at for at, _, _ in self.decided if at > after), default=None)

    def first_decision(self, after: float, by: tuple[str, ...] = ()) -> float | None:
        """When the first record came about something that happened after this time."""
        times = [at for at, event_at, item in self.decided if event_at > after and (not by or item.decided_by in by)]
        return min(times, default=None)

    def first_mail(self, after: float) -> float | None:
        times = [path.stat().st_mtime for path in self.info.mail_folder.rglob("*.eml")]
        return min((at for at in times if at > after), default=None)

    def close(self) -> None:
        self._reader.close()

    def _standing(self) -> str:
        """What can explain that something does not come true."""
        over = ended(self.evidence)
        left = [f"{it.workflow_id} {it.action} {it.agents}" for _, _, it in self.decided if it.workflow_id not in over]
        stack = [f"{item.process}: {item.health}" for item in self.stack.status()]
        waiting = mails.waiting(self._engine, TOPICS.namespace)
        return "; ".join([f"{waiting} mails wait", *left, *stack, str(self.worker_health())])


@contextmanager
def running(stack: Stack, seed: int, delay_s: float) -> Iterator[Rig]:
    """The job and a worker on a stack that is up, and the model slow enough that calls are in flight at any moment."""
    usual = behaviour.slow(delay_s, 0.5, seed)
    info = stack.info()
    assert info is not None
    with pytest.MonkeyPatch.context() as patch, ScriptedServer(usual, apps_file=stack.layout.apps_file) as model:
        environment = {**ENVIRONMENT, "OPENAI_BASE_URL": model.base_url}
        for name in ELSEWHERE:
            patch.delenv(name, raising=False)
        for name, value in {**environment, "SWITCHYARD_HOME": str(stack.layout.home)}.items():
            patch.setenv(name, value)
        prepare_topics(Cluster(KafkaConnection(info.kafka)), SDR, TOPICS.namespace, lambda line: None)
        info = stack.add_app("sdr", TOPICS.namespace, environment)
        settings = read_settings()
        engine = open_database(database_url(settings, TOPICS.namespace))
        rig = Rig(stack, info, model, usual, engine)
        try:
            submit(Submission("sdr", TOPICS.namespace), Target.find(settings, info), settings, lambda line: None)
            yield rig
        finally:
            rig.close()
            engine.dispose()
            end(TOPICS.namespace, FlinkTarget.find(settings, info))
            stack.remove_app(TOPICS.namespace)
