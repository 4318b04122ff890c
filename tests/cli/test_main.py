"""Every command is there; what goes wrong is one sentence, never a trace."""

from __future__ import annotations

import pytest

from switchyard.cli.main import COMMANDS
from tests.cli.conftest import Run


def test_help_names_every_command(run: Run) -> None:
    shown = run("--help")
    assert shown.exit_code == 0
    assert all(name in shown.output for name in COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself(run: Run, name: str) -> None:
    assert run(name, "--help").exit_code == 0


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
