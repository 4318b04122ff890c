"""What comes from others reaches a terminal as plain text, by whatever way it comes."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import deque
from collections.abc import Callable
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.table import Table

from switchyard import terminal
from switchyard.cli.live import Screen, _table
from switchyard.cli.rendering import render_trace
from switchyard.cli.stack import _table as stack_table
from switchyard.core.deadletter import DeadLetter, Position
from switchyard.core.errors import Rejected, SwitchyardError
from switchyard.core.orchestrator.workflow import Workflow
from switchyard.core.topics import Topics
from switchyard.local.status import ProgramStatus
from tests.cli.conftest import FakeCluster, Run
from tests.cli.test_rendering import record

TITLE = "\x1b]0;pwned\x07"
CLIPBOARD = "\x1b]52;c;cm0gLXJmIH4=\x07"
SIGNS = {"C0": "\x08\r", "C1": "\x9b31m", "delete": "\x7f", "lines": "\u2028\u2029\x85", "bidi": "\u202e\u2066"}
EVIL = "a" + TITLE + CLIPBOARD + "".join(SIGNS.values()) + "[red]x[/red][link=https://evil.example]y[/link][/]"


def acts(output: str) -> list[str]:
    """The signs that a terminal would act on."""
    return sorted({sign for sign in output if not sign.isprintable() and sign not in "\n\t"})


class Terminal(StringIO):
    """A wide one, with colours."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], object]], str]:
    """What a function writes to a terminal."""
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "1000")

    def drawn(draw: Callable[[], object]) -> str:
        with redirect_stdout(Terminal()) as output:
            draw()
        return output.getvalue()

    return drawn


def test_a_line_is_one_line_without_signs_that_act(capsys: pytest.CaptureFixture[str]) -> None:
    terminal.say(f"{EVIL}\ud800\nsecond  column")
    terminal.complain(SwitchyardError(EVIL))
    out, err = capsys.readouterr()
    assert acts(out) == acts(err) == []
    assert out.endswith("[/]� second  column\n")
    assert len(out.splitlines()) == len(err.splitlines()) == 1
    assert terminal.plain("Grüße, Zoë\u00a0Ng\t✓\n") == "Grüße, Zoë Ng\t✓\n"


@pytest.mark.parametrize("signs", SIGNS.values(), ids=SIGNS)
def test_json_is_escaped_and_means_the_same(signs: str, capsys: pytest.CaptureFixture[str]) -> None:
    value = {"ü" + signs: [EVIL, signs, "\ud800 \U000e0001 \U0001f600"]}
    terminal.say_json([value, value])
    out = capsys.readouterr().out
    assert acts(out) == []
    assert "ü" in out
    assert "😀" in out
    assert [json.loads(line) for line in out.splitlines()] == [value, value]


def test_what_rich_renders_has_colours_of_ours_alone(drawn: Any) -> None:
    table = Table(title=EVIL)
    table.add_column(EVIL)
    table.add_row(EVIL)
    shown = drawn(lambda: (terminal.show(table), terminal.show(EVIL)))
    assert acts(shown) == ["\x1b"]
    assert "\x1b]" not in shown
    assert shown.count("[red]x[/red]") == 4


@pytest.mark.parametrize("workflow", ["[/]", "[link=https://evil.example]lead[/link]", "[red]x", f"w{TITLE}\nsecond"])
def test_a_demos_table_shows_the_ids_of_workflows_as_they_are(workflow: str, drawn: Any) -> None:
    item = record("event/1", "dispatch", "rule", "triage", at=0, workflow_id=workflow)
    shown = drawn(lambda: terminal.show(_table(deque([item]))))
    assert "\x1b]" not in shown
    assert terminal.plain(workflow).replace("\n", " ") in shown


def test_a_demos_lines_are_plain(drawn: Any) -> None:
    def draw() -> None:
        screen = Screen(quiet=False)
        screen.say(EVIL)
        with screen.step(EVIL):
            pass

    shown = drawn(draw)
    assert "\x1b]" not in shown
    assert "[red]x[/red]" in shown


def test_a_trace_names_the_model_in_plain_text(drawn: Any) -> None:
    hostile = record(
        "event/1", "dispatch", "model", "triage", at=0, model=f"gpt{EVIL}\nnew", model_calls=1, reason=EVIL
    )
    summary = {**Workflow("w1", 0).summary("toy"), "workflow_id": EVIL, "reason": EVIL}
    shown = drawn(lambda: terminal.show(render_trace([hostile], summary)))
    assert acts(shown) == ["\x1b"]
    assert "\x1b]" not in shown
    assert "\nnew" not in shown


def test_a_processs_health_has_brackets_of_its_own(drawn: Any) -> None:
    health = "the agents' state in /srv/[/x]/sdr.sqlite cannot be used"
    assert health in drawn(lambda: terminal.show(stack_table([ProgramStatus("worker", 1, 1, health, 0, 1.0, "")])))


def letter(kafka: type[FakeCluster]) -> None:
    """A dead letter of a lead whose one field's name acts on terminals, and whose value does, too."""
    topics = Topics("sdr")
    raw = json.dumps({"x" + EVIL: EVIL}, ensure_ascii=True).encode()
    error = Rejected("contract-violation", EVIL, "x" + EVIL)
    dead = DeadLetter.of(error, raw, Position("sdr.incoming-leads", 0, 0), 1)
    kafka.add(topics.dead_letters, b"", dead.json().encode())
    kafka.content["sdr.incoming-leads"] = []


@pytest.mark.parametrize(
    "command",
    [
        ["dead-letters", "list"],
        ["dead-letters", "list", "--json"],
        ["dead-letters", "show", "1"],
        ["dead-letters", "show", "1", "--json"],
        ["dead-letters", "retry", "1"],
        ["trace", EVIL],
        ["workflows", "--status", EVIL],
        ["dead-letters", "show", EVIL],
        ["lint", EVIL],
        ["send", EVIL],
        ["route", "--type", "lead.created", "--data", json.dumps({"x" + EVIL: EVIL})],
        [EVIL],
        ["workflows", f"--{EVIL}"],
        ["up", "--port", EVIL],
    ],
    ids=lambda command: " ".join(word.replace(EVIL, "…")[:20] for word in command),
)
def test_commands_and_their_errors_are_plain(command: list[str], run: Run, kafka: type[FakeCluster]) -> None:
    letter(kafka)
    result = run(*command)
    assert acts(result.stdout + result.stderr) == []
    assert result.stdout + result.stderr
    if "--json" in command:
        assert EVIL in json.loads(result.stdout)["message"]


def test_a_fault_of_ours_is_told_in_plain_text(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError(EVIL)

    monkeypatch.setattr("switchyard.cli.options.AppOnKafka.find", broken)
    monkeypatch.setattr("tests.cli.conftest.NO_TRACE", "never")
    result = run("workflows")
    assert result.exit_code == 1
    assert "RuntimeError: a�]0;pwned" in result.stderr
    assert acts(result.stderr) == []


def test_a_log_is_plain_and_a_message_is_one_line() -> None:
    code = f"""
import logging
from switchyard.terminal import log_to_stderr
log_to_stderr("%(levelname)s %(message)s")
log = logging.getLogger("x")
log.info("lead %s", {EVIL + chr(10) + "INFO forged"!r})
try:
    raise ValueError({TITLE!r})
except ValueError:
    log.exception("it failed")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    lines = done.stderr.splitlines()
    assert acts(done.stderr) == []
    assert lines[0].startswith("INFO lead a")
    assert lines[0].endswith("INFO forged")
    assert lines[1:3] == ["ERROR it failed", "Traceback (most recent call last):"]
    assert lines[-1] == "ValueError: �]0;pwned�"


BANNED: tuple[tuple[str, str], ...] = (
    ("import typer", "typer.echo('x')"),
    ("import click", "click.secho('x')"),
    ("import sys", "sys.stdout.write('x')"),
    ("import sys", "sys.stderr.write('x')"),
    ("from rich.console import Console", "Console().print('x')"),
    ("from rich import print as show", "show('x')"),
    ("import logging", "logging.basicConfig()"),
    ("", "print('x')"),
)


@pytest.mark.parametrize(("first", "second"), BANNED, ids=[second for _, second in BANNED])
def test_the_linter_lets_nobody_write_past_that_place(first: str, second: str) -> None:
    """`make lint`, which `make test` runs, holds all of the package to it."""
    root = Path(__file__).resolve().parents[2]
    command = [sys.executable, "-m", "ruff", "check", "--stdin-filename", "switchyard/cli/new.py", "-"]
    done: Any = subprocess.run(command, input=f"{first}\n\n{second}\n", capture_output=True, text=True, cwd=root)
    assert done.returncode == 1
    assert "TID251" in done.stdout or "T201" in done.stdout
