"""What a demo stops of what it finds, with a stack of the test's own."""

from __future__ import annotations

import os
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from switchyard.cli import demo_run
from switchyard.core.errors import SwitchyardError
from switchyard.local.demo_runs import DemoRuns
from switchyard.local.info import StackInfo
from switchyard.local.layout import Layout
from tests.cli.conftest import Run


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout(tmp_path / "home")


@dataclass
class FakeStack:
    """A stack with an app of somebody else's, and a note of what a demo does to it."""

    layout: Layout
    started_by: int
    was_stopped: bool = False
    apps: dict[str, str] = field(default_factory=lambda: {"mine": "/mine", "sdr-abcdef": "/a", "sdr-000001": "/b"})

    def info(self) -> StackInfo:
        nothing: dict[str, Any] = {}
        mail = self.layout.mail
        info = StackInfo("id", self.layout.home, "k:1", "f:1", "m:1", True, "127.0.0.1", 25, mail, nothing, nothing)
        return replace(info, apps=dict(self.apps), started_by=self.started_by)

    def up(self, *_: object) -> StackInfo:
        return self.info()

    def remove_app(self, namespace: str) -> None:
        del self.apps[namespace]

    def down(self) -> None:
        self.was_stopped = True


@pytest.fixture
def ended(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Namespaces whose jobs were ended. A demo gets no further than to where it looks for room on Flink."""
    namespaces: list[str] = []
    monkeypatch.setattr(demo_run, "end", lambda namespace, target: namespaces.append(namespace))

    def no_room(*_: object) -> None:
        raise SwitchyardError("there is no room")

    monkeypatch.setattr(demo_run, "check_slots", no_room)
    return namespaces


@pytest.mark.parametrize(
    ("started_here", "beside", "stopped"), [(False, False, False), (True, False, True), (True, True, False)]
)
def test_a_demo_that_fails_stops_the_stack_only_where_it_started_it_for_itself(
    started_here: bool,
    beside: bool,
    stopped: bool,
    layout: Layout,
    ended: list[str],
    run: Run,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stack = FakeStack(layout, os.getpid() if started_here else 1)
    monkeypatch.setattr(demo_run.Stack, "of", lambda settings: stack)
    runs = DemoRuns(layout)
    with runs.running("sdr-000001"):
        pass
    with ExitStack() as others:
        if beside:
            others.enter_context(runs.running("sdr-abcdef"))
        result = run("demo", "sdr", "--exit")
    assert (result.exit_code, result.stderr.strip()) == (1, "there is no room")
    assert stack.was_stopped == stopped
    assert set(stack.apps) == {"mine", "sdr-abcdef"}
    assert ended[0] == "sdr-000001", "the demo that had ended"
    assert {"mine", "sdr-abcdef"}.isdisjoint(ended)
