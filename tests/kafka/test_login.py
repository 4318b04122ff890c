"""Logging in to a broker that speaks the handshake and nothing else."""

from __future__ import annotations

import base64
import hashlib
import hmac
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from pydantic import SecretStr

from switchyard.kafka.connection import KafkaConnection, KafkaRefused
from switchyard.kafka.login import LoginRefused, log_in
from switchyard.local.ports import free_port

USER, PASSWORD = "o'me,=", "of this test"
SALT, ITERATIONS, SERVER_NONCE = b"salt", 4096, b"of-the-server"
FAILED = 58


@dataclass
class Broker:
    """Takes one user. `handshake` is what it answers there; `challenge`, where it is set, what it asks of SCRAM."""

    mechanisms: tuple[str, ...] = ("SCRAM-SHA-512", "SCRAM-SHA-256", "PLAIN")
    handshake: int | None = None
    challenge: bytes | None = None
    hangs_up: bool = False
    asked: list[int] = field(default_factory=list)
    port: int = 0
    _first: bytes = b""
    _mechanism: str = ""

    def serve(self, connection: socket.socket) -> None:
        with connection, connection.makefile("rwb") as stream:
            while len(length := stream.read(4)) == 4 and not self.hangs_up:
                request = stream.read(struct.unpack(">i", length)[0])
                api, _, correlation, client = struct.unpack_from(">hhih", request)
                self.asked.append(api)
                answer = struct.pack(">i", correlation) + self._answer(api, request[10 + client :])
                stream.write(struct.pack(">i", len(answer)) + answer)
                stream.flush()

    def _answer(self, api: int, body: bytes) -> bytes:
        if api == 17:
            self._mechanism = body[2:].decode()
            code = 0 if self._mechanism in self.mechanisms else 33
            names = b"".join(struct.pack(">h", len(name)) + name.encode() for name in self.mechanisms)
            chosen = code if self.handshake is None else self.handshake
            return struct.pack(">hi", chosen, len(self.mechanisms)) + names
        code, said = self._check(body[4:])
        return struct.pack(">hhi", code, -1, len(said)) + said

    def _check(self, message: bytes) -> tuple[int, bytes]:
        if self._mechanism == "PLAIN":
            return (0, b"") if message == f"\0{USER}\0{PASSWORD}".encode() else (FAILED, b"")
        if message.startswith(b"n,,"):
            self._first = message[3:]
            nonce = self._first.split(b"r=")[1] + SERVER_NONCE
            salt = base64.b64encode(SALT)
            return 0, self.challenge or b"r=%s,s=%s,i=%d" % (nonce, salt, ITERATIONS)
        return (0, b"v=") if self._proves(message) else (FAILED, b"")

    def _proves(self, last: bytes) -> bool:
        """Whether the client knows the password, as RFC 5802 has a server find out."""
        name = self._mechanism.removeprefix("SCRAM-").replace("-", "").lower()
        bare, _, proof = last.partition(b",p=")
        nonce = self._first.split(b"r=")[1] + SERVER_NONCE
        challenge = b"r=%s,s=%s,i=%d" % (nonce, base64.b64encode(SALT), ITERATIONS)
        salted = hashlib.pbkdf2_hmac(name, PASSWORD.encode(), SALT, ITERATIONS)
        stored = hashlib.new(name, hmac.digest(salted, b"Client Key", name)).digest()
        signature = hmac.digest(stored, b",".join((self._first, challenge, bare)), name)
        key = bytes(one ^ other for one, other in zip(base64.b64decode(proof), signature, strict=True))
        user = self._first.partition(b",r=")[0] == b"n=o'me=2C=3D"
        return user and hashlib.new(name, key).digest() == stored


Start = Callable[..., Broker]


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts a broker; it takes connections until the test ends."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        brokers: list[Broker] = []

        def accept() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                brokers[0].serve(connection)

        thread = threading.Thread(target=accept)

        def begin(**given: Any) -> Broker:
            brokers.append(Broker(**given, port=server.getsockname()[1]))
            thread.start()
            return brokers[0]

        yield begin
        server.shutdown(socket.SHUT_RDWR)
        if thread.ident is not None:
            thread.join()


def attempt(broker: Broker, mechanism: str = "SCRAM-SHA-512", username: str = USER, password: str = PASSWORD) -> None:
    with socket.create_connection(("127.0.0.1", broker.port), 30) as connection:
        log_in(connection, mechanism, username, password)


@pytest.mark.parametrize("mechanism", ["SCRAM-SHA-512", "SCRAM-SHA-256", "PLAIN"])
def test_the_right_password_is_taken_and_another_refused(start: Start, mechanism: str) -> None:
    broker = start()
    attempt(broker, mechanism)
    assert broker.asked == [17, 36, *([] if mechanism == "PLAIN" else [36])]
    for username, password in ((USER, "of another test"), ("nobody", PASSWORD)):
        with pytest.raises(LoginRefused, match=f"refused user {username}: check SWITCHYARD_KAFKA_USERNAME and"):
            attempt(broker, mechanism, username, password)


def test_a_mechanism_that_the_broker_does_not_take_is_named_with_those_it_does(start: Start) -> None:
    broker = start(mechanisms=("PLAIN", "SCRAM-SHA-256"))
    with pytest.raises(LoginRefused, match="does not take SCRAM-SHA-512 but PLAIN, SCRAM-SHA-256: check SWITCHYARD_"):
        attempt(broker)


def test_a_listener_that_wants_no_password_is_said(start: Start) -> None:
    with pytest.raises(LoginRefused, match="asks nobody for a password there: check SWITCHYARD_KAFKA_SECURITY"):
        attempt(start(handshake=34))


@pytest.mark.parametrize(
    "given", [{"challenge": b"no challenge"}, {"challenge": b"r=x,s=eA==,i=many"}, {"hangs_up": True}]
)
def test_what_is_no_answer_of_a_broker_is_an_error_of_the_connection(start: Start, given: dict[str, Any]) -> None:
    with pytest.raises(OSError, match=r"broken challenge|closed"):
        attempt(start(**given))


def test_the_refusal_is_one_sentence_with_the_address_and_without_the_password(start: Start) -> None:
    broker = start()
    address = f"127.0.0.1:{broker.port}"
    connection = KafkaConnection(address, "SASL_PLAINTEXT", "SCRAM-SHA-512", USER, SecretStr(PASSWORD))
    connection.check()
    wrong = KafkaConnection(address, "SASL_PLAINTEXT", "SCRAM-SHA-512", USER, SecretStr("not-this-one"))
    with pytest.raises(KafkaRefused) as refusal:
        wrong.check()
    assert str(refusal.value).startswith(f"Kafka at {address} refused user {USER}")
    assert "not-this-one" not in str(refusal.value)


def test_a_broker_that_is_not_there_refuses_nobody() -> None:
    gone = KafkaConnection(f"127.0.0.1:{free_port()}", "SASL_PLAINTEXT", "PLAIN", USER, SecretStr(PASSWORD))
    gone.check()
