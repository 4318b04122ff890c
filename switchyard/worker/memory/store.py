"""The memory beside a worker: a SQLite file in write-ahead mode, which the topic `<ns>.memory` can rebuild."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Engine,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    and_,
    func,
    or_,
    select,
)
from sqlalchemy.dialects.sqlite import insert

from switchyard.core import fields, strictjson
from switchyard.core.agents_file import MemoryLimits
from switchyard.core.settings import Settings
from switchyard.worker.database import create
from switchyard.worker.memory.backend import DAY, StoredMemory, now

WEEK = 7 * DAY

_METADATA = MetaData()
ENTRIES = Table(
    "memories",
    _METADATA,
    Column("agent", String(64), primary_key=True),
    Column("subject", String(256), primary_key=True),
    Column("id", String(64), primary_key=True),
    Column("text", Text, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("expires", BigInteger),
    Column("tokens", Integer, nullable=False),
)
Index("memories_by_time", ENTRIES.c.agent, ENTRIES.c.subject, ENTRIES.c.at)
TRIMMED = Table(
    "trimmed",
    _METADATA,
    Column("agent", String(64), primary_key=True),
    Column("subject", String(256), primary_key=True),
    Column("id", String(64), primary_key=True),
    Column("at", BigInteger, nullable=False),
)
POSITIONS = Table(
    "positions",
    _METADATA,
    Column("partition", Integer, primary_key=True),
    Column("offset", BigInteger, nullable=False),
)

Record = tuple[bytes, bytes | None]
Write = Callable[[Sequence[Record]], None]


def memory_url(settings: Settings, namespace: str) -> str:
    """The file of a namespace on this machine, whichever database the workers share."""
    return f"sqlite:///{settings.home.absolute() / 'state' / f'{namespace}-memory.sqlite'}"


class SqliteMemory:
    """All agents of one namespace. `write` puts records into the topic and returns when they are there.

    What is in the file is in the topic: an entry is written there first. What has been trimmed is marked for as long
    as the topic tells of it, so that neither a repeated delivery nor an old record brings it back.
    Every method raises SQLAlchemyError where the file cannot be used.
    """

    def __init__(self, engine: Engine, write: Write) -> None:
        self._engine = engine
        self._write = write
        for table in (ENTRIES, TRIMMED, POSITIONS):
            create(engine, table)

    def recall(self, agent: str, subject: str, limit: int) -> list[StoredMemory]:
        """Return the newest first, without what has expired."""
        query = _entries().where(_about(agent, subject), _unexpired(now())).limit(limit)
        return self._read(query)

    def keep(self, entries: Sequence[StoredMemory]) -> None:
        """Remember what is new. Raises what `write` raises."""
        if not entries:
            return
        with self._engine.connect() as connection:
            new = [entry for entry in entries if not _is_kept_or_trimmed(connection, entry)]
        if not new:
            return
        self._write([(record_key(entry), _value(entry)) for entry in new])
        with self._engine.begin() as connection:
            for entry in new:
                _put(connection, entry)

    def all(self, agent: str, subject: str) -> list[StoredMemory]:
        """Return everything about a subject, the newest first, with what has expired."""
        return self._read(_entries().where(_about(agent, subject)))

    def forget(self, entries: Sequence[StoredMemory]) -> None:
        """Trim these. Raises what `write` raises."""
        self._write([(record_key(entry), None) for entry in entries])
        with self._engine.begin() as connection:
            for entry in entries:
                _trim(connection, entry.agent, entry.subject, entry.id)

    def over(self, limits: MemoryLimits) -> list[tuple[str, str]]:
        """Return the agents and subjects that have more than they may, or something that is too old."""
        at, count, tokens = now(), func.count(), func.sum(ENTRIES.c.tokens)
        over = or_(
            count > limits.entries,
            and_(count > 1, tokens > limits.tokens),
            func.min(ENTRIES.c.at) <= at - int(limits.days * DAY),
            func.min(ENTRIES.c.expires) <= at,
        )
        query = select(ENTRIES.c.agent, ENTRIES.c.subject).group_by(ENTRIES.c.agent, ENTRIES.c.subject).having(over)
        with self._engine.connect() as connection:
            return [(row.agent, row.subject) for row in connection.execute(query)]

    def purge_tombstones(self) -> None:
        """Drop the marks that the topic no longer needs."""
        with self._engine.begin() as connection:
            connection.execute(TRIMMED.delete().where(TRIMMED.c.at < now() - WEEK))

    def positions(self) -> dict[int, int]:
        """Return, for each partition of the topic, the offset that is to be read next."""
        with self._engine.connect() as connection:
            return {row.partition: row.offset for row in connection.execute(select(POSITIONS))}

    def replay(self, records: Iterable[Record], positions: Mapping[int, int]) -> int:
        """Apply what was read from the topic, and keep the positions after it. Return how many records were none."""
        broken = 0
        with self._engine.begin() as connection:
            for key, value in records:
                try:
                    _apply(connection, key, value)
                except ValueError:
                    broken += 1
            for partition, offset in positions.items():
                row = {"partition": partition, "offset": offset}
                connection.execute(insert(POSITIONS).values(row).on_conflict_do_update(set_={"offset": offset}))
        return broken

    def _read(self, query: Any) -> list[StoredMemory]:
        with self._engine.connect() as connection:
            return [StoredMemory(**row) for row in connection.execute(query).mappings()]


def _entries() -> Any:
    columns = [column for column in ENTRIES.c if column.name != "tokens"]
    return select(*columns).order_by(ENTRIES.c.at.desc(), ENTRIES.c.id)


def _about(agent: str, subject: str) -> Any:
    return and_(ENTRIES.c.agent == agent, ENTRIES.c.subject == subject)


def _unexpired(at: int) -> Any:
    return or_(ENTRIES.c.expires.is_(None), ENTRIES.c.expires > at)


def _is(table: Table, agent: str, subject: str, id: str) -> Any:
    return and_(table.c.agent == agent, table.c.subject == subject, table.c.id == id)


def _there(connection: Connection, table: Table, agent: str, subject: str, id: str) -> bool:
    query = select(table.c.id).where(_is(table, agent, subject, id))
    return connection.execute(query).one_or_none() is not None


def _is_kept_or_trimmed(connection: Connection, entry: StoredMemory) -> bool:
    return any(_there(connection, table, entry.agent, entry.subject, entry.id) for table in (ENTRIES, TRIMMED))


def _put(connection: Connection, entry: StoredMemory) -> None:
    if _there(connection, TRIMMED, entry.agent, entry.subject, entry.id):
        return
    values = {"text": entry.text, "at": entry.at, "expires": entry.expires, "tokens": entry.tokens}
    row = {"agent": entry.agent, "subject": entry.subject, "id": entry.id} | values
    connection.execute(insert(ENTRIES).values(row).on_conflict_do_update(set_=values))


def _trim(connection: Connection, agent: str, subject: str, id: str) -> None:
    connection.execute(ENTRIES.delete().where(_is(ENTRIES, agent, subject, id)))
    row = {"agent": agent, "subject": subject, "id": id, "at": now()}
    connection.execute(insert(TRIMMED).values(row).on_conflict_do_nothing())


def record_key(entry: StoredMemory) -> bytes:
    """The key of its record in the topic; a record without a value takes it back, in every worker's file."""
    return f"{entry.agent}/{entry.subject}/{entry.id}".encode()


@dataclass(frozen=True)
class _Memory:
    """The value of a record, as `_value` writes it."""

    text: fields.Text
    at: fields.BigInt
    expires: fields.BigInt | None


_memory = fields.reader(_Memory)


def _value(entry: StoredMemory) -> bytes:
    return strictjson.dumps({"text": entry.text, "at": entry.at, "expires": entry.expires}).encode()


def _apply(connection: Connection, key: bytes, value: bytes | None) -> None:
    """One record of the topic. Raises ValueError where it is none."""
    agent, _, rest = key.decode().partition("/")
    subject, _, id = rest.rpartition("/")
    if not agent or not subject or not id:
        raise ValueError("the key is not agent/subject/id")
    if value is None:
        _trim(connection, agent, subject, id)
        return
    memory = _memory(strictjson.loads_foreign(value))
    _put(connection, StoredMemory(agent, subject, id, memory.text, memory.at, memory.expires))
