"""The mails that the local mail server has kept: which of them are about somebody."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from pathlib import Path

from switchyard.core.erasure import Erasure


def mails_about(folder: Path, namespace: str, erasure: Erasure, message_ids: Collection[str]) -> list[Path]:
    """The files of a namespace, and of none, that mention the address or have one of the Message-IDs."""
    files = sorted([*folder.glob("*.eml"), *(folder / namespace).glob("*.eml")])
    return [path for path in files if _concerns(path.read_bytes(), erasure, message_ids)]


def _concerns(raw: bytes, erasure: Erasure, message_ids: Collection[str]) -> bool:
    mail = message_from_bytes(raw, policy=default)
    try:
        named = str(mail.get("Message-ID", "")).strip() in message_ids
        return named or any(map(erasure.mentions, _texts(mail)))
    except (ValueError, LookupError, AttributeError):  # what is no mail as it should be
        return erasure.mentions(raw.decode(errors="replace"))


def _texts(mail: EmailMessage) -> Iterator[str]:
    yield from map(str, mail.values())
    for part in mail.walk():
        if part.get_content_maintype() == "text":
            yield part.get_content()
