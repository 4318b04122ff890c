"""Pages are read as their reader reads them."""

from __future__ import annotations

from pathlib import Path

from tests.pages import Command, File, snippet, steps


def test_what_a_command_is_said_to_print_is_compared() -> None:
    command = Command("x", ("…order-7…completed…", "end"))
    assert command.shows("a list\n order-7  ran, completed now\nmore\nend\n")
    assert not command.shows("order-7 runs\nend\n")
    assert not command.shows("end\n order-7 completed\n")


def test_the_tutorial_has_ten_steps_with_files_and_commands() -> None:
    there = list(steps("tutorial.md"))
    files = [step.path.name for step in there if isinstance(step, File)]
    assert files[0] == "agents.yaml"
    assert {"handlers.py", "router.md", "requests.sql", "dispatch.sql"} < set(files)
    commands = [step.line.split()[1] for step in there if isinstance(step, Command) and "switchyard" in step.line]
    assert {"lint", "test", "up", "submit", "send", "trace", "down"} <= set(commands)


def test_a_file_is_written_and_added_to(tmp_path: Path) -> None:
    File(Path("a/b.txt"), "one\n").write(tmp_path)
    File(Path("a/b.txt"), "two\n", append=True).write(tmp_path)
    assert (tmp_path / "a" / "b.txt").read_text() == "one\ntwo\n"


def test_a_snippet_is_no_file() -> None:
    assert "THEN ARRAY" in snippet("how-to/sql-function.md", "is_fragile")
