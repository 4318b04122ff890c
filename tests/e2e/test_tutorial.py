"""docs/tutorial.md, step by step, as somebody does it who reads it: files are written, commands run, and print that."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from switchyard.core.bundled import ROOT
from tests.e2e.conftest import CommandLine

pytestmark = [pytest.mark.e2e, pytest.mark.own_stack]

BLOCK = re.compile(r"^```(?P<kind>\w+)(?: file=(?P<file>\S+))?\n(?P<text>.*?)^```$", re.M | re.S)
LOOKS = ("switchyard workflows", "switchyard trace")
"""Commands that only look: what they show may need a moment."""
LONGEST_WAIT_S = 60.0


@dataclass(frozen=True)
class Command:
    """A line of a console block, and the lines that it is said to print; `…` stands for anything."""

    line: str
    printed: tuple[str, ...]

    def shows(self, output: str) -> bool:
        """Whether the output has these lines, in this order."""
        parts = (re.escape(line).replace("…", "[^\n]*") for line in self.printed)
        return re.search(r"[^\n]*\n(?:[^\n]*\n)*?".join(parts), output + "\n") is not None


def steps(page: str) -> Iterator[tuple[Path, str] | Command]:
    """The files and commands of a page, in its order."""
    for block in BLOCK.finditer(page):
        if block["file"]:
            yield Path(block["file"]), block["text"]
        elif block["kind"] == "console":
            for part in re.split(r"^\$ ", block["text"], flags=re.M)[1:]:
                line, *printed = part.splitlines()
                yield Command(line, tuple(printed))


@pytest.fixture
def shell(command_line: Callable[..., CommandLine], tmp_path: Path) -> Iterator[Callable[[Command], None]]:
    """Runs a command in a folder of its own, and checks what it prints."""
    command = command_line()
    env = {**command.env, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{command.env['PATH']}"}

    def run(step: Command) -> None:
        deadline = time.monotonic() + LONGEST_WAIT_S
        while True:
            done = subprocess.run(
                ["bash", "-c", step.line],
                cwd=tmp_path,
                env=env,
                capture_output=True,
                text=True,
                timeout=300,
                check=False,
            )
            assert done.returncode == 0, f"{step.line}\n{done.stdout}{done.stderr}"
            if step.shows(done.stdout + done.stderr):
                return
            wait = step.line.startswith(LOOKS) and time.monotonic() < deadline
            assert wait, f"{step.line}\nprinted\n{done.stdout}{done.stderr}\nand not\n{step.printed}"
            time.sleep(0.5)

    yield run
    command.run("down", "--clean")


def test_every_step_of_the_tutorial(shell: Callable[[Command], None], tmp_path: Path) -> None:
    for step in steps((ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8")):
        if isinstance(step, Command):
            shell(step)
        else:
            path, text = step
            (tmp_path / path).write_text(text, encoding="utf-8")


def test_what_a_command_is_said_to_print_is_compared() -> None:
    step = Command("x", ("…order-7…completed…", "end"))
    assert step.shows("a list\n order-7  ran, completed now\nmore\nend\n")
    assert not step.shows("order-7 runs\nend\n")
    assert not step.shows("end\n order-7 completed\n")
