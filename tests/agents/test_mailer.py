"""The mailer against a real mail server on loopback."""

from __future__ import annotations

import asyncio
import email
import itertools
import smtplib
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from email.message import EmailMessage
from email.policy import default
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from sqlalchemy import Engine, select, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.schema import CreateTable

from agent_endpoints.sdr import mailer, mails, outgoing
from switchyard.core.errors import AgentError
from switchyard.core.event import Event
from switchyard.core.retention import DONE_S
from switchyard.core.smtp import MailServer
from switchyard.local.ports import free_port
from switchyard.worker.background import BackgroundContext
from switchyard.worker.memory.backend import AgentMemory
from switchyard.worker.memory.store import SqliteMemory
from switchyard.worker.task import Task
from switchyard.worker.thinking import Thinker
from tests.agents.support import SDR, inbox_event
from tests.agents.test_inbox import until


class Kept:
    """Keeps mails; answers with the next of `replies` instead, while there are any.

    `meanwhile` runs once, before a recipient is answered, `after` once a mail is kept and before that is told; `drop`
    ends the connection instead of telling.
    """

    def __init__(self) -> None:
        self.mails: list[EmailMessage] = []
        self.replies: list[str] = []
        self.meanwhile: list[Callable[[], object]] = []
        self.after: list[Callable[[], object]] = []
        self.drop = False

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: Any) -> str:
        if self.meanwhile:
            await asyncio.to_thread(self.meanwhile.pop())
        envelope.rcpt_tos.append(address)
        return "250 Yes"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        if self.replies:
            return self.replies.pop(0)
        self.mails.append(email.message_from_bytes(envelope.content, policy=default))  # type: ignore[arg-type]
        if self.after:
            await asyncio.to_thread(self.after.pop())
        if self.drop:
            server.transport.abort()
        return "250 Kept"


@pytest.fixture
def server() -> Iterator[tuple[Kept, MailServer]]:
    kept = Kept()
    controller = Controller(kept, hostname="127.0.0.1", port=free_port(), ready_timeout=30, enable_SMTPUTF8=True)
    controller.start()
    yield kept, MailServer("127.0.0.1", controller.port)
    controller.stop()


@pytest.fixture
def context(server: tuple[Kept, MailServer], database: Engine) -> BackgroundContext:
    mails.create(database)
    return BackgroundContext("sdr", "test", database, server[1])


def plan(
    context: BackgroundContext, days: tuple[int, ...] = (0,), id: str = "e1", workflow: str = "w1", **changed: Any
) -> dict[str, Any]:
    data = {
        "lead_id": "1",
        "name": "Jörg Müller",
        "email": "joerg@example.com",
        "company": "C",
        "emails": [{"day": day, "subject": f"Day {day}", "body": f"Text {day}\n"} for day in days],
        **changed,
    }
    agent = SDR.registry.agents["send-email"]
    event = inbox_event("send-email", "emails.drafted", data, id=id)
    event = Event({**event.attributes, "workflowid": workflow}, event.data)
    key = str(event.attributes["effectkey"])
    memory = AgentMemory(SqliteMemory(context.database, lambda records: None), agent.name, key)
    thinker = Thinker(agent, "test", SDR.registry.contracts, None, None)
    task = Task(event, agent.name, "test", key, datetime.now(UTC), memory, context.database, thinker)
    return mails.schedule(task, time.time(), 1.0)


def send(context: BackgroundContext, later_s: float = 0.0) -> int:
    assert context.mail_server is not None
    return mailer.send_due(context, context.mail_server, time.time() + later_s, threading.Event())


def refusals(context: BackgroundContext) -> list[str | None]:
    """Why each mail is not tried again, in the order of their steps."""
    with context.database.connect() as connection:
        return list(connection.execute(select(mails.MAILS.c.refused).order_by(mails.MAILS.c.step)).scalars())


def test_mails_leave_when_they_are_due(server: Any, context: BackgroundContext) -> None:
    planned = plan(context, (0, 3, 7))
    assert [mail["step"] for mail in planned["mails"]] == [1, 2, 3]
    assert send(context) == 1
    assert mails.waiting(context.database, "test") == 2
    assert send(context) == 0
    assert send(context, 3.5) == 1
    assert send(context, 7.5) == 1
    assert [mail["Message-ID"] for mail in server[0].mails] == [m["message_id"] for m in planned["mails"]]
    first = server[0].mails[0]
    assert first["X-Switchyard-Namespace"] == "test"
    assert str(first["To"]) == "Jörg Müller <joerg@example.com>"
    assert first.get_content() == "Text 0\r\n" or first.get_content() == "Text 0\n"
    assert mails.waiting(context.database, "test") == 0


def test_a_second_run_of_the_handler_schedules_nothing_new(server: Any, context: BackgroundContext) -> None:
    first = plan(context, (0, 3))
    time.sleep(0.01)
    assert plan(context, (0, 3)) == first
    assert mails.waiting(context.database, "test") == 2


def crashed(context: BackgroundContext, monkeypatch: pytest.MonkeyPatch) -> None:
    """A mail that the server has, and whose worker dies before it notes that."""

    def crash(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(mails, "mark", crash)
        with pytest.raises(KeyboardInterrupt):
            send(context)


def test_what_a_worker_left_is_not_sent_again_and_told(
    server: Any, context: BackgroundContext, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    plan(context)
    crashed(context, monkeypatch)
    patience_s = outgoing.TEXT_TIMEOUT_S + outgoing.TIMEOUT_S
    assert send(context, patience_s - 5) == 0
    assert mails.waiting(context.database, "test") == 1
    assert send(context, patience_s + 1) == 0
    assert mails.waiting(context.database, "test") == 0
    assert send(context, 2 * patience_s) == 0
    assert len(server[0].mails) == 1
    assert refusals(context) == ["mail-uncertain"]
    assert "did not say what became of it" in caplog.text


def test_a_server_that_knows_repeats_is_given_it_again_under_its_id(
    server: Any, context: BackgroundContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = replace(context, mail_server=replace(server[1], knows_repeats=True))
    plan(context)
    crashed(context, monkeypatch)
    later_s = 2 * outgoing.TIMEOUT_S + 1
    assert send(context) == 0
    assert send(context, later_s) == 0
    assert send(context, later_s) == 1
    assert len({mail["Message-ID"] for mail in server[0].mails}) == 1
    assert len(server[0].mails) == 2


def test_a_claim_that_runs_out_before_the_text_is_another_workers(server: Any, context: BackgroundContext) -> None:
    """A server that takes its time for each reply: the second worker sends, and the first does not."""
    plan(context)
    second: list[int] = []
    server[0].meanwhile = [lambda: second.append(send(context, mails.CLAIM_S + 1))]
    assert send(context) == 0
    assert second == [1]
    assert len(server[0].mails) == 1
    assert mails.waiting(context.database, "test") == 0


def test_a_claim_does_not_run_out_while_the_server_has_the_text(server: Any, context: BackgroundContext) -> None:
    plan(context)
    second: list[int] = []
    server[0].after = [lambda: second.append(send(context, mails.CLAIM_S + 1))]
    assert send(context) == 1
    assert second == [0]
    assert len(server[0].mails) == 1


def test_a_worker_that_fails_changes_nothing_of_the_one_that_has_the_mail_now(
    server: Any, context: BackgroundContext
) -> None:
    name = plan(context)["mails"][0]["message_id"]

    def meanwhile() -> None:
        token = mails.claim(context.database, name, time.time() + mails.CLAIM_S + 1)
        assert token is not None
        assert mails.hand_over(context.database, name, token, 1000)
        raise OSError("the server refuses the first worker's")

    server[0].meanwhile = [meanwhile]
    assert send(context) == 0
    assert send(context, 900) == 0
    assert refusals(context) == [None]
    assert server[0].mails == []


@pytest.mark.parametrize("how", ["drops", "is silent"])
def test_a_server_that_says_nothing_after_the_text_gets_one_mail(
    how: str, server: Any, context: BackgroundContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan(context, (0, 0))
    told = threading.Event()
    if how == "drops":
        server[0].drop = True
    else:
        monkeypatch.setattr(outgoing.Client, "text_timeout_s", 1.0)
        server[0].after = [lambda: told.wait(30)]
    with pytest.raises(smtplib.SMTPServerDisconnected):
        send(context)
    told.set()
    server[0].drop = False
    monkeypatch.setattr(outgoing.Client, "text_timeout_s", outgoing.TEXT_TIMEOUT_S)
    assert send(context, 10_000) == 1
    assert send(context, 20_000) == 0
    assert refusals(context) == ["mail-uncertain", None]
    assert len(server[0].mails) == len({mail["Message-ID"] for mail in server[0].mails}) == 2


def test_the_table_of_an_earlier_release_gets_its_columns(database: Engine, server: Any) -> None:
    with database.begin() as connection:
        connection.execute(CreateTable(mails.MAILS))
        for column in ("claimed_by", "handed_at"):
            connection.execute(text(f"ALTER TABLE mails DROP COLUMN {column}"))
    context = BackgroundContext("sdr", "test", database, server[1])
    plan(context)
    assert mails.waiting(database, "test") == 1
    threads = [threading.Thread(target=mails.upgrade, args=(database,)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert send(context) == 1


def test_two_workflows_with_one_effect_key_have_mails_of_their_own(server: Any, context: BackgroundContext) -> None:
    first = plan(context, workflow="attacker", email="attacker@x.example")
    second = plan(context, workflow="victim", email="victim@x.example")
    assert (first["recipient"], second["recipient"]) == ("attacker@x.example", "victim@x.example")
    assert first["campaign"] != second["campaign"]
    assert send(context) == 2


def test_what_the_server_cannot_take_now_is_tried_again(
    server: Any, context: BackgroundContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mailer, "RETRY_S", 100.0)
    plan(context, (0, 0))
    server[0].replies = ["451 Later"]
    with pytest.raises(smtplib.SMTPDataError):
        send(context)
    assert send(context) == 1  # the one behind it does not wait
    assert send(context, 1_000) == 1


def test_what_the_server_refuses_for_good_holds_nothing_up(server: Any, context: BackgroundContext) -> None:
    plan(context, (0, 0))
    server[0].replies = ["550 No"]
    assert send(context) == 1
    assert mails.waiting(context.database, "test") == 0
    assert refusals(context) == ["SMTPDataError", None]


def test_two_workers_send_a_mail_once(server: Any, context: BackgroundContext) -> None:
    for number in range(20):
        plan(context, id=str(number))
    threads = [threading.Thread(target=send, args=(context,)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(server[0].mails) == 20


def test_mails_are_forgotten_five_weeks_after_they_were_due(
    server: Any, context: BackgroundContext, caplog: pytest.LogCaptureFixture
) -> None:
    assert mails.KEPT_S == DONE_S
    plan(context, id="other")
    with context.database.begin() as connection:
        connection.execute(mails.MAILS.update().values(namespace="other"))
    plan(context, (0, 300), id="sent")
    send(context)
    plan(context, id="waits")
    now = time.time()
    mailer.forget_old(context, now + DONE_S - 60)
    assert len(refusals(context)) == 4
    mailer.forget_old(context, now + DONE_S + 60)
    with context.database.connect() as connection:
        left = connection.execute(select(mails.MAILS.c.due_at).order_by(mails.MAILS.c.due_at)).scalars().all()
    assert [round(due - now) for due in left] == [0, 300]
    assert "1 mails were due five weeks ago and had not gone out" in caplog.text


@pytest.mark.parametrize("sends", [True, False])
def test_the_background_function_forgets_though_no_server_is_set(
    server: Any, context: BackgroundContext, sends: bool
) -> None:
    plan(context)
    send(context)
    with context.database.begin() as connection:
        connection.execute(mails.MAILS.update().values(due_at=1.0, claimed_until=0.0))
    stop = threading.Event()
    without = context if sends else replace(context, mail_server=None)
    thread = threading.Thread(target=mailer.run, args=(without, stop))
    thread.start()
    deadline = time.monotonic() + 30
    while refusals(context) and time.monotonic() < deadline:
        time.sleep(0.001)
    stop.set()
    thread.join(10)
    assert not refusals(context)
    assert not thread.is_alive()


def test_the_background_function_sends_and_stops(server: Any, context: BackgroundContext) -> None:
    stop = threading.Event()
    thread = threading.Thread(target=mailer.run, args=(context, stop))
    thread.start()
    plan(context, (0, 1))
    until(lambda: not mails.waiting(context.database, "test"))
    stop.set()
    thread.join()
    assert len(server[0].mails) == 2


NUMBERS = itertools.count()
ANY = st.text(st.characters(exclude_categories=["Cs"]), max_size=300)


@hypothesis_settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=ANY, subject=ANY, body=ANY)
def test_no_text_can_add_a_header_or_stop_the_mailer(
    server: Any, context: BackgroundContext, name: str, subject: str, body: str
) -> None:
    emails = [{"day": 0, "subject": f"S\r\nBcc: x@y.example\r\n{subject}", "body": body}]
    planned = plan(context, id=f"any-{next(NUMBERS)}", name=f"{name}\r\nBcc: x@y.example", emails=emails)
    assert send(context) == 1
    mail = server[0].mails[-1]
    assert mail["Bcc"] is None
    assert mail["Message-ID"] == planned["mails"][0]["message_id"]
    assert sorted(set(mail.keys())) == sorted(
        {
            *("From", "To", "Subject", "Date", "Message-ID", "X-Switchyard-Namespace", "X-Switchyard-Campaign"),
            *("Content-Type", "Content-Transfer-Encoding", "MIME-Version", "X-Peer", "X-MailFrom", "X-RcptTo"),
        }
        & set(mail.keys())
    )


LIST = "victim@a.example,evil@b.example"


@pytest.mark.parametrize("address", ["o'neil@x.example", "jörg@büro.example", LIST])
def test_an_odd_address_in_the_table_is_sent_or_refused_but_holds_nothing_up(
    server: Any, context: BackgroundContext, address: str
) -> None:
    plan(context)
    with context.database.begin() as connection:
        connection.execute(mails.MAILS.update().values(recipient=address))
    plan(context, id="e2")
    send(context)
    assert mails.waiting(context.database, "test") == 0
    assert [str(mail["To"]).count("@") for mail in server[0].mails] == [1] * (1 if address == LIST else 2)


@pytest.mark.parametrize("address", [LIST, "=?utf-8?q?a=0d=0aBcc:_x=40y.example?=@b.example", 'a"b@x.example'])
def test_a_lead_whose_address_is_none_is_told_and_not_tried_again(context: BackgroundContext, address: str) -> None:
    with pytest.raises(AgentError, match=r"bad-address: .* is ") as raised:
        plan(context, email=address)
    assert not raised.value.retryable
    assert mails.waiting(context.database, "test") == 0


def test_a_long_namespace_keeps_the_message_id_whole(server: Any, context: BackgroundContext) -> None:
    message_id = f"<{'f' * 32}.1@{'n' * 64}.switchyard.local>"
    plan(context)
    with context.database.begin() as connection:
        connection.execute(mails.MAILS.update().values(message_id=message_id))
    send(context)
    assert server[0].mails[0]["Message-ID"] == message_id


def test_a_mail_that_went_out_is_marked_when_the_disk_has_room_again(
    server: tuple[Kept, MailServer], context: BackgroundContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan(context)
    marks = iter([sqlite_full(), sqlite_full(), None])
    plain = mails.mark

    def mark(*arguments: Any, **values: Any) -> None:
        error = next(marks)
        if error is not None:
            raise error
        plain(*arguments, **values)

    monkeypatch.setattr(mails, "mark", mark)
    monkeypatch.setattr(mailer, "RETRY_S", 0.0)
    assert send(context) == 1
    assert mails.waiting(context.database, context.namespace) == 0
    assert len(server[0].mails) == 1


def sqlite_full() -> OperationalError:
    error = sqlite3.OperationalError("database or disk is full")
    error.sqlite_errorcode = sqlite3.SQLITE_FULL
    return OperationalError("UPDATE mails", {}, error)
