from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from switchyard.core.app_code import AppCode
from switchyard.core.settings import Settings
from switchyard.worker.database import open_database
from switchyard.worker.effects import EffectStore
from switchyard.worker.handler_loop import HandlerLoop
from switchyard.worker.memory.store import SqliteMemory
from switchyard.worker.processor import Processor
from tests.agents.support import SDR, ScriptedModel, offline_answer


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Engine]:
    engine = open_database(f"sqlite:///{tmp_path / 'test.sqlite'}")
    yield engine
    engine.dispose()


@pytest.fixture
def model() -> ScriptedModel:
    return ScriptedModel(offline_answer)


@pytest.fixture
def processor(database: Engine, model: ScriptedModel) -> Iterator[Callable[..., Processor]]:
    """Makes the processor of an SDR agent; `handler` takes the place of its own."""
    code, loop = AppCode(SDR.folder), HandlerLoop()

    def make(name: str, handler: Any = None) -> Processor:
        agent = SDR.registry.agents[name]
        return Processor(
            agent=agent,
            registry=SDR.registry,
            handler=handler or code.function(agent.function),
            effects=EffectStore(database, "test"),
            memories=SqliteMemory(database, lambda records: None),
            namespace="test",
            database=database,
            model=model,
            loop=loop,
        )

    yield make
    loop.close()
