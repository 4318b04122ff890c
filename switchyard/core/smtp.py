"""The mail server that an app's mails are handed to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal
from urllib.parse import unquote, urlsplit

from pydantic import SecretStr

MailSecurity = Literal["none", "starttls", "tls"]

SCHEMES: dict[str, tuple[MailSecurity, int]] = {
    "smtp": ("none", 25),
    "smtp+starttls": ("starttls", 587),
    "smtps": ("tls", 465),
}
"""What a URL begins with: how the server is spoken to, and the port where none is given (RFC 8314)."""

FORM = "write smtps://USER@HOST, smtp+starttls://USER@HOST:PORT or smtp://HOST:PORT"


@dataclass(frozen=True)
class MailServer:
    """Where mails are handed to.

    security: "tls" from the first byte on, "starttls" before anything else is said, or "none".
    username, password: who logs in; None where nobody does.
    knows_repeats: whether a mail that comes again under its Message-ID does no harm, as at the local stack's server.
    """

    host: str
    port: int
    security: MailSecurity = "none"
    username: str | None = None
    password: SecretStr | None = None
    knows_repeats: bool = False

    @classmethod
    def of(cls, url: str, password: SecretStr | None = None) -> MailServer:
        """The server of `smtps://user@host`, `smtp+starttls://user@host:port` or `smtp://host`.

        Raises ValueError, with a sentence that holds nothing secret.
        """
        try:
            parts = urlsplit(url)
            security, usual = SCHEMES[parts.scheme]
            port = parts.port or usual
        except (ValueError, KeyError):
            raise ValueError(FORM) from None
        if parts.hostname is None or parts.path or parts.query or parts.fragment:
            raise ValueError(FORM)
        if parts.password is not None:
            raise ValueError("it holds a password; set SWITCHYARD_SMTP_PASSWORD instead")
        if parts.username and security == "none":
            raise ValueError("a login needs TLS: write smtps:// or smtp+starttls://, or leave the user out")
        user = unquote(parts.username) if parts.username else None
        return cls(parts.hostname, port, security, user, password if user else None)
