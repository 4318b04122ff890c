"""What a benchmark runs on: a local stack in a folder of its own, and a scripted model server that every way calls."""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2

from switchyard.core.settings import Settings
from switchyard.deployment.target import Target
from switchyard.environment import read_settings
from switchyard.local.health import Health
from switchyard.local.options import StackOptions
from switchyard.local.ports import LOOPBACK, free_port
from switchyard.local.stack import Stack

MEDIAN_S, SIGMA = 0.8, 0.5
AT_ONCE = 100

Report = Callable[[str], None]


@dataclass(frozen=True)
class Stage:
    """Everything is up but the model server, which each measurement starts anew."""

    stack: Stack
    settings: Settings
    target: Target
    model_port: int

    @contextmanager
    def model_server(
        self, seed: int, median_s: float = MEDIAN_S, sigma: float = SIGMA, hang_on: str = ""
    ) -> Iterator[None]:
        """The same seed answers with the same latencies, in order of the calls; what has `hang_on` in it, never."""
        command = [sys.executable, "-P", "-m", "switchyard.local.model_server", "--port", str(self.model_port)]
        command += ["--delay-s", str(median_s), "--delay-sigma", str(sigma), "--seed", str(seed)]
        command += ["--apps", str(self.stack.layout.apps_file), *(["--hang-on", hang_on] if hang_on else [])]
        self.stack.add_program("scripted-model", command, health=Health("http", f"{self._model}/health"))
        try:
            yield
        finally:
            self.stack.remove_program("scripted-model")

    def calls(self) -> list[dict[str, Any]]:
        """The model server's log, with the beginning of each question."""
        answer = httpx2.get(f"{self._model}/log", params={"messages": "true"}, timeout=30, trust_env=False)
        rows: list[dict[str, Any]] = answer.raise_for_status().json()
        return rows

    @property
    def _model(self) -> str:
        return f"http://{LOOPBACK}:{self.model_port}"


def calibrated() -> str:
    """How fast the machine is now, to end a run's line with, so that slow hours show."""
    began = time.perf_counter()
    total = 0
    for number in range(2_000_000):
        total += number
    return f" [a loop of Python: {(time.perf_counter() - began) * 1000:.0f} ms]"


@contextmanager
def stage(report: Report) -> Iterator[Stage]:
    """Start broker and Flink; stop them and remove their data. After an error the folder with the logs stays."""
    home = Path(tempfile.mkdtemp(prefix="switchyard-benchmark-"))
    port = free_port()
    _set_environment(
        SWITCHYARD_HOME=str(home),
        SWITCHYARD_MODEL="switchyard-offline",
        SWITCHYARD_MODEL_CONCURRENCY=str(AT_ONCE),
        OPENAI_BASE_URL=f"http://{LOOPBACK}:{port}/v1",
        OPENAI_API_KEY="scripted",
    )
    settings = read_settings()
    stack = Stack.of(settings)
    done = False
    try:
        info = stack.up([], StackOptions.of(settings), report)
        yield Stage(stack, settings, Target.find(settings, info), port)
        done = True
    finally:
        stack.down(clean=done)
        if not done:
            report(f"The logs are in {home / 'log'}.")


def _set_environment(**values: str) -> None:
    """Nothing that is set for other uses of Switchyard may reach the benchmark or what it starts."""
    for name in list(os.environ):
        if name.startswith(("SWITCHYARD_", "OPENAI_")):
            del os.environ[name]
    os.environ.update(values)
