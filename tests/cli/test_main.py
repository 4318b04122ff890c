"""Every command is there; what goes wrong is one sentence, never a trace."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path

import pytest

from switchyard.cli.main import COMMANDS, GROUPS
from tests.cli.conftest import Run

SWITCHYARD = str(Path(sys.executable).with_name("switchyard"))


def test_help_names_every_command(run: Run) -> None:
    shown = run("--help")
    assert shown.exit_code == 0
    assert all(name in shown.output for name in COMMANDS)


def test_help_groups_the_commands_by_what_they_are_for(run: Run) -> None:
    text = run("--help").output
    places = [text.index(f" {title} ─") for title in GROUPS]
    assert places == sorted(places)
    assert [*GROUPS] == ["Run", "Look", "Step in", "Build"]


@pytest.mark.parametrize("command", [[], *([name] for name in COMMANDS), ["dead-letters", "retry"], ["new", "agent"]])
def test_every_command_explains_itself_as_other_tools_do(run: Run, command: list[str]) -> None:
    shown = run(*command, "--help")
    assert shown.exit_code == 0
    assert "<" not in shown.output


def test_the_version_is_that_of_the_package(run: Run) -> None:
    assert run("--version").stdout == f"switchyard {metadata.version('switchyard')}\n"


def test_a_command_that_is_nearly_one_is_named(run: Run) -> None:
    result = run("wokflows")
    assert result.exit_code == 2
    assert "Did you mean 'workflows'?" in result.stderr


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_completes_commands_and_options(shell: str) -> None:
    assert {"workflows"} == completed(shell, "wo")
    assert set(COMMANDS) <= completed(shell, "")
    assert {"--namespace"} == completed(shell, "trace --nam")
    assert {"retry"} == completed(shell, "dead-letters re")


def test_completing_loads_neither_flink_nor_kafka() -> None:
    code = "import sys; from switchyard.cli.main import app; app(prog_name='switchyard', standalone_mode=False)"
    code = f"try:\n    {code}\nexcept SystemExit:\n    pass\nprint(*sys.modules)"
    loaded = completed("bash", "", [sys.executable, "-c", code])
    assert {"demo", "workflows"} <= loaded
    assert not {"kafka", "pyflink", "py4j", "openai", "sqlalchemy"} & loaded


def completed(shell: str, typed: str, program: Sequence[str] = (SWITCHYARD,)) -> set[str]:
    """What a shell offers after `switchyard` and what was typed."""
    words = f"switchyard {typed}"
    asked = {
        "_SWITCHYARD_COMPLETE": f"complete_{shell}",
        "COMP_WORDS": words,
        "COMP_CWORD": str(len(words.split(" ")) - 1),
        "_TYPER_COMPLETE_ARGS": words,
        "_TYPER_COMPLETE_FISH_ACTION": "get-args",
    }
    answer = subprocess.run(program, env={**os.environ, **asked}, capture_output=True, text=True, check=True).stdout
    if shell == "zsh":
        return set(re.findall(r'^(?:_arguments .*\(\()?"([^"]+)"', answer, re.M))
    return set(answer.split()) if shell == "bash" else {line.partition("\t")[0] for line in answer.splitlines()}


@pytest.mark.parametrize(
    ("command", "sentence"),
    [
        (["workflows"], "no Kafka address: start the stack with `switchyard up`, or give --kafka HOST:PORT"),
        (["workflows", "--status", "lost"], "--status lost: there are queued, running, completed"),
        (["workflows", "--app", "nowhere"], "there is no such app; name one of"),
        (["workflows", "--namespace", "Not A Name"], "a namespace is lower-case letters"),
        (["lint", "nowhere"], "there is no such app; name one of"),
        (["send", "missing.jsonl"], "missing.jsonl cannot be read: No such file"),
        (["send", "-", "--topic", "elsewhere"], "'elsewhere' is no input of the app; there are incoming-leads"),
        (["send", "-"], "standard input holds no line that is not blank"),
        (["route"], "give one event"),
        (["route", '{"id": 1}'], "it would become a dead letter, not-a-cloudevent: specversion"),
        (["route", "--type", "lead.created", "--data", "{"], "--data is not JSON"),
        (["up", "--port", "flink"], "write NAME=NUMBER"),
    ],
)
def test_what_goes_wrong_is_one_sentence_on_stderr(run: Run, command: list[str], sentence: str) -> None:
    result = run(*command)
    assert result.exit_code == 1
    assert sentence in result.stderr
    assert result.stdout == ""
    assert len(result.stderr.strip().splitlines()) == 1


def test_an_interrupt_tells_what_still_runs(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("switchyard.cli.options.AppOnKafka.find", interrupted)
    result = run("workflows")
    assert result.exit_code == 130
    assert "Interrupted. Nothing of the local stack is running." in result.stderr


@pytest.mark.parametrize(("variable", "value"), [("SWITCHYARD_KAFAK", "x"), ("SWITCHYARD_ALLOW_REMOTE_MODEL", "flase")])
@pytest.mark.parametrize(
    "command",
    [
        *(
            [name]
            for name in COMMANDS
            if name not in ("approvals", "dead-letters", "new", "send", "trace", "cancel", "forget")
        ),
        *(["approvals", "list"], ["approvals", "show", "x"], ["approvals", "approve", "x"]),
        *(["approvals", "reject", "x", "--reason", "y"], ["dead-letters", "list"], ["dead-letters", "show", "1"]),
        *(
            ["dead-letters", "retry", "1"],
            ["dead-letters", "discard", "1"],
            ["new", "app", "desk"],
            ["new", "agent", "x"],
        ),
        *(["send", "-"], ["trace", "x"], ["cancel", "x"], ["forget", "--subject", "x"]),
    ],
    ids=" ".join,
)
def test_no_command_goes_on_with_a_setting_that_is_wrong(
    command: list[str], variable: str, value: str, run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(variable, value)
    result = run(*command)
    assert result.exit_code == 1
    assert result.stderr.startswith(f"{variable}: ")
    assert len(result.stderr.splitlines()) == 1


@pytest.mark.parametrize("module", ["switchyard.worker", "switchyard.deployment.watchdog"])
def test_no_process_goes_on_with_a_setting_that_is_wrong(module: str) -> None:
    arguments = ["sdr"] if module.endswith("worker") else ["--flink", "http://127.0.0.1:1"]
    env = {**os.environ, "SWITCHYARD_ALLOW_REMOTE_MODEL": "flase"}
    done = subprocess.run([sys.executable, "-m", module, *arguments], env=env, capture_output=True, text=True)
    assert done.returncode != 0
    assert "SWITCHYARD_ALLOW_REMOTE_MODEL: Input should be a valid boolean" in done.stderr
