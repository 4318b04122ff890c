"""One broker and one Flink cluster, in processes of their own, for every test of this folder."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from switchyard.local.info import StackInfo
from switchyard.local.layout import Layout
from switchyard.local.options import StackOptions
from switchyard.local.stack import Stack

SWITCHYARD = str(Path(sys.executable).with_name("switchyard"))
LAST_LINES = 12
KAFKA_PASSWORD = "pass $word; of 'this' test"
MODEL_VARIABLES = ("OPENAI_BASE_URL", "OPENAI_API_KEY", "SWITCHYARD_MODEL", "SWITCHYARD_KAFKA", "SWITCHYARD_FLINK")


class CommandLine:
    """`switchyard` as a user runs it, in the folder and environment of one home."""

    def __init__(self, home: Path, **more: str) -> None:
        inherited = {name: value for name, value in os.environ.items() if name not in MODEL_VARIABLES}
        self.home = home
        self.env = {**inherited, "SWITCHYARD_HOME": str(home), "SDR_DAY_SECONDS": "0.05", **more}

    def run(self, *arguments: str, code: int = 0, stdin: bytes | None = None) -> str:
        """Standard output. Fails where the exit code is another."""
        done = subprocess.run(
            [SWITCHYARD, *arguments], env=self.env, input=stdin, capture_output=True, timeout=300, check=False
        )
        said = done.stdout.decode() + done.stderr.decode()
        assert done.returncode == code, f"switchyard {' '.join(arguments)} exited {done.returncode}:\n{said[-6000:]}"
        return done.stdout.decode() if code == 0 else said

    def objects(self, *arguments: str) -> list[dict[str, Any]]:
        """What a listing command prints with --json."""
        return [json.loads(line) for line in self.run(*arguments, "--json").splitlines()]

    def demo(self, *arguments: str) -> dict[str, Any]:
        """The summary of a demo: its last line."""
        figures: dict[str, Any] = json.loads(self.run("demo", *arguments, "--json").splitlines()[-1])
        return figures

    def start(self, *arguments: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [SWITCHYARD, *arguments],
            env=self.env,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
        )


def files_with(folder: Path, secret: str) -> list[Path]:
    """Files that hold the secret. Flink removes old checkpoints while one looks."""
    found = []
    for path in folder.rglob("*"):
        try:
            if path.is_file() and secret.encode() in path.read_bytes():
                found.append(path)
        except FileNotFoundError:
            continue
    return found


def until(true: Callable[[], bool], seconds: float) -> None:
    """Wait for a condition."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it took too long"
        time.sleep(0.1)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """A failure tells what the processes of the stack logged last; their files are gone with it."""
    report: Any = yield
    stack = getattr(item, "funcargs", {}).get("stack")
    if report.failed and isinstance(stack, Stack):
        for path in sorted(stack.layout.log.glob("*.log")):
            last = path.read_text(encoding="utf-8", errors="replace").splitlines()[-LAST_LINES:]
            report.sections.append((path.name, "\n".join(line[:300] for line in last)))
    return report


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("e2e") / "home"


@pytest.fixture(scope="session")
def stack(home: Path) -> Iterator[Stack]:
    with pytest.MonkeyPatch.context() as patch:
        for variable in MODEL_VARIABLES:
            patch.delenv(variable, raising=False)
        # For the Kafka of test_secured_kafka.py; the stack's own asks for none.
        patch.setenv("SWITCHYARD_KAFKA_PASSWORD", KAFKA_PASSWORD)
        stack = Stack(Layout(home))
        stack.up([], StackOptions())
    yield stack
    stack.down(clean=True)


@pytest.fixture(scope="session")
def info(stack: Stack) -> StackInfo:
    found = stack.info()
    assert found is not None
    return found


@pytest.fixture
def command(home: Path, stack: Stack) -> CommandLine:
    return CommandLine(home)


@pytest.fixture
def command_line(tmp_path: Path) -> Callable[..., CommandLine]:
    """A command line in a home of its own; `more` goes into its environment."""
    return lambda **more: CommandLine(tmp_path / "home", **more)
