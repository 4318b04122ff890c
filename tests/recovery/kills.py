"""What goes wrong, one function for each: it strikes, and makes good again what does not heal by itself."""

from __future__ import annotations

import random
import signal
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import Literal

import psutil

from switchyard.kafka.admin import PARTITIONS
from switchyard.local import process_cleanup
from switchyard.local.model_server.behaviour import OFFLINE, Action, Behaviour, Call
from tests.recovery.rig import WORKER, Rig

STRANGER = {"agents": ["send-email"], "reason": "scripted", "confidence": 1}
HANGS_S = 30.0  # longer than a call may take
FROZEN_S = 60.0
FULL_S = 15.0
TURNS = 20
OVERTAKEN = "was overtaken by another worker"
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
    rig.until_in_a_handler()
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


@contextmanager
def frozen(rig: Rig, program: str, where: Callable[[], bool] = lambda: True) -> Iterator[float]:
    """No process of a program gets on for `FROZEN_S`, from a moment at which `where` is true; answers since when."""
    victims = process_cleanup.members(rig.info.stack_id, program)

    def stands() -> bool:
        for victim in victims:
            victim.suspend()
        while any(victim.status() not in (psutil.STATUS_STOPPED, psutil.STATUS_ZOMBIE) for victim in victims):
            time.sleep(0.01)  # the signal is on its way
        return where() or go_on()

    def go_on() -> bool:
        for victim in victims:
            with suppress(psutil.NoSuchProcess):
                victim.resume()
        return False

    try:
        rig.until(stands, "there was no such moment")
        at = time.time()
        yield at
        rig.until(lambda: time.time() > at + FROZEN_S, "the fault did not end")
    finally:
        go_on()


def frozen_worker(rig: Rig, chance: random.Random) -> float:
    """One of two workers, while handlers run in it; the other takes over, before it goes on.

    Not while it writes: it would keep SQLite's lock, and the other could do nothing.
    """
    with rig.another_worker() as other:
        rig.until_in_a_handler()
        before = rig.log(WORKER).count(OVERTAKEN)
        with frozen(rig, WORKER, rig.store_is_free) as at:
            rig.until(lambda: rig.reads(other, PARTITIONS), "nobody took over from a frozen worker")
        rig.until(lambda: rig.reads(WORKER), "the worker did not go on")
        rig.note = f"{rig.log(WORKER).count(OVERTAKEN) - before} handlers were overtaken"
    return at


def frozen_taskmanager(rig: Rig, chance: random.Random) -> float:
    """The TaskManager with its Python workers; the JobManager takes it for lost, before it goes on."""
    with frozen(rig, "flink-taskmanager") as at:
        rig.until(lambda: rig.runs_since() is None, "the JobManager did not miss the TaskManager")
    return at


def rolling_restart(rig: Rig, chance: random.Random) -> float:
    """Two workers are asked to end, one after the other, each while handlers run in it."""
    with rig.another_worker() as other:
        at = time.time()
        for worker in (WORKER, other):
            rig.until_in_a_handler(worker)
            killed(worker, signal.SIGTERM)(rig, chance)
            rig.until(partial(rig.reads, worker), "the worker did not come back")
    return at


def no_room(processes: Sequence[psutil.Process], room: int = 0) -> None:
    """No file can grow beyond so many bytes any more where one of these writes to it, as on a full disk."""
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.rlimit(psutil.RLIMIT_FSIZE, (room, process.rlimit(psutil.RLIMIT_FSIZE)[1]))


def room_again(processes: Sequence[psutil.Process]) -> None:
    no_room(processes, psutil.RLIM_INFINITY)


def full_disk(rig: Rig, chance: random.Random) -> float:
    """No file of the worker can grow, until `switchyard status` says so."""
    worker = rig.process(WORKER)
    no_room([worker], 4096)
    at = time.time()

    def told() -> bool:
        return any("cannot be used" in item.health for item in rig.stack.status() if item.process == WORKER)

    rig.until(told, "`switchyard status` did not tell of the full disk")
    over = time.time() + chance.uniform(1, 3)
    rig.until(lambda: time.time() > over, "the fault did not end")
    room_again([worker])
    return at


def full_broker_disk(rig: Rig, chance: random.Random) -> float:
    """No file of the broker can grow: it ends, and cannot start again before there is room."""
    first = rig.process("kafka")
    no_room([first])
    rig.until(lambda: not first.is_running(), "the broker did not end")
    at = time.time()

    def broker() -> list[psutil.Process]:
        return process_cleanup.members(rig.info.stack_id, "kafka")

    def over() -> bool:
        no_room(broker())
        return time.time() > at + FULL_S

    rig.until(over, "the fault did not end")
    room_again(broker())
    return at


def full_flink_disk(*roles: str) -> Callable[[Rig, random.Random], float]:
    """No file of these can grow, until no checkpoint has completed for `FULL_S`."""

    def strike(rig: Rig, chance: random.Random) -> float:
        processes = [rig.process(f"flink-{role}") for role in roles]
        no_room(processes)
        at = since = time.time()
        newest = rig.checkpoint()

        def over() -> bool:
            nonlocal newest, since
            if rig.checkpoint() != newest:
                newest, since = rig.checkpoint(), time.time()
            return time.time() > since + FULL_S

        rig.until(over, "checkpoints completed on a full disk")
        room_again(processes)
        rig.until(lambda: rig.checkpoint() not in (None, newest), "no checkpoint completed again")
        return at

    return strike


def dots(rig: Rig, chance: random.Random) -> float:
    """Leads come right behind one whose email is 60,000 dots, and alone, by turns."""
    rig.until(rig.all_done, "not all had ended")
    rig.model.script(lambda call: OFFLINE)
    at = time.time()
    alone, behind = [], []
    for turn in range(TURNS):
        alone.append(rig.delay(f"alone{int(at)}-{turn}"))
        behind.append(rig.delay(f"behind{int(at)}-{turn}", before={"email": "a@" + "." * 60_000}))
    rig.model.script(rig.usual)
    rig.note = f"decided about after {_seconds(behind)}, alone after {_seconds(alone)}"
    return at


def _seconds(measured: Sequence[float]) -> str:
    return f"{statistics.median(measured):.2f} s (at most {max(measured):.2f} s)"


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
    Kill("full disk of the broker", full_broker_disk),
    Kill("full disk of the checkpoints", full_flink_disk("jobmanager")),
    Kill("full disk of Flink", full_flink_disk("jobmanager", "taskmanager"), "job"),
    Kill("agent worker frozen for 60 s", frozen_worker),
    Kill("TaskManager frozen for 60 s", frozen_taskmanager, "job"),
    Kill("leads behind an email of 60,000 dots", dots),
    Kill("rolling restart of two workers in handlers", rolling_restart),
)
SHORT = ("TaskManager", "broker stopped and started", "full disk")
