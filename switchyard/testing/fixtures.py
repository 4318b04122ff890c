"""Fixtures for pytest: `pytest_plugins = ["switchyard.testing"]` in your conftest.py. See docs/testing.md."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from switchyard.core.app import App
    from switchyard.local.model_server.scripted import ScriptedServer
    from switchyard.testing.memory import InMemory
    from switchyard.testing.minicluster import MiniCluster


@pytest.fixture(autouse=True)
def no_remote_model(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reaches a model outside this machine: asking one is an error."""
    from switchyard.core.model import access

    monkeypatch.setattr(access, "ALLOW_REMOTE", False)
    monkeypatch.setenv(access.REMOTE_SWITCH, "0")


@pytest.fixture
def scripted_model() -> Iterator[ScriptedServer]:
    """A model server on loopback. `script(...)` sets what it answers, `calls` is what it was asked."""
    from switchyard.local.model_server.scripted import ScriptedServer

    with ScriptedServer() as server:
        yield server


@pytest.fixture
def in_memory() -> Callable[..., InMemory]:
    """`in_memory(app, model=…, handlers=…)`: the orchestrator with lists for topics, one step at a time.

    Without `model` the offline model chooses.
    """
    from switchyard.testing.memory import InMemory
    from switchyard.testing.offline import choose_offline

    def make(app: App | str, **given: Any) -> InMemory:
        return InMemory(_app(app).registry, **{"model": choose_offline, **given})

    return make


@pytest.fixture
def mini_cluster(tmp_path: Path, scripted_model: ScriptedServer) -> Iterator[Callable[..., MiniCluster]]:
    """`mini_cluster(app)`: the app's job on Flink in this process, started; it asks `scripted_model`.

    The JVM is shared by all tests of the process. Jobs that a test leaves running are cancelled.
    """
    from switchyard.testing.minicluster import MiniCluster

    started: list[MiniCluster] = []

    def start(app: App | str, **given: Any) -> MiniCluster:
        folder = tmp_path / f"job-{len(started)}"
        job = MiniCluster(_app(app), folder, scripted_model.base_url, **given)
        started.append(job)
        job.start()
        return job

    yield start
    for job in started:
        job.stop()


def _app(app: App | str) -> App:
    from switchyard.core.app import App as Loaded

    return Loaded.load(app) if isinstance(app, str) else app
