"""docs/tutorial.md, step by step, as somebody does it who reads it: files are written, commands run, and print that."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.e2e.conftest import CommandLine
from tests.pages import Command, File, steps

LOOKS = ("switchyard workflows", "switchyard trace")
"""Commands that only look: what they show may need a moment."""
LONGEST_WAIT_S = 60.0


@pytest.fixture
def shell(command_line: Callable[..., CommandLine], tmp_path: Path) -> Iterator[Callable[[Command], None]]:
    """Runs a command in a folder of its own, and checks what it prints."""
    command = command_line()
    env = {**command.env, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{command.env['PATH']}"}

    def run(step: Command) -> None:
        deadline = time.monotonic() + LONGEST_WAIT_S
        shell = ["bash", "-c", step.line]
        while True:
            done = subprocess.run(
                shell, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=300, check=False
            )
            assert done.returncode == 0, f"{step.line}\n{done.stdout}{done.stderr}"
            if step.shows(done.stdout + done.stderr):
                return
            wait = step.line.startswith(LOOKS) and time.monotonic() < deadline
            assert wait, f"{step.line}\nprinted\n{done.stdout}{done.stderr}\nand not\n{step.printed}"
            time.sleep(0.5)

    yield run
    command.run("down", "--clean", "--yes")


@pytest.mark.e2e
@pytest.mark.own_stack
def test_every_step_of_the_tutorial(shell: Callable[[Command], None], tmp_path: Path) -> None:
    for step in steps("tutorial.md"):
        if isinstance(step, File):
            step.write(tmp_path)
        else:
            shell(step)
