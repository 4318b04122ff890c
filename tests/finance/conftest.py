from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from switchyard.core.settings import Settings
from switchyard.testing.memory import InMemory
from switchyard.worker.database import open_database
from switchyard.worker.processor import Processor
from tests.agents.support import ScriptedModel
from tests.finance.support import FINANCE, in_memory, offline_answer, processors


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
def agents(settings: Settings, database: Engine, model: ScriptedModel) -> dict[str, Processor]:
    return processors(FINANCE, settings, database, model)


@pytest.fixture
def run(agents: dict[str, Processor]) -> InMemory:
    return in_memory(FINANCE, agents)
