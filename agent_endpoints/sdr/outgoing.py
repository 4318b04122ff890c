"""A connection to the mail server, which asks before it hands a text over."""

from __future__ import annotations

import smtplib
import ssl
from collections.abc import Callable
from typing import Any

from switchyard import MailServer

TIMEOUT_S = 10.0
TEXT_TIMEOUT_S = 600.0
"""How long a server may take to answer once it has the whole text (RFC 5321, 4.5.3.2.6): giving up before is how
mails come to be sent twice."""


class ClaimLostError(Exception):
    """Another worker has the mail."""


class Client(smtplib.SMTP):
    """`may_hand_over` is asked before each text; `handed` says whether the server was given the last one."""

    may_hand_over: Callable[[], bool]
    handed = False
    text_timeout_s = TEXT_TIMEOUT_S

    def data(self, msg: Any) -> tuple[int, bytes]:
        if not self.may_hand_over():
            raise ClaimLostError
        self.handed = True
        self._wait_at_most(self.text_timeout_s)
        try:
            return super().data(msg)
        finally:
            self._wait_at_most(TIMEOUT_S)

    def _wait_at_most(self, seconds: float) -> None:
        if self.sock is not None:
            self.sock.settimeout(seconds)


class TlsClient(Client, smtplib.SMTP_SSL):
    """The same over TLS."""


def connect(server: MailServer) -> Client:
    """A connection that is secured and logged in as the server's address says. Raises OSError, SMTPException.

    Certificate and host name are verified, by the CAs that the system trusts, or those in SSL_CERT_FILE.
    """
    client: Client
    if server.security == "tls":
        client = TlsClient(server.host, server.port, timeout=TIMEOUT_S, context=ssl.create_default_context())
    else:
        client = Client(server.host, server.port, timeout=TIMEOUT_S)
    if server.knows_repeats:
        client.text_timeout_s = TIMEOUT_S
    try:
        if server.security == "starttls":
            client.starttls(context=ssl.create_default_context())
        if server.username is not None and server.password is not None:
            client.login(server.username, server.password.get_secret_value())
    except BaseException:
        client.close()
        raise
    return client
