"""A mail as it goes out. What it is made of is data: no part of it is an address, a header or a recipient more."""

from __future__ import annotations

from datetime import UTC, datetime
from email.errors import NonASCIILocalPartDefect
from email.headerregistry import Address
from email.message import EmailMessage
from email.parser import BytesHeaderParser
from email.policy import SMTP, SMTPUTF8
from typing import Any

SENDER = Address("Ada Keller, Northgrid", "ada.keller", "northgrid.example")
LONGEST_SUBJECT = 150
LONGEST_NAME = 100
LONGEST_ADDRESS, LONGEST_LOCAL_PART = 254, 64
ENCODED_WORD = "=?"
"""How an encoded word begins (RFC 2047), which `email` decodes wherever it finds one: to line breaks, too."""


def mailbox(text: str) -> Address:
    """The one address that `text` is; its `addr_spec` is as the `email` package writes it.

    Raises ValueError, with a sentence, for what is no address, is several, or has a name, a group or an encoded word.
    """
    if len(text) > LONGEST_ADDRESS or not text.isprintable() or ENCODED_WORD in text:
        raise ValueError(f"{text[:LONGEST_ADDRESS]!r} is no address that a mail may go to")
    try:
        header: Any = SMTP.header_factory("To", text)
    except (ValueError, IndexError):  # 3.11 and 3.12 raise for what ends early
        raise ValueError(f"{text!r} is no address") from None
    if len(header.addresses) > 1 or (header.groups and header.groups[0].display_name is not None):
        raise ValueError(f"{text!r} is a list of addresses, and a mail goes to one")
    wrong = [defect for defect in header.defects if not isinstance(defect, NonASCIILocalPartDefect)]
    if wrong or not header.addresses or header.addresses[0].display_name:
        raise ValueError(f"{text!r} is no address")
    address: Address = header.addresses[0]
    if not address.username or not address.domain or len(address.username) > LONGEST_LOCAL_PART:
        raise ValueError(f"{text!r} is no address")
    return address


def message(mail: Any, namespace: str) -> EmailMessage:
    """The mail of a row, with one recipient and the headers that stand here. Raises ValueError as `mailbox`."""
    to = mailbox(mail.recipient)
    policy = SMTP if to.addr_spec.isascii() else SMTPUTF8
    composed = EmailMessage(policy=policy)
    composed["From"] = SENDER
    composed["To"] = Address(_line(mail.name, LONGEST_NAME), to.username, to.domain)
    composed["Subject"] = _line(mail.subject, LONGEST_SUBJECT)
    composed["Date"] = datetime.now(UTC)
    composed["Message-ID"] = mail.message_id
    composed["X-Switchyard-Namespace"] = namespace
    composed["X-Switchyard-Campaign"] = f"{mail.campaign} step {mail.step}"
    composed.set_content(mail.body)
    if BytesHeaderParser().parsebytes(composed.as_bytes()).keys() != composed.keys():
        raise ValueError(f"{mail.message_id} would have headers that nobody set")
    return composed


def _line(text: str, longest: int) -> str:
    """Text for a header: one line, nothing that does not print, nothing that is decoded."""
    shown = "".join(char if char.isprintable() else " " for char in text)
    return " ".join(shown.split())[:longest].replace(ENCODED_WORD, "= ?")
