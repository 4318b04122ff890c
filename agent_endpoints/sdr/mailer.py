"""Campaigns: their mails wait in a table and leave over SMTP when they are due."""

from __future__ import annotations

import logging
import smtplib
import threading
import time
from datetime import UTC, datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from typing import Any

from sqlalchemy import Column, Engine, Float, Index, Integer, MetaData, Row, String, Table, Text, select
from sqlalchemy.exc import IntegrityError

from agent_endpoints.background import Context
from agent_endpoints.database import create
from agent_endpoints.handler import Task
from switchyard.core.ids import stable_hash

log = logging.getLogger("switchyard.mailer")

SENDER = Address("Ada Keller, Northgrid", "ada.keller", "northgrid.example")
POLL_S = 0.25
SMTP_TIMEOUT_S = 10.0
CLAIM_S = 15.0
RETRY_S = 2.0
LONGEST_SUBJECT = 150
LATEST_DAY = 365

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


def schedule(task: Task, now: float) -> dict[str, Any]:
    """Store the campaign's mails; those that an earlier attempt stored stay as they are."""
    campaign = stable_hash("campaign", task.effect_key)
    create(task.database, MAILS)
    for step, email in enumerate(task.data["emails"], start=1):
        row = {
            "message_id": f"<{campaign}.{step}@{task.namespace}.switchyard.local>",
            "namespace": task.namespace,
            "campaign": campaign,
            "step": step,
            "due_at": now + min(max(email["day"], 0), LATEST_DAY) * task.settings.day_seconds,
            "name": task.data["name"],
            "recipient": task.data["email"],
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
    return {"campaign": campaign, "recipient": task.data["email"], "mails": mails}


def run(context: Context, stop: threading.Event) -> None:
    """Send what is due until `stop` is set."""
    create(context.database, MAILS)
    if context.settings.smtp is None:
        log.warning("SWITCHYARD_SMTP is not set: mails stay in the table until it is")
        stop.wait()
        return
    while not stop.is_set():
        try:
            send_due(context, time.time(), stop)
        except (OSError, smtplib.SMTPException) as error:
            log.warning("the mail server does not take mails (%s), trying again", type(error).__name__)
            stop.wait(RETRY_S)
        stop.wait(POLL_S)


def send_due(context: Context, now: float, stop: threading.Event) -> int:
    """Send every mail that is due; return how many.

    A crash after the server's 250 and before the mark repeats that mail, under the same Message-ID, once its claim
    has run out. The claim keeps two workers from sending one mail. Raises OSError, SMTPException.
    """
    due = _due(context, now)
    if not due:
        return 0
    host, _, port = str(context.settings.smtp).rpartition(":")
    sent = 0
    with smtplib.SMTP(host or "localhost", int(port), timeout=SMTP_TIMEOUT_S) as server:
        for mail in due:
            if stop.is_set():
                break
            if _claim(context.database, mail.message_id):
                sent += _send(context, server, mail)
    return sent


def waiting(engine: Engine, namespace: str) -> int:
    """How many mails of a namespace are neither sent nor refused for good, due or not."""
    create(engine, MAILS)
    query = select(MAILS.c.message_id).where(
        MAILS.c.namespace == namespace, MAILS.c.sent_at.is_(None), MAILS.c.refused.is_(None)
    )
    with engine.connect() as connection:
        return len(connection.execute(query).all())


def message(mail: Row[Any], namespace: str) -> EmailMessage:
    """The mail as it goes out; no field of it can add a header."""
    composed = EmailMessage(policy=SMTP)
    local, _, domain = mail.recipient.rpartition("@")
    composed["From"] = SENDER
    composed["To"] = Address(_line(mail.name, 100), local, domain)
    composed["Subject"] = _line(mail.subject, LONGEST_SUBJECT)
    composed["Date"] = datetime.now(UTC)
    composed["Message-ID"] = mail.message_id
    composed["X-Switchyard-Namespace"] = namespace
    composed["X-Switchyard-Campaign"] = f"{mail.campaign} step {mail.step}"
    composed.set_content(mail.body)
    return composed


def _send(context: Context, server: smtplib.SMTP, mail: Row[Any]) -> int:
    try:
        composed = message(mail, context.namespace)
        server.send_message(composed, SENDER.addr_spec, [mail.recipient])
    except (OSError, smtplib.SMTPException, ValueError) as error:
        if not _for_good(error):
            _mark(context.database, mail.message_id, claimed_until=0.0)
            raise
        log.warning("%s cannot be delivered (%s)", mail.message_id, type(error).__name__)
        _mark(context.database, mail.message_id, refused=type(error).__name__)
        return 0
    _mark(context.database, mail.message_id, sent_at=time.time())
    return 1


def _for_good(error: Exception) -> bool:
    """Whether this mail, and not the server's state, is why it was not taken."""
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        return all(code >= 500 for code, _ in error.recipients.values())
    if isinstance(error, smtplib.SMTPDataError):
        return error.smtp_code >= 500
    return isinstance(error, smtplib.SMTPNotSupportedError | ValueError)


def _due(context: Context, now: float) -> list[Row[Any]]:
    query = (
        select(MAILS)
        .where(
            MAILS.c.namespace == context.namespace,
            MAILS.c.sent_at.is_(None),
            MAILS.c.refused.is_(None),
            MAILS.c.due_at <= now,
            MAILS.c.claimed_until <= now,
        )
        .order_by(MAILS.c.due_at, MAILS.c.step)
        .limit(200)
    )
    with context.database.connect() as connection:
        return list(connection.execute(query).all())


def _claim(engine: Engine, message_id: str) -> bool:
    now = time.time()
    claim = (
        MAILS.update()
        .where(
            MAILS.c.message_id == message_id,
            MAILS.c.sent_at.is_(None),
            MAILS.c.claimed_until <= now,
        )
        .values(claimed_until=now + CLAIM_S)
    )
    with engine.begin() as connection:
        return connection.execute(claim).rowcount == 1


def _mark(engine: Engine, message_id: str, **values: Any) -> None:
    with engine.begin() as connection:
        connection.execute(MAILS.update().where(MAILS.c.message_id == message_id).values(**values))


def _line(text: str, longest: int) -> str:
    """Text for a header: one line, nothing that does not print."""
    shown = "".join(char if char.isprintable() else " " for char in text)
    return " ".join(shown.split())[:longest]


def _iso(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
