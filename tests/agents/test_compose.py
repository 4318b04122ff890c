"""Mails as they go out: one recipient, and no header that nobody set, whatever the data says."""

from __future__ import annotations

import shutil
import subprocess
from email.parser import BytesHeaderParser
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_endpoints.sdr import compose

GOOD = {
    "a@b.example": "a@b.example",
    "o'neil+x@x.example": "o'neil+x@x.example",
    "<a@b.example>": "a@b.example",
    "(c)a@b.example": "a@b.example",
    '"ab"@x.example': "ab@x.example",
    "a@[192.0.2.1]": "a@[192.0.2.1]",
    "jörg@büro.example": "jörg@büro.example",
}
BAD = [
    *("", "a", "a@", "@b.example", "@@b.example", "a@b..example", "a..b@x.example", "x@a.example>", '"ab@x.example'),
    *("victim@a.example,evil.example", "a,b@x.example", "a@b.example, c@d.example", "a;b@x.example", "a@b.example, "),
    *("a:b@x.example", "group:a@x.example;", "%0d%0aBcc:x@y.example", "N <a@b.example>", "<@r.example:a@b.example>"),
    *(
        "a\x00b@x.example",
        "a\x7f@x.example",
        "a@x.example\u2028",
        "a\u202eb@x.example",
        "a@x.example\r\nBcc: x@y.example",
    ),
    *("=?utf-8?q?a=0d=0ab?=@x.example", "a@=?utf-8?q?x=2Eexample=0d=0aBcc:z?=.x", "a" * 65 + "@x.example"),
    "a@" + "x" * 300 + ".example",
    "=?utf-8?q?a=0d=0aReply-To:_crook=40evil.example=0d=0aX-Pad:_b?=@attacker.example",
]
WORDS = [
    "=?utf-8?q?a=0d=0aBcc:_x=40y.example?=",
    '"=?utf-8?b?DQpCY2M6IHhAeS5leGFtcGxl?="',
    "x =?utf-8?q?a=0d=0aBcc:_x=40y.example?= <b@c.example>",
    "=?=?utf-8?q?a=0d=0aBcc:_x=40y.example?=",
    "a\r\nBcc: x@y.example",
]
HEADERS = [
    *("From", "To", "Subject", "Date", "Message-ID", "X-Switchyard-Namespace", "X-Switchyard-Campaign"),
    *("Content-Type", "Content-Transfer-Encoding", "MIME-Version"),
]


def row(**changed: Any) -> Any:
    mail = {"recipient": "a@b.example", "name": "Ann", "subject": "Hello", "body": "Hi", "message_id": "<1@x>"}
    return SimpleNamespace(**{**mail, "campaign": "c", "step": 1, **changed})


def headers(mail: Any) -> dict[str, str]:
    sent = BytesHeaderParser().parsebytes(compose.message(mail, "ns").as_bytes())
    assert sorted(sent.keys()) == sorted(HEADERS)
    return dict(sent.items())


@pytest.mark.parametrize(("text", "written"), GOOD.items())
def test_an_address_is_written_as_the_email_package_writes_it(text: str, written: str) -> None:
    assert compose.mailbox(text).addr_spec == written
    if written.isascii():
        assert headers(row(recipient=text))["To"] == f"Ann <{written}>"


@pytest.mark.parametrize("text", BAD)
def test_what_is_not_one_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"is no address|is a list of addresses"):
        compose.mailbox(text)
    with pytest.raises(ValueError, match=r"is no address|is a list of addresses"):
        compose.message(row(recipient=text), "ns")


@pytest.mark.parametrize("text", WORDS)
@pytest.mark.parametrize("field", ["name", "subject"])
def test_an_encoded_word_in_a_name_or_subject_stays_text(field: str, text: str) -> None:
    sent = headers(row(**{field: text}))
    assert "\n" not in sent[{"name": "To", "subject": "Subject"}[field]].replace("\n ", " ")


@given(recipient=st.text(max_size=60) | st.from_regex(r"[^@\s<>]+@[^@\s<>]+\.[^@\s<>]+", fullmatch=True))
def test_any_text_is_one_recipient_or_refused(recipient: str) -> None:
    try:
        composed = compose.message(row(recipient=recipient), "ns")
    except ValueError:
        return
    assert len(composed["To"].addresses) == 1
    assert composed["To"].addresses[0].addr_spec == compose.mailbox(recipient).addr_spec
    assert sorted(composed.keys()) == sorted(HEADERS)


@pytest.mark.parametrize("python", ["python3.11", "python3.12", "python3.13"])
def test_other_releases_of_python_refuse_and_write_the_same(python: str) -> None:
    """`email` differs between releases; the module needs nothing beside the standard library."""
    found = shutil.which(python)
    if found is None or subprocess.run([found, "-c", ""], capture_output=True).returncode != 0:
        pytest.skip(f"there is no {python} here")
    code = f"""
import sys
from types import SimpleNamespace
sys.path.insert(0, {str(Path(compose.__file__).parent)!r})
import compose
for text in {BAD!r}:
    try:
        sys.exit(f"{{text!r}} is {{compose.mailbox(text)!r}}")
    except ValueError:
        pass
for text, written in {GOOD!r}.items():
    assert compose.mailbox(text).addr_spec == written, text
for text in {WORDS!r}:
    for field in ("name", "subject"):
        mail = {row().__dict__!r}
        raw = compose.message(SimpleNamespace(**{{**mail, field: text}}), "ns").as_bytes()
        assert b"\\nBcc" not in raw, raw
"""
    done = subprocess.run([found, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
