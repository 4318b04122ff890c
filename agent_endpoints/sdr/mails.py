"""The table of mails: what each campaign sends, to whom, and when it is due."""

from __future__ import annotations

import hashlib
import time
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Column, Engine, Float, Index, Integer, MetaData, Row, String, Table, Text, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.schema import CreateIndex, CreateTable

from switchyard import AgentError, Task

from . import compose

CLAIM_S = 15.0
LATEST_DAY = 365
MOST_AT_ONCE = 200

MAILS = Table(
    "mails",
    MetaData(),
    Column("message_id", String(255), primary_key=True),
    Column("namespace", String(64), nullable=False),
    Column("campaign", String(64), nullable=False),
    Column("step", Integer, nullable=False),
    Column("due_at", Float, nullable=False),
    Column("name", Text, nullable=False),
    Column("recipient", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("body", Text, nullable=False),
    Column("claimed_until", Float, nullable=False, default=0.0),
    Column("sent_at", Float),
    Column("refused", Text),
    Index("mails_due", "namespace", "sent_at", "due_at"),
)


def create(engine: Engine) -> None:
    """Make the table unless it is there; two workers may do so at once."""
    with engine.begin() as connection:
        connection.execute(CreateTable(MAILS, if_not_exists=True))
        for index in MAILS.indexes:
            connection.execute(CreateIndex(index, if_not_exists=True))


def schedule(task: Task, now: float, day_seconds: float) -> dict[str, Any]:
    """Store the campaign's mails; those that an earlier attempt stored stay as they are.

    Raises AgentError where the lead's address is none.
    """
    try:
        recipient = compose.mailbox(task.data["email"]).addr_spec
    except ValueError as error:
        raise AgentError(str(error), retryable=False, reason="bad-address") from None
    campaign = hashlib.sha256(task.effect_key.encode()).hexdigest()[:32]
    create(task.database)
    for step, email in enumerate(task.data["emails"], start=1):
        row = {
            "message_id": f"<{campaign}.{step}@{task.namespace}.switchyard.local>",
            "namespace": task.namespace,
            "campaign": campaign,
            "step": step,
            "due_at": now + min(max(email["day"], 0), LATEST_DAY) * day_seconds,
            "name": task.data["name"],
            "recipient": recipient,
            "subject": email["subject"],
            "body": email["body"],
        }
        try:
            with task.database.begin() as connection:
                connection.execute(MAILS.insert().values(row))
        except IntegrityError:
            continue
    query = (
        select(MAILS).where(MAILS.c.campaign == campaign, MAILS.c.namespace == task.namespace).order_by(MAILS.c.step)
    )
    with task.database.connect() as connection:
        stored = connection.execute(query).all()
    mails = [{"message_id": m.message_id, "step": m.step, "due_at": _iso(m.due_at)} for m in stored]
    return {"campaign": campaign, "recipient": recipient, "mails": mails}


def waiting(engine: Engine, namespace: str) -> int:
    """How many mails of a namespace are neither sent nor refused for good, due or not."""
    create(engine)
    query = select(MAILS.c.message_id).where(
        MAILS.c.namespace == namespace, MAILS.c.sent_at.is_(None), MAILS.c.refused.is_(None)
    )
    with engine.connect() as connection:
        return len(connection.execute(query).all())


def due(engine: Engine, namespace: str, now: float) -> list[Row[Any]]:
    query = (
        select(MAILS)
        .where(
            MAILS.c.namespace == namespace,
            MAILS.c.sent_at.is_(None),
            MAILS.c.refused.is_(None),
            MAILS.c.due_at <= now,
            MAILS.c.claimed_until <= now,
        )
        .order_by(MAILS.c.due_at, MAILS.c.step)
        .limit(MOST_AT_ONCE)
    )
    with engine.connect() as connection:
        return list(connection.execute(query).all())


def claim(engine: Engine, message_id: str, now: float) -> bool:
    """Whether this caller may send the mail now; nobody else may until the claim runs out."""
    taking = (
        MAILS.update()
        .where(
            MAILS.c.message_id == message_id,
            MAILS.c.sent_at.is_(None),
            MAILS.c.claimed_until <= now,
        )
        .values(claimed_until=max(now, time.time()) + CLAIM_S)
    )
    with engine.begin() as connection:
        return connection.execute(taking).rowcount == 1


def mark(engine: Engine, message_id: str, **values: Any) -> None:
    with engine.begin() as connection:
        connection.execute(MAILS.update().where(MAILS.c.message_id == message_id).values(**values))


def _iso(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
