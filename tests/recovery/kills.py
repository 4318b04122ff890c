"""What goes wrong, one function for each: it strikes, and makes good again what does not heal by itself."""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import psutil

from switchyard.local import process_cleanup
from switchyard.local.model_server.behaviour import OFFLINE, Action, Behaviour, Call
from tests.recovery.rig import TOPICS, Rig

WORKER = f"worker-{TOPICS.namespace}"
STRANGER = {"agents": ["send-email"], "reason": "scripted", "confidence": 1}
HANGS_S = 30.0  # longer than a call may take
GARBAGE = "<html>Bad gateway</html>"


@dataclass(frozen=True)
class Kill:
    """`strike` answers when it struck. `life` says what shows that work goes on: a decision of any kind, one of the
    job that came back, one of the model, or a mail."""

    name: str
    strike: Callable[[Rig, random.Random], float]
    life: Literal["decision", "job", "model", "mail"] = "decision"


def killed(program: str, number: int = signal.SIGKILL) -> Callable[[Rig, random.Random], float]:
    """The process of a program ends by a signal; the supervisor starts it again."""

    def strike(rig: Rig, chance: random.Random) -> float:
        victim = rig.process(program)
        victim.send_signal(number)
        at = time.time()
        victim.wait(60)
        return at

    return strike


def flink_python(rig: Rig, chance: random.Random) -> float:
    """One of the Python workers of the TaskManager."""
    found = process_cleanup.members(rig.info.stack_id, "flink-taskmanager")
    victims = sorted((item for item in found if "pyflink" in " ".join(item.cmdline())), key=lambda item: item.pid)
    chance.choice(victims).kill()
    return time.time()


def jobmanager(rig: Rig, chance: random.Random) -> float:
    """The JobManager, and with it all that the cluster knew of its jobs; the stack's watchdog submits ours again."""
    lost = rig.job_id()
    at = killed("flink-jobmanager")(rig, chance)
    rig.until(lambda: rig.job_id() != lost and rig.runs_since() is not None, "the watchdog did not bring the job back")
    return at


def worker_in_a_handler(rig: Rig, chance: random.Random) -> float:
    """The worker, while at least one handler runs."""

    def busy() -> bool:
        return any(agent["running"] for agent in rig.worker_health().get("agents", ()))

    rig.until(busy, "no handler ran")
    return killed(WORKER)(rig, chance)


def mail_server(rig: Rig, chance: random.Random) -> float:
    """The mail server, soon after a new mail."""
    before = len(rig.evidence.mails)
    rig.until(lambda: len(rig.evidence.mails) > before, "no mail came")
    return killed("mail")(rig, chance)


def model(faulty: Behaviour) -> Callable[[Rig, random.Random], float]:
    """The model misbehaves for three to six seconds."""

    def strike(rig: Rig, chance: random.Random) -> float:
        at = time.time()
        rig.model.script(faulty)
        over = at + chance.uniform(3, 6)
        rig.until(lambda: time.time() > over, "the fault did not end")
        rig.model.script(rig.usual)
        return at

    return strike


def full_disk(rig: Rig, chance: random.Random) -> float:
    """No file of the worker can grow, until `switchyard status` says so."""
    worker = rig.process(WORKER)
    _, hard = worker.rlimit(psutil.RLIMIT_FSIZE)
    worker.rlimit(psutil.RLIMIT_FSIZE, (4096, hard))
    at = time.time()

    def told() -> bool:
        return any("cannot be used" in item.health for item in rig.stack.status() if item.process == WORKER)

    rig.until(told, "`switchyard status` did not tell of the full disk")
    over = time.time() + chance.uniform(1, 3)
    rig.until(lambda: time.time() > over, "the fault did not end")
    worker.rlimit(psutil.RLIMIT_FSIZE, (psutil.RLIM_INFINITY, hard))
    return at


def at_first(wrong: Action, purpose: str | None = None) -> Behaviour:
    """The first answer to each question is wrong; the one after the client's correction is not."""

    def behave(call: Call) -> Action:
        corrected = len(call.body["messages"]) > 2
        return OFFLINE if corrected or purpose not in (None, call.purpose) else wrong

    return behave


FLINK_PYTHON = "Python worker of Flink"
"""There is one in process mode alone."""

KILLS = (
    Kill("TaskManager", killed("flink-taskmanager")),
    Kill("JobManager", jobmanager, "job"),
    Kill(FLINK_PYTHON, flink_python),
    Kill("agent worker in a handler", worker_in_a_handler),
    Kill("mail server", mail_server, "mail"),
    Kill("broker stopped and started", killed("kafka", signal.SIGTERM)),
    Kill("broker killed", killed("kafka")),
    Kill("model hangs", model(lambda call: Action(delay_s=HANGS_S)), "model"),
    Kill("model answers 429", model(lambda call: Action(status=429)), "model"),
    Kill("model answers 500", model(lambda call: Action(status=500)), "model"),
    Kill("model answers garbage", model(at_first(Action(raw=GARBAGE))), "model"),
    Kill("model names another agent", model(at_first(Action(answer=STRANGER), "routing")), "model"),
    Kill("full disk", full_disk),
)
SHORT = ("TaskManager", "broker stopped and started", "full disk")
