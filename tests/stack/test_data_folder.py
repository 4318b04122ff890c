"""The data folder: for one user, and only what was made for data is removed."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from switchyard.cli.main import app
from switchyard.core.data_folder import MARKER, make, private_files
from switchyard.core.errors import SettingsError
from switchyard.local.errors import StackError
from switchyard.local.layout import Layout
from switchyard.local.program import Program
from switchyard.local.stack import Stack
from switchyard.local.submitted_jobs import StackJob, SubmittedJobs
from switchyard.local.supervisor import Supervisor
from tests.e2e.conftest import until
from tests.stack.modes import open_to_others


@pytest.fixture(autouse=True)
def _everybody_may_read() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


def test_a_folder_that_was_there_before_is_never_removed(tmp_path: Path) -> None:
    (tmp_path / "mail").mkdir()
    (tmp_path / "mail" / "letter").write_text("of mine")
    stack = Stack(Layout(tmp_path))
    stack.layout.make()
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(SettingsError, match=f"was not made by Switchyard .it has no file {MARKER}."):
        stack.down(clean=True)
    assert sorted(tmp_path.rglob("*")) == before


def test_only_what_was_made_is_removed(tmp_path: Path) -> None:
    stack = Stack(Layout(tmp_path / "home"))
    stack.layout.make()
    (stack.layout.home / "notes").write_text("of mine")
    stack.down(clean=True)
    assert {path.name for path in stack.layout.home.iterdir()} == {MARKER, "notes"}
    (stack.layout.home / "notes").unlink()
    stack.down(clean=True)
    assert not stack.layout.home.exists()


def test_down_leaves_a_folder_alone_that_no_stack_was_in(tmp_path: Path) -> None:
    assert not Stack(Layout(tmp_path)).down()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("answer", "code", "kept"), [("y\n", 0, False), ("n\n", 1, True), ("", 1, True)])
def test_it_asks_before_it_removes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: str, code: int, kept: bool
) -> None:
    monkeypatch.setenv("SWITCHYARD_HOME", str(tmp_path / "home"))
    Layout(tmp_path / "home").make()
    done = CliRunner().invoke(app, ["down", "--clean"], input=answer)
    assert done.exit_code == code
    assert f"remove all data in {tmp_path / 'home'}" in done.output.replace("\n", "")
    assert (tmp_path / "home").exists() == kept


def test_a_script_says_yes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SWITCHYARD_HOME", str(tmp_path / "home"))
    Layout(tmp_path / "home").make()
    assert CliRunner().invoke(app, ["down", "--clean", "--yes"]).exit_code == 0
    assert not (tmp_path / "home").exists()


def test_what_is_made_is_for_this_user_alone(tmp_path: Path) -> None:
    home = tmp_path / "home"
    make(home, home / "state")
    layout = Layout(home)
    layout.make()
    job = StackJob("sdr", "sdr", stateless=False, ship_python=False, job_id="1", embedded_model=True)
    jobs = SubmittedJobs(layout)
    with jobs.locked("sdr"):
        jobs.save(job)
    with private_files():
        subprocess.run(["touch", str(layout.log / "by another process")], check=True)
    assert open_to_others(home) == []
    (tmp_path / "mine").touch()
    assert open_to_others(tmp_path / "mine"), "what is made elsewhere has the modes that its maker wants"


def test_the_supervisor_and_its_programs_write_for_this_user_alone(tmp_path: Path) -> None:
    layout = Layout(tmp_path / "home")
    layout.make()
    supervisor = Supervisor(layout)
    with private_files():
        supervisor.start(os.environ)
        code = "import pathlib, sys, time; pathlib.Path(sys.argv[1]).touch(); time.sleep(60)"
        supervisor.add(Program("one", [sys.executable, "-c", code, str(layout.log / "written")]))
    try:
        until((layout.log / "written").exists, 30)
        assert open_to_others(layout.home) == []
    finally:
        supervisor.shutdown()
        until(lambda: supervisor.pid() is None, 30)


def test_a_folder_of_the_socket_that_another_may_write_is_refused(tmp_path: Path) -> None:
    layout = Layout(tmp_path / ("long" * 20))
    layout.short_folder.symlink_to(tmp_path)
    try:
        with pytest.raises(StackError, match="is not a folder of this user alone"):
            layout.make()
    finally:
        layout.short_folder.unlink()
