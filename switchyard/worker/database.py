"""The database that all workers of an app share."""

from __future__ import annotations

import logging
import sqlite3
import time
from contextlib import suppress
from typing import Any

from sqlalchemy import Engine, Table, create_engine, event, inspect, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import InterfaceError, OperationalError, ProgrammingError
from sqlalchemy.schema import CreateIndex, CreateTable

from switchyard.core.settings import Settings

log = logging.getLogger("switchyard.worker")

BUSY_TIMEOUT_S = 30
LOG_PAUSE_S = 10.0
UPKEEP = {"switchyard_upkeep": True}
"""Execution options of what writes little: that it can be written says nothing of the rest."""


def database_url(settings: Settings, namespace: str) -> str:
    """Return the database URL that is set, with its password, else that of a SQLite file of the namespace here."""
    if settings.database is None:
        return f"sqlite:///{settings.home.absolute() / 'state' / f'{namespace}.sqlite'}"
    if settings.database_password is None:
        return settings.database
    url = make_url(settings.database).set(password=settings.database_password.get_secret_value())
    return url.render_as_string(hide_password=False)


def open_database(url: str) -> Engine:
    """Return an engine for any database URL; SQLite in WAL mode, waiting for other writers, zeroing what is deleted."""
    if make_url(url).get_backend_name() != "sqlite":
        return create_engine(url, pool_pre_ping=True)
    engine = create_engine(url, connect_args={"timeout": BUSY_TIMEOUT_S})

    @event.listens_for(engine, "connect")
    def _prepare(connection: Any, _record: object) -> None:
        cursor = connection.cursor()
        cursor.execute("PRAGMA journal_mode=WAL")
        cursor.execute("PRAGMA secure_delete=ON")
        cursor.close()

    return engine


def unavailable(error: BaseException) -> bool:
    """Whether a database cannot do its work now, whatever is asked of it: a full disk, a lock, no connection."""
    return isinstance(error, OperationalError | InterfaceError) and _sqlite_code(error) != sqlite3.SQLITE_ERROR


def unwritable(error: BaseException) -> bool:
    """As `unavailable`, for SQLite alone: its file is on this machine, and a full disk fails all that use it."""
    return unavailable(error) and _sqlite_code(error) is not None


def _sqlite_code(error: BaseException) -> int | None:
    """SQLite's result code; a wrong statement has SQLITE_ERROR, under the same class as a full disk."""
    code: int | None = getattr(getattr(error, "orig", None), "sqlite_errorcode", None)
    return None if code is None else code & 0xFF


def _is_upkeep(connection: Any) -> bool:
    return connection is not None and UPKEEP.items() <= connection.get_execution_options().items()


class DatabaseHealth:
    """How an engine fares: `problem` is a sentence while it does not do its work, None once it has committed again.

    The log has the sentence too, at most every `LOG_PAUSE_S` seconds.
    """

    def __init__(self, engine: Engine) -> None:
        self.problem: str | None = None
        self._logged_at = -LOG_PAUSE_S
        self._upkeep_failed = False
        self._sqlite = engine.url.get_backend_name() == "sqlite"
        self._name = engine.url.database if self._sqlite else engine.url.host or engine.url.get_backend_name()
        event.listen(engine, "commit", self._commits)
        event.listen(engine, "handle_error", self._failed)

    def _commits(self, connection: Any) -> None:
        """Comes before the database is told to commit: where that fails, `_failed` comes next."""
        if self._upkeep_failed or not _is_upkeep(connection):
            self.problem = None

    def _failed(self, context: Any) -> None:
        error = context.sqlalchemy_exception
        if error is None or not unavailable(error):
            return
        self._upkeep_failed = _is_upkeep(context.connection)
        cause = error.orig if self._sqlite else type(error.orig).__name__
        self.problem = (
            f"the agents' state in {self._name} cannot be used ({cause}): is its disk full, or its server away? "
            "Nothing is lost; work goes on by itself when this is mended"
        )
        if time.monotonic() - self._logged_at > LOG_PAUSE_S:
            self._logged_at = time.monotonic()
            log.error("%s", self.problem)


def create(engine: Engine, table: Table) -> None:
    """Make the table and its indexes unless they are there, and the columns that an older release's lacks."""
    with engine.begin() as connection:
        connection.execute(CreateTable(table, if_not_exists=True))
        for index in table.indexes:
            connection.execute(CreateIndex(index, if_not_exists=True))
    with engine.connect() as connection:
        there = {item["name"] for item in inspect(connection).get_columns(table.name)}
    for column in table.columns:
        if column.name not in there:
            adding = f"ALTER TABLE {table.name} ADD COLUMN {column.name} {column.type.compile(engine.dialect)}"
            with suppress(OperationalError, ProgrammingError), engine.begin() as connection:  # another was first
                connection.execute(text(adding))


def drop_deleted(engine: Engine) -> None:
    """Empty SQLite's write-ahead log, which still holds pages as they were; as far as nobody reads it just now."""
    if engine.url.get_backend_name() == "sqlite":
        with engine.connect() as connection:
            connection.execute(text("PRAGMA wal_checkpoint(TRUNCATE)"))
