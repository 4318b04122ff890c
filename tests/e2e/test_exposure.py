"""Where the local stack can be reached, what its Flink lets others do, and who may read its files."""

from __future__ import annotations

import io
import os
import socket
import zipfile
from collections.abc import Iterator

import httpx2
import pytest

from switchyard.flink.rest import Flink
from switchyard.local import ports, process_cleanup
from switchyard.local.info import StackInfo
from switchyard.local.process_cleanup import PROGRAM
from switchyard.local.stack import Stack
from tests.e2e.conftest import CommandLine, until
from tests.stack.modes import open_to_others

pytestmark = pytest.mark.e2e

NAMESPACE, PROCESSES = "exposed", "exposed-processes"
HTTP2 = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes((0, 0, 0, 4, 0, 0, 0, 0, 0))
SETTINGS = 4


@pytest.fixture(scope="module")
def job(home: object, stack: Stack, info: StackInfo) -> Iterator[set[tuple[str, int]]]:
    """A job whose Python functions run, and a worker; what listened beyond loopback before."""
    before, taskmanager = beyond_loopback(info), pid(stack)
    CommandLine(stack.layout.home, SWITCHYARD_PYTHON_MODE="thread").run("submit", "sdr", "--namespace", NAMESPACE)
    stack.add_app("sdr", NAMESPACE)
    yield before
    stack.remove_app(NAMESPACE)
    numbers(info)
    CommandLine(stack.layout.home).run("stop", "sdr", "--namespace", NAMESPACE)
    numbers(info)
    assert pid(stack) == taskmanager, "what is left of a job in thread mode has ended its TaskManager"


def pid(stack: Stack) -> int | None:
    return next(item.pid for item in stack.status() if item.process == "flink-taskmanager")


def numbers(info: StackInfo) -> None:
    """Wait until Flink has asked everything in the TaskManager for its numbers once more."""
    with httpx2.Client(trust_env=False, base_url=info.flink) as client:

        def cpu_time() -> str:
            (only,) = client.get("/taskmanagers").json()["taskmanagers"]
            found = client.get(f"/taskmanagers/{only['id']}/metrics", params={"get": "Status.JVM.CPU.Time"}).json()
            return str(found)

        first = cpu_time()
        until(lambda: cpu_time() != first, 60)


def listening(info: StackInfo) -> set[tuple[str, str, int]]:
    """Program, address and port of every socket that a process of the stack listens on."""
    return {
        (process.environ().get(PROGRAM, "supervisord"), connection.laddr.ip, connection.laddr.port)
        for process in process_cleanup.members(info.stack_id)
        for connection in process.net_connections("inet")
        if connection.status == "LISTEN" or connection.type == socket.SOCK_DGRAM
    }


def beyond_loopback(info: StackInfo) -> set[tuple[str, int]]:
    return {(program, port) for program, ip, port in listening(info) if ip.removeprefix("::ffff:") != ports.LOOPBACK}


def metrics(info: StackInfo) -> set[tuple[str, int]]:
    return {(f"flink-{role}", port) for role, port in info.prometheus_ports.items()}


def speaks_http2(port: int) -> bool:
    with socket.create_connection((ports.LOOPBACK, port), 60) as connection:
        connection.sendall(HTTP2)
        return len(answer := connection.recv(9)) > 3 and answer[3] == SETTINGS


@pytest.fixture
def process_mode(stack: Stack) -> Iterator[None]:
    command = CommandLine(stack.layout.home, SWITCHYARD_PYTHON_MODE="process")
    command.run("submit", "sdr", "--namespace", PROCESSES)
    yield
    command.run("stop", "sdr", "--namespace", PROCESSES)


def test_what_listens_beyond_loopback_is_named(job: set[tuple[str, int]], info: StackInfo) -> None:
    """`SECURITY.md` has the list, and why Flink's metrics cannot be told an address to listen on."""
    found = listening(info)
    assert {"kafka", "flink-jobmanager", "flink-taskmanager", "model", "mail", f"worker-{NAMESPACE}"} <= {
        program for program, _, _ in found
    }
    assert metrics(info) <= beyond_loopback(info) <= metrics(info) | job


def test_process_mode_opens_ports_of_beam(process_mode: None, info: StackInfo) -> None:
    assert metrics(info) < beyond_loopback(info)
    beams = beyond_loopback(info) - metrics(info)
    assert {program for program, _ in beams} == {"flink-taskmanager"}
    assert all(speaks_http2(port) for _, port in beams), "they are the gRPC services of Beam's Python workers"


def test_the_numbers_of_thread_mode_are_there(job: object, info: StackInfo) -> None:
    flink, name = Flink(info.flink), "orchestrator.answers_proved"
    (running,) = flink.jobs(f"switchyard {NAMESPACE}")
    until(lambda: flink.gauges(running.id, [name]).get(name, {}).get("max") == 1, 60)


def test_nobody_gives_flink_a_jar(info: StackInfo) -> None:
    jar = io.BytesIO()
    with zipfile.ZipFile(jar, "w") as archive:
        archive.writestr("META-INF/MANIFEST.MF", "Main-Class: Other\n")
    with httpx2.Client(trust_env=False, base_url=info.flink) as client:
        upload = client.post("/jars/upload", files={"jarfile": ("other.jar", jar.getvalue())})
        assert upload.status_code in (400, 404, 405)
        assert client.get("/jars").status_code == 404


def test_no_page_of_elsewhere_reads_what_flink_says(info: StackInfo) -> None:
    with httpx2.Client(trust_env=False, base_url=info.flink) as client:
        answer = client.get("/config", headers={"Origin": "http://elsewhere.example"})
    assert answer.headers["access-control-allow-origin"] == info.flink


def test_only_this_user_reads_what_the_stack_writes(job: object, stack: Stack, info: StackInfo) -> None:
    assert len(Flink(info.flink).jobs(f"switchyard {NAMESPACE}")) == 1
    assert f"the orchestrator of {NAMESPACE} begins" in (stack.layout.log / "flink-taskmanager.log").read_text()
    written = [name for _, _, files in os.walk(stack.layout.home) for name in files]
    assert {"stack.json", "meta.properties", "flink-taskmanager.log", f"{NAMESPACE}.sqlite"} <= set(written)
    assert open_to_others(stack.layout.home) == []
