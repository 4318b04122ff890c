"""A worker process on a real broker: killed, stopped, started again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import NewTopic

from switchyard.core.app import App
from switchyard.core.deadletter import DeadLetter
from switchyard.core.event import Event
from switchyard.core.topics import Topics
from switchyard.kafka.admin import Cluster, topic_settings
from switchyard.kafka.connection import KafkaConnection
from switchyard.local.info import StackInfo
from tests.agents.support import inbox_event
from tests.e2e.conftest import MODEL_VARIABLES, until

pytestmark = pytest.mark.e2e

TOPICS = Topics("slow")
RECORD = '{"type": "record", "name": "n", "fields": [{"name": "n", "type": "int"}]}'
AGENTS = """
app: slow
starts: [asked]
ends: [answered]
agents:
  - {name: echo, description: Says it again., accepts: [asked], emits: [answered]}
"""
HANDLERS = """
import os, pathlib, time
def echo(task):
    time.sleep(0.2)
    with (pathlib.Path(__file__).parent / 'runs').open('a') as runs:
        runs.write(f"{task.effect_key}\\n")
    return {'n': task.data['n']}
"""

REMEMBERING = """
app: diaries
starts: [asked]
ends: [answered]
agents:
  - {name: ada, description: Keeps a diary., accepts: [asked], emits: [answered]}
  - {name: bob, description: Writes down nothing but what others say., accepts: [asked], emits: [answered]}
"""
DIARIES = """
def ada(task):
    before = task.memory.recall('s', 100)
    task.memory.remember('s', str(task.data['n']))
    return {'n': len(before)}
bob = ada
"""

MOVING = AGENTS.replace("slow", "moving")
# The answer tells which worker gave it.
GATED = """
import os, pathlib, time
def echo(task):
    folder = pathlib.Path(__file__).parent
    with (folder / 'runs').open('a') as runs:
        runs.write(f"{task.data['n']}\\n")
    while not (folder / f"go-{task.data['n'] // 10}").exists():
        time.sleep(0.05)
    return {'n': os.getpid()}
"""


def write_app(folder: Path, agents: str, handlers: str) -> Path:
    (folder / "contracts").mkdir(parents=True)
    (folder / "agents.yaml").write_text(agents)
    (folder / "handlers.py").write_text(handlers)
    for name in ("asked", "answered"):
        (folder / "contracts" / f"{name}.avsc").write_text(RECORD)
    return folder


@pytest.fixture
def app(tmp_path: Path) -> Path:
    return write_app(tmp_path / "slow", AGENTS, HANDLERS)


Start = Callable[..., subprocess.Popen[bytes]]


@pytest.fixture
def worker(app: Path, info: StackInfo, tmp_path: Path) -> Iterator[Start]:
    """Starts a worker of the app; those that still run at the end are killed."""
    started: list[subprocess.Popen[bytes]] = []

    def start(folder: Path = app) -> subprocess.Popen[bytes]:
        env = {**os.environ, "SWITCHYARD_KAFKA": info.kafka, "SWITCHYARD_HOME": str(tmp_path)}
        for name in MODEL_VARIABLES[:3]:
            env.pop(name, None)
        with (tmp_path / "worker.log").open("ab") as out:
            command = [sys.executable, "-m", "switchyard.worker", str(folder), "--concurrency", "4"]
            started.append(subprocess.Popen(command, stdout=out, stderr=out, env=env))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait()


class Reader:
    """Everything in one topic that has one partition."""

    def __init__(self, address: str, topic: str) -> None:
        self._consumer = KafkaConsumer(bootstrap_servers=address, group_id=None, enable_auto_commit=False)
        self._partition = TopicPartition(topic, 0)
        self._consumer.assign([self._partition])
        self._consumer.seek_to_beginning()
        self.values: list[bytes] = []

    def read(self) -> list[bytes]:
        """Return all that was written before this call, and maybe more."""
        end = self._consumer.end_offsets([self._partition])[self._partition]
        while self._consumer.position(self._partition) < end:
            for records in self._consumer.poll(timeout_ms=300).values():
                self.values += [record.value for record in records]
        return self.values


def test_nothing_is_lost_or_run_twice(worker: Start, app: Path, info: StackInfo) -> None:
    running = worker()  # before its topics are there
    names = [TOPICS.inbox("echo"), TOPICS.agent_messages, TOPICS.dead_letters]
    admin = KafkaAdminClient(bootstrap_servers=info.kafka)
    admin.create_topics([NewTopic(name, 1, 1) for name in names])
    producer = KafkaProducer(bootstrap_servers=info.kafka)
    answers = Reader(info.kafka, TOPICS.agent_messages)
    dead = Reader(info.kafka, TOPICS.dead_letters)

    def send(numbers: range) -> None:
        for number in numbers:
            event = inbox_event("echo", "asked", {"n": number}, id=str(number))
            producer.send(names[0], key=b"w1", value=event.json().encode())
        producer.flush(timeout=30)

    def answered() -> set[int]:
        return {Event.parse(raw).data["n"] for raw in answers.read()}

    send(range(40))
    producer.send(names[0], value=b"{broken")
    producer.send(names[0], value=b"{}")
    producer.flush(timeout=30)
    until(lambda: len(answered()) >= 10, 60)
    running.send_signal(signal.SIGKILL)
    running.wait()
    running = worker()
    until(lambda: answered() == set(range(40)), 60)
    until(lambda: len(dead.read()) >= 2, 60)
    letters = [DeadLetter.parse(raw) for raw in dead.values]
    assert {(letter.reason, letter.offset) for letter in letters} == {("not-json", 40), ("not-a-cloudevent", 41)}
    runs = (app / "runs").read_text().split()
    assert 40 <= len(runs) <= 44  # a kill may cut off the four that ran

    send(range(40, 80))
    until(lambda: len(answered()) >= 50, 60)
    running.send_signal(signal.SIGTERM)
    assert running.wait(60) == 0
    committed = admin.list_group_offsets({TOPICS.group("echo"): None})
    offset = next(iter(committed[TOPICS.group("echo")].values())).offset
    done = {n for n in answered() if n >= 40}
    assert offset == 40 + 2 + len(done)
    before = len(answers.read())
    worker()
    until(lambda: answered() == set(range(80)), 60)
    assert len(answers.read()) - before == 40 - len(done)  # a clean stop repeats nothing
    ids = [Event.parse(raw).id for raw in answers.values]
    assert len(set(ids)) == 80
    assert len((app / "runs").read_text().split()) <= 84


def test_memories_survive_their_file(worker: Start, info: StackInfo, tmp_path: Path) -> None:
    topics = Topics("diaries")
    folder = write_app(tmp_path / "diaries", REMEMBERING, DIARIES)
    running = worker(folder)  # before its topics are there
    cluster = Cluster(KafkaConnection(info.kafka))
    cluster.create_topics(topic_settings(App.load(str(folder)), "diaries", 1 << 20), partitions=1)
    answers = Reader(info.kafka, topics.agent_messages)
    memory = Reader(info.kafka, topics.memory)

    def told(agent: str, number: int) -> int:
        """How many memories the agent has when it is told a number, which is one more of them."""
        event = inbox_event(agent, "asked", {"n": number}, id=f"{agent}-{number}")
        cluster.send(topics.inbox(agent), [(b"w1", event.json().encode())])
        cause = event.attributes["dispatchid"]

        def answer() -> list[int]:
            return [e.data["n"] for e in map(Event.parse, answers.read()) if e.causation_id == cause]

        until(lambda: bool(answer()), 60)
        return answer()[0]

    assert [told("ada", 0), told("ada", 1), told("bob", 0), told("ada", 2)] == [0, 1, 0, 2]
    running.send_signal(signal.SIGKILL)
    running.wait()
    for file in (tmp_path / "state").glob("diaries-memory.sqlite*"):
        file.unlink()
    worker(folder)
    assert [told("ada", 3), told("bob", 1)] == [3, 1]
    until(lambda: len(memory.read()) == 6, 60)


def test_one_effect_while_partitions_move_and_a_worker_is_frozen(
    worker: Start, info: StackInfo, tmp_path: Path
) -> None:
    topics = Topics("moving")
    folder = write_app(tmp_path / "moving", MOVING, GATED)
    cluster = Cluster(KafkaConnection(info.kafka))
    cluster.create_topics(topic_settings(App.load(str(folder)), "moving", 1 << 20))

    def send(numbers: range) -> None:
        events = {f"w{number}": inbox_event("echo", "asked", {"n": number}, id=str(number)) for number in numbers}
        messages = [(key.encode(), event.json().encode()) for key, event in events.items()]
        cluster.send(topics.inbox("echo"), list(messages))

    def runs() -> list[int]:
        file = folder / "runs"
        return [int(line) for line in file.read_text().split()] if file.exists() else []

    def answers() -> list[Event]:
        return [Event.parse(record.value) for record in cluster.read(topics.agent_messages)]

    def readers() -> int:
        members = cluster.groups([topics.group("echo")])[topics.group("echo")].members
        return sum(bool(member.partitions) for member in members)

    first = worker(folder)
    until(lambda: readers() == 1, 60)
    send(range(4))
    until(lambda: sorted(runs()) == [0, 1, 2, 3], 60)
    worker(folder)
    until(lambda: readers() == 2, 60)
    (folder / "go-0").touch()
    until(lambda: len({event.id for event in answers()}) == 4, 60)
    assert {event.data["n"] for event in answers()} == {first.pid}
    assert sorted(runs()) == [0, 1, 2, 3]

    send(range(10, 14))
    until(lambda: len(runs()) == 8, 60)
    first.send_signal(signal.SIGSTOP)
    until(lambda: readers() == 1, 60)
    (folder / "go-1").touch()
    until(lambda: len({event.id for event in answers()}) == 8, 60)
    first.send_signal(signal.SIGCONT)
    until(lambda: readers() == 2, 60)
    send(range(14, 18))
    until(lambda: len({event.id for event in answers()}) == 12, 60)
    assert len({event.json() for event in answers()}) == 12  # no two workers answered one message
