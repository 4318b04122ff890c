"""Effects: what each event made each agent answer, kept so that a repeated delivery changes nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

from sqlalchemy import Column, Engine, MetaData, String, Table, Text, select
from sqlalchemy.exc import IntegrityError

from agent_endpoints.database import create
from agent_endpoints.handler import Answer
from switchyard.core import strictjson

EFFECTS = Table(
    "effects",
    MetaData(),
    Column("namespace", String(64), primary_key=True),
    Column("effect_key", String(256), primary_key=True),
    Column("agent", String(64), nullable=False),
    Column("answers", Text, nullable=False),
    Column("created_at", String(40), nullable=False),
)


@dataclass(frozen=True)
class Effect:
    """The answers to one event by one agent, and when they were made."""

    answers: tuple[Answer, ...]
    created_at: str


class Effects:
    """The store of one namespace. The first answer put under a key stays."""

    def __init__(self, engine: Engine, namespace: str) -> None:
        self._engine = engine
        self._namespace = namespace
        create(engine, EFFECTS)

    def get(self, key: str) -> Effect | None:
        query = select(EFFECTS.c.answers, EFFECTS.c.created_at).where(
            EFFECTS.c.namespace == self._namespace, EFFECTS.c.effect_key == key
        )
        with self._engine.connect() as connection:
            row = connection.execute(query).one_or_none()
        if row is None:
            return None
        return Effect(tuple(Answer(**item) for item in strictjson.loads(row.answers)), row.created_at)

    def put(self, key: str, agent: str, answers: Sequence[Answer]) -> Effect:
        """Keep the answers; return what is in the store, which another worker may have put there first."""
        now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        row = {
            "namespace": self._namespace,
            "effect_key": key,
            "agent": agent,
            "answers": strictjson.dumps([asdict(answer) for answer in answers]),
            "created_at": now,
        }
        try:
            with self._engine.begin() as connection:
                connection.execute(EFFECTS.insert().values(row))
        except IntegrityError:
            kept = self.get(key)
            if kept is None:
                raise
            return kept
        return Effect(tuple(answers), now)
