"""Which worker runs which handler: a row per effect key in the store that all workers share."""

from __future__ import annotations

import uuid
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Column, Connection, Engine, Float, MetaData, String, Table, bindparam, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import GenericFunction

from switchyard.worker.database import UPKEEP, create

LEASE_S = 10.0
"""How long after its last renewal a lease may be taken by another worker."""

LEASES = Table(
    "leases",
    MetaData(),
    Column("namespace", String(64), primary_key=True),
    Column("effect_key", String(256), primary_key=True),
    Column("token", String(32), nullable=False),
    Column("until", Float(53), nullable=False),
)


class DatabaseTime(GenericFunction[float]):
    """Seconds since 1970 by the database's clock, which all workers have in common."""

    type = Float(53)
    inherit_cache = True


@compiles(DatabaseTime)
def _postgresql(element: Any, compiler: Any, **how: Any) -> str:
    return "EXTRACT(EPOCH FROM CURRENT_TIMESTAMP)"


@compiles(DatabaseTime, "sqlite")
def _sqlite(element: Any, compiler: Any, **how: Any) -> str:
    return "((julianday('now') - 2440587.5) * 86400.0)"


@compiles(DatabaseTime, "mysql", "mariadb")
def _mysql(element: Any, compiler: Any, **how: Any) -> str:
    return "UNIX_TIMESTAMP(NOW(6))"


_LATER = DatabaseTime() + LEASE_S
_MINE = bindparam("mine", type_=LEASES.c.token.type)
_ROW = (LEASES.c.namespace == bindparam("in_namespace")) & (LEASES.c.effect_key == bindparam("key"))
_FIRST = LEASES.insert().values(
    namespace=bindparam("in_namespace"), effect_key=bindparam("key"), token=_MINE, until=_LATER
)
_TAKING = (
    LEASES.update()
    .where(_ROW, (LEASES.c.token == _MINE) | (LEASES.c.until < DatabaseTime()))
    .values(token=_MINE, until=_LATER)
)
_KEEPING = LEASES.update().where(_ROW, LEASES.c.token == _MINE).values(until=_LATER)
_ENDING = LEASES.delete().where(_ROW, LEASES.c.token == _MINE)


class LeaseHeld(Exception):
    """Another worker runs the handler for this effect: the message is to be handled again, later."""


class LeaseLost(LeaseHeld):
    """As LeaseHeld, and this worker has run the handler, too: what it answered must not be stored or published."""


@dataclass(frozen=True)
class Lease:
    """The right of one worker to run the handler for one effect. Methods raise SQLAlchemyError."""

    engine: Engine
    namespace: str
    effect_key: str
    token: str

    def take(self) -> None:
        """Take it, or keep it. Raises LeaseHeld while another worker has it."""
        try:
            with self.engine.begin() as connection:
                connection.execute(_FIRST, self._mine)
        except IntegrityError:
            with self.engine.begin() as connection:
                if connection.execute(_TAKING, self._mine).rowcount != 1:
                    raise LeaseHeld from None

    def keep(self, connection: Connection) -> None:
        """Have it until this transaction ends, at least. Raises LeaseLost."""
        if connection.execute(_KEEPING, self._mine).rowcount != 1:
            raise LeaseLost

    def end(self, connection: Connection) -> None:
        """Give it back when this transaction ends. Raises LeaseLost."""
        if connection.execute(_ENDING, self._mine).rowcount != 1:
            raise LeaseLost

    def give_back(self) -> None:
        """Let others run the handler, where it is still this worker's."""
        with suppress(LeaseLost), self.engine.begin() as connection:
            self.end(connection)

    @property
    def _mine(self) -> dict[str, str]:
        return {"in_namespace": self.namespace, "key": self.effect_key, "mine": self.token}


class Leases:
    """The leases of one worker in one namespace, which has a token of its own."""

    def __init__(self, engine: Engine, namespace: str) -> None:
        create(engine, LEASES)
        self._engine = engine.execution_options(**UPKEEP)
        self._namespace = namespace
        self._token = uuid.uuid4().hex

    def of(self, effect_key: str) -> Lease:
        return Lease(self._engine, self._namespace, effect_key, self._token)

    def renew(self) -> None:
        """Keep all that this worker has. Raises SQLAlchemyError."""
        mine = (LEASES.c.namespace == self._namespace) & (LEASES.c.token == self._token)
        with self._engine.connect() as connection:
            if connection.execute(select(LEASES.c.token).where(mine).limit(1)).first() is None:
                return
        with self._engine.begin() as connection:
            connection.execute(LEASES.update().where(mine).values(until=DatabaseTime() + LEASE_S))

    def purge(self) -> None:
        """Forget those that ran out a day ago, of workers that are gone. Raises SQLAlchemyError."""
        old = (LEASES.c.namespace == self._namespace) & (LEASES.c.until < DatabaseTime() - 86_400.0)
        with self._engine.begin() as connection:
            connection.execute(LEASES.delete().where(old))
