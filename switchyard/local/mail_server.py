"""A local mail server, a file for each mail: `python -m switchyard.local.mail_server --port N --folder DIR`.

A mail whose header X-Switchyard-Namespace names one is kept in the folder's folder of that name, five weeks long.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import logging
import os
import re
import signal
import time
from contextlib import suppress
from email.parser import BytesHeaderParser
from pathlib import Path

from aiosmtpd.smtp import SMTP, Envelope, Session

from switchyard.core.retention import DONE_S
from switchyard.core.topics import NAMESPACE
from switchyard.local.ports import LOOPBACK
from switchyard.terminal import log_to_stderr

log = logging.getLogger("mail")

PURGE_S = 3600.0
NAMESPACE_HEADER = "X-Switchyard-Namespace"


def slug(message_id: str) -> str:
    """The file name of a Message-ID: a readable part, and a digest that tells it from all others."""
    local = message_id.strip().strip("<>").partition("@")[0].lower()
    readable = re.sub(r"[^a-z0-9.-]+", "-", local).strip("-.")[:60] or "mail"
    return f"{readable}-{hashlib.sha256(message_id.strip().encode()).hexdigest()[:12]}"


def store(folder: Path, message_id: str, content: bytes) -> Path:
    """Write a mail so that it is whole and on disk, or not there; a repeated Message-ID is kept beside the first."""
    if not folder.is_dir():
        folder.mkdir()
        _sync(folder.parent)
    name = slug(message_id)
    target, count = folder / f"{name}.eml", 1
    while target.exists():
        target = folder / (f"{name}.repeat.eml" if count == 1 else f"{name}.{count}.repeat.eml")
        count += 1
    unfinished = folder / f".{target.name}.tmp"
    with unfinished.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    unfinished.rename(target)
    _sync(folder)
    return target


def forget_old(folder: Path, now: float) -> None:
    """Remove the mails that are older than `DONE_S`, and the folders that are empty then."""
    for mail in [*folder.glob("*.eml"), *folder.glob("*/*.eml")]:
        if mail.stat().st_mtime < now - DONE_S:
            mail.unlink()
            if mail.parent != folder:
                with suppress(OSError):  # others are in it
                    mail.parent.rmdir()


async def _forget_old_hourly(folder: Path) -> None:
    while True:
        await asyncio.sleep(PURGE_S)
        forget_old(folder, time.time())


def _sync(folder: Path) -> None:
    """Wait until the folder's entries are on disk."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


class MailHandler:
    """Answers 250 once a mail is stored."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        content = envelope.content or b""
        raw = content if isinstance(content, bytes) else content.encode()
        headers = BytesHeaderParser().parsebytes(raw)
        message_id = str(headers.get("Message-ID") or "").strip()
        if not message_id:
            log.warning("refused a mail: no Message-ID")
            return "550 This mail has no Message-ID, by which a repeated mail is known; set one and send again"
        namespace = str(headers.get(NAMESPACE_HEADER) or "").strip()
        folder = self.folder / namespace if NAMESPACE.fullmatch(namespace) else self.folder
        kept = store(folder, message_id, raw).relative_to(self.folder)
        log.info("%s kept as %s", message_id, kept)
        return f"250 Kept as {kept}"


async def serve(port: int, folder: Path) -> None:
    """Serve until SIGTERM or SIGINT."""
    folder.mkdir(parents=True, exist_ok=True)  # noqa: ASYNC240
    forget_old(folder, time.time())
    loop = asyncio.get_running_loop()
    stopped = asyncio.Event()
    for signal_number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signal_number, stopped.set)
    handler = MailHandler(folder)
    server = await loop.create_server(
        lambda: SMTP(handler, hostname="localhost", ident="Switchyard mail", enable_SMTPUTF8=True),
        host=LOOPBACK,
        port=port,
    )
    log.info("listening on %s:%d, keeping mails in %s", LOOPBACK, port, folder)
    keeper = asyncio.create_task(_forget_old_hourly(folder))
    async with server:
        await stopped.wait()
    keeper.cancel()


def main() -> None:
    parser = argparse.ArgumentParser(description="Keeps every mail it is sent as a file.")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--folder", type=Path, required=True)
    arguments = parser.parse_args()
    log_to_stderr("%(asctime)s %(message)s")
    logging.getLogger("mail.log").setLevel(logging.WARNING)
    asyncio.run(serve(arguments.port, arguments.folder))


if __name__ == "__main__":
    main()
