"""Sends the mails of all campaigns over SMTP when they are due."""

from __future__ import annotations

import logging
import smtplib
import threading
import time
from typing import Any

from sqlalchemy import Row
from sqlalchemy.exc import InterfaceError, OperationalError

from switchyard import BackgroundContext, MailServer

from . import compose, mails, outgoing

log = logging.getLogger("switchyard.mailer")

POLL_S = 0.25
RETRY_S = 2.0
PURGE_S = 3600.0
LONGEST_PAUSE_S = 30.0
UNCERTAIN = "mail-uncertain"
"""Why a mail is not tried again whose text the server was given, and did not say what became of it."""


def run(context: BackgroundContext, stop: threading.Event) -> None:
    """Send what is due, and forget what is old, until `stop` is set."""
    mails.upgrade(context.database)
    server = context.mail_server
    if server is None:
        log.warning("SWITCHYARD_SMTP is not set: mails stay in the table until it is, for five weeks")
    pause, purge_at = RETRY_S, 0.0
    while not stop.is_set():
        now = time.time()
        if now >= purge_at:
            forget_old(context, now)
            purge_at = now + PURGE_S
        if server is None:
            stop.wait(PURGE_S)
            continue
        try:
            send_due(context, server, now, stop)
            pause = RETRY_S
        except (OSError, smtplib.SMTPException) as error:
            log.warning("the mail server %s does not take mails (%s), trying again", server.host, type(error).__name__)
            stop.wait(pause)
            pause = min(2 * pause, LONGEST_PAUSE_S)
        stop.wait(POLL_S)


def forget_old(context: BackgroundContext, now: float) -> None:
    """Remove the mails that were due five weeks ago."""
    unsent = mails.purge(context.database, context.namespace, now)
    if unsent:
        log.error("%d mails were due five weeks ago and had not gone out; they are forgotten", unsent)


def send_due(context: BackgroundContext, server: MailServer, now: float, stop: threading.Event) -> int:
    """Send every mail that is due; return how many.

    The claim keeps two workers from sending one mail. From the moment that its text is handed over a mail is sent at
    most once: where the server does not say what became of it, it is refused as `mail-uncertain`. A server that knows
    repeats is asked again. Raises OSError, SMTPException.
    """
    waiting = mails.due(context.database, context.namespace, now)
    if not waiting:
        return 0
    sent = 0
    with outgoing.connect(server) as client:
        for mail in waiting:
            if stop.is_set():
                break
            if mail.handed_at is not None:
                _left(context, server, mail)
            elif (token := mails.claim(context.database, mail.message_id, now)) is not None:
                sent += _send(context, server, client, mail, token, stop)
    return sent


def _send(
    context: BackgroundContext,
    server: MailServer,
    client: outgoing.Client,
    mail: Row[Any],
    token: str,
    stop: threading.Event,
) -> int:
    database, name = context.database, mail.message_id
    lasts_s = client.text_timeout_s + outgoing.TIMEOUT_S
    client.handed = False
    client.may_hand_over = lambda: mails.hand_over(database, name, token, lasts_s)
    try:
        composed = compose.message(mail, context.namespace)
        client.send_message(composed, compose.SENDER.addr_spec, [compose.mailbox(mail.recipient).addr_spec])
    except outgoing.ClaimLostError:
        client.rset()
        return 0
    except (OSError, smtplib.SMTPException, ValueError) as error:
        if _for_good(error):
            log.warning("%s cannot be delivered (%s)", name, type(error).__name__)
            mails.mark(database, name, token, refused=type(error).__name__)
            return 0
        if client.handed and not _answered(error) and not server.knows_repeats:
            _give_up(context, mail, token)
        else:
            # Longer than the pause of `run`, so that the mails behind this one get their turn.
            mails.mark(database, name, token, handed_at=None, claimed_until=time.time() + 2 * RETRY_S)
        raise
    _mark_sent(context, mail, token, stop)
    return 1


def _left(context: BackgroundContext, server: MailServer, mail: Row[Any]) -> None:
    """A mail that a worker handed over and died, or waits no longer."""
    if server.knows_repeats:
        mails.mark(context.database, mail.message_id, mail.claimed_by, handed_at=None, claimed_until=0.0)
    else:
        _give_up(context, mail, mail.claimed_by)


def _give_up(context: BackgroundContext, mail: Row[Any], token: str) -> None:
    if mails.mark(context.database, mail.message_id, token, refused=UNCERTAIN):
        log.error(
            "%s was given to the mail server, which did not say what became of it; it is not sent again (%s): "
            "ask its recipient, whom the table `mails` has, or look into the server's log",
            *(mail.message_id, UNCERTAIN),
        )


def _mark_sent(context: BackgroundContext, mail: Row[Any], token: str, stop: threading.Event) -> None:
    """Until it is written: a mail that went out and is not marked is uncertain."""
    while True:
        try:
            mails.mark(context.database, mail.message_id, token, sent_at=time.time(), refused=None)
            return
        except (OperationalError, InterfaceError):  # a full disk, a server that is away
            if stop.wait(RETRY_S):
                raise


def _answered(error: Exception) -> bool:
    """Whether the server has said that it did not take the text."""
    return isinstance(error, smtplib.SMTPDataError) and 400 <= error.smtp_code < 600


def _for_good(error: Exception) -> bool:
    """Whether this mail, and not the server's state, is why it was not taken."""
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        return all(code >= 500 for code, _ in error.recipients.values())
    if isinstance(error, smtplib.SMTPDataError):
        return error.smtp_code >= 500
    return isinstance(error, smtplib.SMTPNotSupportedError | ValueError)
