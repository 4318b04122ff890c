"""The stack for real: up, up again, a hard kill, status, down; nothing stays behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from typer.testing import CliRunner

from switchyard.cli.stack import status
from switchyard.core.app import shipped
from switchyard.kafka.connection import KafkaConnection
from switchyard.local import process_cleanup
from switchyard.local.errors import StackError
from switchyard.local.health import Health
from switchyard.local.layout import Layout
from switchyard.local.options import StackOptions
from switchyard.local.ports import free_port
from switchyard.local.stack import Stack
from switchyard.local.status import ProgramStatus
from tests.e2e.conftest import until

pytestmark = [pytest.mark.e2e, pytest.mark.own_stack]

KEY = "sk-of-this-test-alone"
APPS = ["sdr"] if "sdr" in shipped() else []
UP = """
import json, sys
from switchyard.environment import read_settings
from switchyard.local.options import StackOptions
from switchyard.local.stack import Stack
Stack.of(read_settings()).up(json.loads(sys.argv[1]), StackOptions(), lambda line: print(line, flush=True))
"""


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    home = tmp_path_factory.mktemp("stack") / "home"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SWITCHYARD_HOME", str(home))
        for variable in ("OPENAI_BASE_URL", "SWITCHYARD_MODEL", "SWITCHYARD_KAFKA", "SWITCHYARD_FLINK"):
            patch.delenv(variable, raising=False)
        patch.setenv("OPENAI_API_KEY", KEY)
        stack = Stack(Layout(home))
        yield stack
        stack.down(clean=True)


def processes(stack: Stack) -> dict[str, ProgramStatus]:
    return {item.process: item for item in stack.status()}


def test_the_stack_comes_up_stays_up_and_goes_down(stack: Stack) -> None:
    # `up` in a process of its own, its output through a pipe: the call returns only if nothing holds the pipe.
    first = subprocess.run([sys.executable, "-c", UP, json.dumps(APPS)], capture_output=True, text=True, timeout=150)
    assert first.returncode == 0, first.stderr
    info = stack.info()
    assert info is not None
    before = processes(stack)
    names = {"kafka", "flink-jobmanager", "flink-taskmanager", "model", "mail", "watchdog"}
    assert set(before) == names | {f"worker-{app}" for app in APPS}
    assert all(item.restarts == 0 for item in before.values())
    until(lambda: all_healthy(stack), 60)
    assert all(f"{name} is healthy" in first.stdout for name in before)

    lines: list[str] = []
    assert stack.up(APPS, StackOptions(), lines.append) == info
    assert lines == ["The stack is up already; nothing was changed."]
    assert {name: item.pid for name, item in processes(stack).items()} == {
        name: item.pid for name, item in before.items()
    }
    for differing in (StackOptions(kafka=KafkaConnection("127.0.0.1:1")), StackOptions(ports={"smtp": free_port()})):
        with pytest.raises(StackError, match="switchyard down"):
            stack.up([], differing, lines.append)

    killed = before["mail"].pid
    assert killed is not None
    os.kill(killed, signal.SIGKILL)
    until(lambda: came_back(stack, "mail", killed), 60)
    assert processes(stack)["mail"].restarts == 1

    beside = Stack(Layout(stack.layout.home.parent / "a second home, beside"))
    there = StackOptions(KafkaConnection(info.kafka), info.flink, "http://127.0.0.1:9/v1")
    own = beside.up([], there)
    assert [item.process for item in beside.status()] == ["mail"]
    assert (own.kafka, own.flink, own.model_embedded) == (info.kafka, info.flink, False)
    assert beside.down(clean=True)
    until(lambda: all_healthy(stack), 60)

    port = free_port()
    web = [sys.executable, "-m", "http.server", str(port), "--bind", "127.0.0.1"]
    with_web = stack.add_program("web", web, health=Health("http", f"http://127.0.0.1:{port}"), port=port)
    assert with_web.programs["web"].port == port
    stack.remove_program("web")
    assert "web" not in processes(stack)

    shown = status_lines()
    assert {line["process"] for line in shown} == set(before)
    assert set(shown[0]) == {"process", "pid", "port", "health", "restarts", "uptime", "log"}

    for prometheus in info.prometheus_ports.values():
        with urllib.request.urlopen(f"http://127.0.0.1:{prometheus}/metrics", timeout=60) as response:
            assert b"flink_" in response.read()

    for app in APPS:
        assert b"ERROR" not in read(stack.layout.log / f"worker-{app}.log"), "its topics are not there yet"

    members = process_cleanup.members(info.stack_id)
    assert len(members) > len(before)
    assert stack.down()
    assert not [process for process in members if psutil.pid_exists(process.pid) and process.is_running()]
    assert stack.status() == []
    assert not stack.down()
    assert (stack.layout.kafka / "data" / "meta.properties").exists()
    holding = [path for path in stack.layout.home.rglob("*") if path.is_file() and KEY.encode() in read(path)]
    assert holding == []

    assert not stack.down(clean=True)
    assert not stack.layout.home.exists()


def test_an_up_that_fails_leaves_nothing_running(tmp_path: Path) -> None:
    stack = Stack(Layout(tmp_path / "home"))
    unused = f"127.0.0.1:{free_port()}"
    with pytest.raises(StackError, match=f"Kafka cannot be used: no answer at {unused}"):
        stack.up([], StackOptions(kafka=KafkaConnection(unused)))
    with pytest.raises(StackError, match="is not healthy after 0 s"):
        stack.up([], StackOptions(timeout_s=0.1))
    assert stack.info() is None
    assert not [
        process for process in psutil.process_iter(["cmdline"]) if str(tmp_path) in str(process.info["cmdline"])
    ]


def all_healthy(stack: Stack) -> bool:
    return all(item.healthy for item in stack.status())


def came_back(stack: Stack, name: str, old_pid: int) -> bool:
    item = processes(stack)[name]
    return item.healthy and item.pid != old_pid


def status_lines() -> list[dict[str, object]]:
    import typer

    app = typer.Typer()
    app.command()(status)
    result = CliRunner().invoke(app, ["--json"])
    assert result.exit_code == 0
    return [json.loads(line) for line in result.output.splitlines()]


def read(path: Path) -> bytes:
    return b"" if path.is_symlink() else path.read_bytes()
