"""What each event made each agent answer and remember, kept so that a repeated delivery changes nothing."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from typing import Any

from sqlalchemy import Column, Connection, Engine, Index, MetaData, String, Table, Text, bindparam, select
from sqlalchemy.exc import IntegrityError

from switchyard.core import strictjson
from switchyard.core.erasure import Erasure
from switchyard.core.model import Usage
from switchyard.core.times import rfc3339, rfc3339_now
from switchyard.worker.database import create
from switchyard.worker.leases import LeaseLost, Leases
from switchyard.worker.memory.backend import StoredMemory
from switchyard.worker.task import Answer

PURGED_AT_ONCE = 500

_METADATA = MetaData()
EFFECTS = Table(
    "effects",
    _METADATA,
    Column("namespace", String(64), primary_key=True),
    Column("effect_key", String(256), primary_key=True),
    Column("agent", String(64), nullable=False),
    Column("answers", Text, nullable=False),
    Column("created_at", String(40), nullable=False),
    Column("workflow_id", String(256)),
    Index("effects_by_time", "namespace", "created_at"),
)
STORES = Table(
    "stores",
    _METADATA,
    Column("namespace", String(64), primary_key=True),
    Column("id", String(32), nullable=False),
)

# Built once: SQLAlchemy takes as long to build a statement as SQLite to do it.
_KEPT = select(EFFECTS.c.effect_key, EFFECTS.c.answers, EFFECTS.c.created_at).where(
    EFFECTS.c.namespace == bindparam("namespace"), EFFECTS.c.effect_key.in_(bindparam("keys", expanding=True))
)
_KEEPING = EFFECTS.insert()


FORGOTTEN = strictjson.dumps({"answers": [], "usage": {}, "remembered": []})
"""What is left of an effect: its key, so that a dispatch that comes once more does nothing again."""


def no_lease(connection: Connection) -> None:
    """What no handler ran for needs none."""


@dataclass(frozen=True)
class StoredEffect:
    """What one event made one agent answer and remember, when, and what the handler spent on the model."""

    answers: tuple[Answer, ...]
    created_at: str
    usage: Usage = field(default_factory=Usage)
    remembered: tuple[StoredMemory, ...] = ()


@dataclass(frozen=True)
class ConcernedEffect:
    """An effect about somebody who is to be forgotten."""

    key: str
    workflow_id: str | None
    remembered: tuple[StoredMemory, ...]


class EffectStore:
    """The store of one namespace. The first answer put under a key stays.

    `id` is the same for all workers that share it, and for no others.
    """

    def __init__(self, engine: Engine, namespace: str) -> None:
        self.leases = Leases(engine, namespace)
        self._engine = engine
        self._namespace = namespace
        create(engine, EFFECTS)
        create(engine, STORES)
        self.id = self._id()

    def _id(self) -> str:
        mine = select(STORES.c.id).where(STORES.c.namespace == self._namespace)
        with self._engine.connect() as connection:
            known = connection.scalar(mine)
        if known is None:
            with suppress(IntegrityError), self._engine.begin() as connection:
                connection.execute(STORES.insert().values(namespace=self._namespace, id=uuid.uuid4().hex))
            with self._engine.connect() as connection:
                known = connection.scalar(mine)
        return str(known)

    def get(self, *keys: str) -> tuple[str, StoredEffect] | None:
        """The first of these keys that something is kept under, with that; or None."""
        with self._engine.connect() as connection:
            rows = connection.execute(_KEPT, {"namespace": self._namespace, "keys": keys}).all()
        row = min(rows, key=lambda row: keys.index(row.effect_key), default=None)
        return None if row is None else (row.effect_key, _effect(strictjson.loads(row.answers), row.created_at))

    def put(
        self,
        key: str,
        agent: str,
        answers: Sequence[Answer],
        usage: Usage,
        remembered: Sequence[StoredMemory] = (),
        lease: Callable[[Connection], None] = no_lease,
        workflow_id: str | None = None,
    ) -> StoredEffect:
        """Keep the answers and what is remembered with them; return what is in the store.

        Another worker may have put that there first. `lease` is `Lease.end` or `Lease.keep` of the one under which the
        handler ran. Raises LeaseLost where that is another worker's now: nothing is kept then.
        """
        now = rfc3339_now()
        kept = {
            "answers": [asdict(answer) for answer in answers],
            "usage": asdict(usage),
            "remembered": [asdict(entry) for entry in remembered],
        }
        row = {
            "namespace": self._namespace,
            "effect_key": key,
            "agent": agent,
            "answers": strictjson.dumps(kept),
            "created_at": now,
            "workflow_id": workflow_id,
        }
        try:
            with self._engine.begin() as connection:
                lease(connection)
                connection.execute(_KEEPING, row)
        except IntegrityError:
            first = self.get(key)
            if first is None:
                raise
            with suppress(LeaseLost), self._engine.begin() as connection:
                lease(connection)
            return first[1]
        return StoredEffect(tuple(answers), now, usage, tuple(remembered))

    def concerning(self, erasure: Erasure) -> list[ConcernedEffect]:
        """The effects of its workflows, and those that mention its address."""
        query = select(EFFECTS.c.effect_key, EFFECTS.c.workflow_id, EFFECTS.c.answers, EFFECTS.c.created_at).where(
            EFFECTS.c.namespace == self._namespace, EFFECTS.c.answers != FORGOTTEN
        )
        found: list[ConcernedEffect] = []
        with self._engine.connect().execution_options(yield_per=PURGED_AT_ONCE) as connection:
            for row in connection.execute(query):
                if erasure.concerns(row.workflow_id, row.answers.encode()):
                    remembered = _effect(strictjson.loads(row.answers), row.created_at).remembered
                    found.append(ConcernedEffect(row.effect_key, row.workflow_id, remembered))
        return found

    def forget(self, keys: Sequence[str]) -> None:
        """Drop what these effects were; that they were stays known, by their keys."""
        mine = EFFECTS.c.namespace == self._namespace
        with self._engine.begin() as connection:
            for key in keys:
                forgetting = EFFECTS.update().where(mine, EFFECTS.c.effect_key == key)
                connection.execute(forgetting.values(answers=FORGOTTEN, workflow_id=None))

    def purge(self, kept_s: float) -> bool:
        """Forget a batch of effects that are older, and leases of workers that are gone. Whether all are forgotten."""
        self.leases.purge()
        oldest = rfc3339(time.time() - kept_s)
        mine = EFFECTS.c.namespace == self._namespace
        old = select(EFFECTS.c.effect_key).where(mine, EFFECTS.c.created_at < oldest).limit(PURGED_AT_ONCE)
        with self._engine.begin() as connection:
            keys = connection.execute(old).scalars().all()
            connection.execute(EFFECTS.delete().where(mine, EFFECTS.c.effect_key.in_(keys)))
        return len(keys) < PURGED_AT_ONCE


def _effect(kept: Any, created_at: str) -> StoredEffect:
    """What `put` wrote: an object; an older release wrote the list of answers alone, or no memory."""
    effect: dict[str, Any] = {"answers": kept, "usage": {}} if isinstance(kept, list) else kept
    return StoredEffect(
        tuple(Answer(**item) for item in effect["answers"]),
        created_at,
        Usage(**effect["usage"]),
        tuple(StoredMemory(**item) for item in effect.get("remembered", ())),
    )
