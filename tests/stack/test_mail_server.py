"""The mail server, spoken to by a real SMTP client."""

from __future__ import annotations

import os
import smtplib
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from email.message import EmailMessage
from pathlib import Path

import pytest

from switchyard.cli.summary import mails
from switchyard.core.retention import DONE_S
from switchyard.local.mail_server import forget_old, slug, store
from switchyard.local.ports import free_port


@contextmanager
def running(tmp_path: Path) -> Iterator[tuple[int, Path]]:
    port, folder = free_port(), tmp_path / "mail"
    command = [sys.executable, "-m", "switchyard.local.mail_server", "--port", str(port), "--folder", str(folder)]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            smtplib.SMTP("127.0.0.1", port, timeout=30).close()
            break
        except OSError:
            time.sleep(0.05)
    yield port, folder
    process.terminate()
    assert process.wait(60) == 0


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[int, Path]]:
    with running(tmp_path) as serving:
        yield serving


def mail(message_id: str | None, text: str = "hello", namespace: str | None = None) -> EmailMessage:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "a@example.com", "b@example.com", "Grüße"
    if message_id is not None:
        message["Message-ID"] = message_id
    if namespace is not None:
        message["X-Switchyard-Namespace"] = namespace
    message.set_content(text)
    return message


def test_each_mail_is_a_file_and_a_repeated_message_id_is_kept_apart(server: tuple[int, Path]) -> None:
    port, folder = server
    with smtplib.SMTP("127.0.0.1", port, timeout=30) as client:
        for text in ("one", "two", "three"):
            client.send_message(mail("<Lead_7/../x@switchyard>", text))
        client.send_message(mail("<lead-7.x@switchyard>"))
    names = sorted(path.name for path in folder.iterdir())
    first = slug("<Lead_7/../x@switchyard>")
    assert first.startswith("lead-7-..-x-")
    expected = [f"{first}.eml", f"{first}.repeat.eml", f"{first}.2.repeat.eml", f"{slug('<lead-7.x@switchyard>')}.eml"]
    assert names == sorted(expected)
    assert b"one" in (folder / f"{first}.eml").read_bytes()
    assert b"three" in (folder / f"{first}.2.repeat.eml").read_bytes()


def test_the_mails_of_a_namespace_have_a_folder_of_their_own(server: tuple[int, Path]) -> None:
    port, folder = server
    with smtplib.SMTP("127.0.0.1", port, timeout=30) as client:
        for namespace in ("sdr-1", "sdr-2", "..", "a/b", "Sdr", None):
            client.send_message(mail(f"<{namespace}@switchyard>", namespace=namespace))
        client.send_message(mail("<sdr-1@switchyard>", namespace="sdr-1"))
    assert {path.name for path in folder.iterdir() if path.is_dir()} == {"sdr-1", "sdr-2"}
    assert mails(folder, "sdr-1") == (1, 1)
    assert mails(folder, "sdr-2") == (1, 0)
    assert mails(folder, "sdr-3") == (0, 0)
    assert len(list(folder.glob("*.eml"))) == 4
    assert not list(folder.parent.glob("*.eml"))


def test_a_mail_without_a_message_id_is_refused(server: tuple[int, Path]) -> None:
    port, folder = server
    with smtplib.SMTP("127.0.0.1", port, timeout=30) as client, pytest.raises(smtplib.SMTPDataError) as refused:
        client.send_message(mail(None))
    assert refused.value.smtp_code == 550
    assert b"no Message-ID" in refused.value.smtp_error
    assert not list(folder.iterdir())


def test_a_mail_is_kept_for_five_weeks(tmp_path: Path) -> None:
    old, new = store(tmp_path, "<old@x>", b"old"), store(tmp_path, "<new@x>", b"new")
    alone, beside = store(tmp_path / "demo", "<old@x>", b"old"), store(tmp_path / "other", "<old@x>", b"old")
    kept = store(tmp_path / "other", "<new@x>", b"new")
    now = time.time()
    for path in (old, alone, beside):
        os.utime(path, (now, now - DONE_S - 60))
    forget_old(tmp_path, now)
    assert sorted(tmp_path.rglob("*")) == sorted([new, kept.parent, kept])
    os.utime(new, (now, now - DONE_S - 60))
    forget_old(tmp_path, now)
    assert tmp_path.is_dir()


def test_the_server_forgets_what_is_there_when_it_starts(tmp_path: Path) -> None:
    (tmp_path / "mail").mkdir()
    old = store(tmp_path / "mail", "<old@x>", b"old")
    os.utime(old, (1, 1))
    with running(tmp_path) as (_, folder):
        assert list(folder.iterdir()) == []
