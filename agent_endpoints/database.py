"""The database that all workers of an app share."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Engine, Table, create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.schema import CreateIndex, CreateTable

from switchyard.core.settings import Settings

BUSY_TIMEOUT_S = 30


def database_url(settings: Settings, namespace: str) -> str:
    """The address that is set, else one SQLite file for the namespace on this machine."""
    return settings.database or f"sqlite:///{settings.home.absolute() / 'state' / f'{namespace}.sqlite'}"


def open_database(url: str) -> Engine:
    """An engine for any database URL; SQLite in WAL mode, waiting for other writers."""
    if make_url(url).get_backend_name() != "sqlite":
        return create_engine(url, pool_pre_ping=True)
    engine = create_engine(url, connect_args={"timeout": BUSY_TIMEOUT_S})

    @event.listens_for(engine, "connect")
    def _prepare(connection: Any, _record: object) -> None:
        cursor = connection.cursor()
        cursor.execute("PRAGMA journal_mode=WAL")
        cursor.close()

    return engine


def create(engine: Engine, table: Table) -> None:
    """Make the table and its indexes unless they are there."""
    with engine.begin() as connection:
        connection.execute(CreateTable(table, if_not_exists=True))
        for index in table.indexes:
            connection.execute(CreateIndex(index, if_not_exists=True))
