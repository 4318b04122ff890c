"""Sends the mails of all campaigns over SMTP when they are due."""

from __future__ import annotations

import logging
import smtplib
import threading
import time
from typing import Any

from sqlalchemy import Row
from sqlalchemy.exc import InterfaceError, OperationalError

from switchyard import BackgroundContext

from . import compose, mails, settings

log = logging.getLogger("switchyard.mailer")

POLL_S = 0.25
SMTP_TIMEOUT_S = 10.0
RETRY_S = 2.0


def run(context: BackgroundContext, stop: threading.Event) -> None:
    """Send what is due until `stop` is set."""
    mails.create(context.database)
    if settings.SETTINGS.smtp is None:
        log.warning("SDR_SMTP is not set: mails stay in the table until it is")
        stop.wait()
        return
    while not stop.is_set():
        try:
            send_due(context, time.time(), stop)
        except (OSError, smtplib.SMTPException) as error:
            log.warning("the mail server does not take mails (%s), trying again", type(error).__name__)
            stop.wait(RETRY_S)
        stop.wait(POLL_S)


def send_due(context: BackgroundContext, now: float, stop: threading.Event) -> int:
    """Send every mail that is due; return how many.

    A crash after the server's 250 and before the mark repeats that mail, under the same Message-ID, once its claim
    has run out. The claim keeps two workers from sending one mail. Raises OSError, SMTPException.
    """
    waiting = mails.due(context.database, context.namespace, now)
    if not waiting:
        return 0
    host, _, port = str(settings.SETTINGS.smtp).rpartition(":")
    sent = 0
    with smtplib.SMTP(host or "localhost", int(port), timeout=SMTP_TIMEOUT_S) as server:
        for mail in waiting:
            if stop.is_set():
                break
            if mails.claim(context.database, mail.message_id, now):
                sent += _send(context, server, mail, stop)
    return sent


def _send(context: BackgroundContext, server: smtplib.SMTP, mail: Row[Any], stop: threading.Event) -> int:
    try:
        composed = compose.message(mail, context.namespace)
        server.send_message(composed, compose.SENDER.addr_spec, [compose.mailbox(mail.recipient).addr_spec])
    except (OSError, smtplib.SMTPException, ValueError) as error:
        if not _for_good(error):
            # Longer than the pause of `run`, so that the mails behind this one get their turn.
            mails.mark(context.database, mail.message_id, claimed_until=time.time() + 2 * RETRY_S)
            raise
        log.warning("%s cannot be delivered (%s)", mail.message_id, type(error).__name__)
        mails.mark(context.database, mail.message_id, refused=type(error).__name__)
        return 0
    _mark_sent(context, mail, stop)
    return 1


def _mark_sent(context: BackgroundContext, mail: Row[Any], stop: threading.Event) -> None:
    """Until it is written: a mail that went out and is not marked would go out again."""
    while True:
        try:
            mails.mark(context.database, mail.message_id, sent_at=time.time())
            return
        except (OperationalError, InterfaceError):  # a full disk, a server that is away
            if stop.wait(RETRY_S):
                raise


def _for_good(error: Exception) -> bool:
    """Whether this mail, and not the server's state, is why it was not taken."""
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        return all(code >= 500 for code, _ in error.recipients.values())
    if isinstance(error, smtplib.SMTPDataError):
        return error.smtp_code >= 500
    return isinstance(error, smtplib.SMTPNotSupportedError | ValueError)
