"""The table of mails: what each campaign sends, to whom, and when it is due."""

from __future__ import annotations

import hashlib
import json
import secrets
import time
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    Column,
    ColumnElement,
    Engine,
    Float,
    Index,
    Integer,
    MetaData,
    Row,
    String,
    Table,
    Text,
    and_,
    inspect,
    select,
    text,
)
from sqlalchemy.exc import IntegrityError, OperationalError, ProgrammingError
from sqlalchemy.schema import CreateIndex, CreateTable

from switchyard import AgentError, BackgroundContext, Erasure, Task

from . import compose

CLAIM_S = 30.0
"""How long a worker has from its claim until it hands the text over: two replies of the server, at most 10 s each."""
KEPT_S = 35 * 86_400.0
"""How long after it was due a mail is kept: as long as Switchyard knows that its campaign was scheduled."""
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
    Column("claimed_by", String(32)),
    Column("handed_at", Float),
    Column("sent_at", Float),
    Column("refused", Text),
    Column("workflow_id", String(256)),
    Index("mails_due", "namespace", "sent_at", "due_at"),
)


def create(engine: Engine) -> None:
    """Make the table unless it is there; two workers may do so at once."""
    with engine.begin() as connection:
        connection.execute(CreateTable(MAILS, if_not_exists=True))
        for index in MAILS.indexes:
            connection.execute(CreateIndex(index, if_not_exists=True))


def upgrade(engine: Engine) -> None:
    """Make the table, or add the columns that an earlier release's lacks; two workers may do so at once."""
    create(engine)
    with engine.connect() as connection:
        existing = {item["name"] for item in inspect(connection).get_columns(MAILS.name)}
    for column in MAILS.columns:
        if column.name not in existing:
            adding = f"ALTER TABLE {MAILS.name} ADD COLUMN {column.name} {column.type.compile(engine.dialect)}"
            with suppress(OperationalError, ProgrammingError), engine.begin() as connection:  # the other was first
                connection.execute(text(adding))


def schedule(task: Task, now: float, day_seconds: float) -> dict[str, Any]:
    """Store the campaign's mails; those that an earlier attempt stored stay as they are.

    Raises AgentError where the lead's address is none.
    """
    try:
        recipient = compose.mailbox(task.data["email"]).addr_spec
    except ValueError as error:
        raise AgentError(str(error), retryable=False, reason="bad-address") from None
    named = json.dumps([task.effect_key, task.event.workflow_id, task.data], sort_keys=True)
    campaign = hashlib.sha256(named.encode()).hexdigest()[:32]
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
            "workflow_id": task.event.workflow_id,
        }
        try:
            with task.database.begin() as connection:
                connection.execute(MAILS.insert().values(row))
        except IntegrityError:
            continue
    query = (
        select(MAILS.c.message_id, MAILS.c.step, MAILS.c.due_at)
        .where(MAILS.c.campaign == campaign, MAILS.c.namespace == task.namespace)
        .order_by(MAILS.c.step)
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


def forget(context: BackgroundContext, erasure: Erasure, remove: bool) -> int:
    """How many mails, sent or not, are of the workflows or have the address in them; none of them is left, or sent."""
    upgrade(context.database)
    query = select(MAILS).where(MAILS.c.namespace == context.namespace)
    with context.database.connect() as connection:
        found = [mail.message_id for mail in connection.execute(query) if _concerns(erasure, mail)]
    if remove:
        with context.database.begin() as connection:
            for message_id in found:
                connection.execute(MAILS.delete().where(MAILS.c.message_id == message_id))
    return len(found)


def _concerns(erasure: Erasure, mail: Row[Any]) -> bool:
    texts = (mail.recipient, mail.name, mail.subject, mail.body)
    return mail.workflow_id in erasure.workflow_ids or any(map(erasure.mentions, texts))


def due(engine: Engine, namespace: str, now: float) -> list[Row[Any]]:
    """The mails to send now; one with `handed_at` was handed over by a worker that has not said what came of it."""
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


def claim(engine: Engine, message_id: str, now: float) -> str | None:
    """A token for the mail, None where another worker has it; nobody else may send it until the claim runs out."""
    token = secrets.token_hex(16)
    mine = _changed(
        engine,
        and_(_open(message_id), MAILS.c.handed_at.is_(None), MAILS.c.claimed_until <= now),
        claimed_by=token,
        claimed_until=max(now, time.time()) + CLAIM_S,
    )
    return token if mine else None


def hand_over(engine: Engine, message_id: str, token: str, lasts_s: float) -> bool:
    """Note that the server is given the text from now on; False where the claim is another's by now.

    Until this is noted nobody has given it the text, and after it nobody else does, whatever the clocks say.
    """
    now = time.time()
    mine = and_(_open(message_id), MAILS.c.handed_at.is_(None), MAILS.c.claimed_by == token)
    return _changed(engine, mine, handed_at=now, claimed_until=now + lasts_s)


def mark(engine: Engine, message_id: str, token: str, **values: Any) -> bool:
    """Note what came of a mail; False where it was sent, or another worker has claimed it since."""
    mine = and_(MAILS.c.message_id == message_id, MAILS.c.sent_at.is_(None), MAILS.c.claimed_by == token)
    return _changed(engine, mine, **values)


def purge(engine: Engine, namespace: str, now: float) -> int:
    """Forget the mails that are too old; how many of them had not gone out."""
    old = and_(MAILS.c.namespace == namespace, MAILS.c.due_at < now - KEPT_S, MAILS.c.claimed_until <= now)
    with engine.begin() as connection:
        unsent = connection.execute(MAILS.delete().where(old, MAILS.c.sent_at.is_(None), MAILS.c.refused.is_(None)))
        connection.execute(MAILS.delete().where(old))
    return unsent.rowcount


def _open(message_id: str) -> ColumnElement[bool]:
    return and_(MAILS.c.message_id == message_id, MAILS.c.sent_at.is_(None), MAILS.c.refused.is_(None))


def _changed(engine: Engine, which: ColumnElement[bool], **values: Any) -> bool:
    with engine.begin() as connection:
        return connection.execute(MAILS.update().where(which).values(**values)).rowcount == 1


def _iso(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
