"""A mail server that asks for TLS and a login, spoken to as a person sets it."""

from __future__ import annotations

import asyncio
import smtplib
import ssl
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme
from aiosmtpd.smtp import SMTP, AuthResult
from sqlalchemy import Engine

from agent_endpoints.sdr import mailer, mails
from switchyard.core.errors import SettingsError
from switchyard.core.settings import Settings
from switchyard.core.smtp import MailServer
from switchyard.environment import read_settings
from switchyard.worker.background import BackgroundContext
from tests.agents.test_mailer import Kept, plan

USER, PASSWORD = "ada@northgrid.example", "s3cret"
SCHEMES = ["smtps", "smtp+starttls"]

# aiosmtpd does not see that TLS is below it, as with smtps.
pytestmark = pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS")


class Secured:
    """One server over TLS from the first byte, and one with STARTTLS; both want a login."""

    def __init__(self, authority: trustme.CA) -> None:
        self.kept = Kept()
        self.tried: list[str] = []
        self.connections: list[SMTP] = []
        self._context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        authority.issue_cert("127.0.0.1").configure_cert(self._context)
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever)
        self._thread.start()
        self.servers = {name: self._run(self._serve(name)) for name in (*SCHEMES, "smtp")}

    def _run(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(10)

    async def _serve(self, scheme: str) -> asyncio.Server:
        tls = {"smtp+starttls": {"tls_context": self._context, "require_starttls": True}}.get(scheme, {})
        login = {} if scheme == "smtp" else {"authenticator": self._login, "auth_required": True}

        def connected() -> SMTP:
            self.connections.append(SMTP(self.kept, hostname="localhost", auth_require_tls=bool(tls), **tls, **login))
            return self.connections[-1]

        context = self._context if scheme == "smtps" else None
        return await self.loop.create_server(connected, host="127.0.0.1", port=0, ssl=context)

    def _login(self, server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> AuthResult:
        self.tried.append(data.login.decode())
        right = (data.login, data.password) == (USER.encode(), PASSWORD.encode())
        return AuthResult(success=right, handled=False)

    def url(self, scheme: str, user: str = f"{USER}@") -> str:
        return f"{scheme}://{user}127.0.0.1:{self.servers[scheme].sockets[0].getsockname()[1]}"

    def close(self) -> None:
        async def close() -> None:
            for server in self.servers.values():
                server.close()
                await server.wait_closed()
            for connection in self.connections:
                if connection.transport is not None:
                    connection.transport.abort()

        self._run(close())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()


@pytest.fixture
def secured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Secured]:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    monkeypatch.setenv("SWITCHYARD_SMTP_PASSWORD", PASSWORD)
    server = Secured(authority)
    yield server
    server.close()


def send(database: Engine) -> int:
    """What a worker of this environment sends of one campaign."""
    server = read_settings().mail_server()
    assert server is not None
    context = BackgroundContext("sdr", "test", database, server)
    mails.create(database)
    plan(context)
    return mailer.send_due(context, server, time.time(), threading.Event())


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_mail_goes_over_tls_after_a_login(
    scheme: str, secured: Secured, database: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SWITCHYARD_SMTP", secured.url(scheme))
    assert send(database) == 1
    assert secured.tried == [USER]
    assert len(secured.kept.mails) == 1


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_wrong_password_sends_nothing(
    scheme: str, secured: Secured, database: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SWITCHYARD_SMTP", secured.url(scheme))
    monkeypatch.setenv("SWITCHYARD_SMTP_PASSWORD", "wrong")
    with pytest.raises(smtplib.SMTPAuthenticationError):
        send(database)
    assert mails.waiting(database, "test") == 1
    assert secured.kept.mails == []


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_server_that_cannot_be_trusted_is_told_nothing(
    scheme: str, secured: Secured, database: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trustme.CA().cert_pem.write_to_path(str(tmp_path / "other.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "other.pem"))
    monkeypatch.setenv("SWITCHYARD_SMTP", secured.url(scheme))
    with pytest.raises(ssl.SSLCertVerificationError):
        send(database)
    assert secured.tried == []


def test_a_server_without_starttls_is_told_nothing(
    secured: Secured, database: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = secured.url("smtp", user="")
    monkeypatch.setenv("SWITCHYARD_SMTP", plain.replace("smtp://", f"smtp+starttls://{USER}@"))
    with pytest.raises(smtplib.SMTPNotSupportedError):
        send(database)
    assert secured.kept.mails == []
    monkeypatch.setenv("SWITCHYARD_SMTP", plain)
    assert send(database) == 1


@pytest.mark.parametrize(
    ("url", "server"),
    [
        ("smtps://me@mail.example", ("mail.example", 465, "tls", "me")),
        ("smtp+starttls://me%40x.example@mail.example:2525", ("mail.example", 2525, "starttls", "me@x.example")),
        ("smtp://mail.example", ("mail.example", 25, "none", None)),
    ],
)
def test_an_address_names_server_security_and_user(url: str, server: tuple[Any, ...]) -> None:
    settings = Settings(smtp=url, smtp_password="pw")  # type: ignore[arg-type]
    found = settings.mail_server()
    assert found is not None
    assert (found.host, found.port, found.security, found.username) == server
    assert (found.password is None) == (found.username is None)
    assert "pw" not in repr(found) + repr(settings)


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("mail.example:25", "write smtps://USER@HOST"),
        ("http://mail.example", "write smtps://USER@HOST"),
        ("smtps://", "write smtps://USER@HOST"),
        ("smtps://mail.example/x?y", "write smtps://USER@HOST"),
        ("smtps://mail.example:many", "write smtps://USER@HOST"),
        ("smtps://me:s3cret@mail.example", "it holds a password; set SWITCHYARD_SMTP_PASSWORD instead"),
        ("smtp://me@mail.example", "a login needs TLS: write smtps:// or smtp+starttls://"),
    ],
)
def test_an_address_that_cannot_be_meant_is_a_sentence(
    url: str, sentence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SWITCHYARD_SMTP", url)
    with pytest.raises(SettingsError, match="SWITCHYARD_SMTP: ") as raised:
        read_settings()
    assert sentence in str(raised.value)
    assert "s3cret" not in str(raised.value)


def test_a_user_needs_a_password_and_the_stacks_server_is_the_second_choice(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SettingsError, match="set SWITCHYARD_SMTP_PASSWORD, too"):
        Settings(smtp="smtps://me@mail.example").mail_server()
    assert Settings().mail_server() is None
    assert Settings(local_smtp="127.0.0.1:1025").mail_server() == MailServer("127.0.0.1", 1025, knows_repeats=True)
    both = Settings(local_smtp="127.0.0.1:1025", smtp="smtp://mail.example")
    assert both.mail_server() == MailServer("mail.example", 25)
