"""A broker with a listener that speaks SASL_SSL and an authorizer, beside the plain one that its users are made over.

Its first users may do everything.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import trustme
from cryptography.hazmat.primitives import serialization
from kafka import KafkaAdminClient
from kafka.admin import ScramMechanism, UserScramCredentialUpsertion
from pydantic import SecretStr

from switchyard.kafka.connection import KafkaConnection
from switchyard.local import broker
from switchyard.local.layout import Layout
from switchyard.local.ports import free_port

USER = "o'switchyard"
MECHANISM = "SCRAM-SHA-512"
PLAIN_USER, PLAIN_PASSWORD = "$plain", "of PLAIN"


@dataclass(frozen=True)
class Secured:
    """`address` is the secured listener's, `plain` the other's; `home` holds all that the broker writes."""

    address: str
    plain: str
    ca: Path
    home: Path

    @property
    def environment(self) -> dict[str, str]:
        """All settings but the password."""
        return {
            "SWITCHYARD_KAFKA": self.address,
            "SWITCHYARD_KAFKA_SECURITY": "SASL_SSL",
            "SWITCHYARD_KAFKA_MECHANISM": MECHANISM,
            "SWITCHYARD_KAFKA_USERNAME": USER,
            "SWITCHYARD_KAFKA_CA": str(self.ca),
        }

    def access(self, password: str, user: str = USER) -> KafkaConnection:
        return KafkaConnection(self.address, "SASL_SSL", MECHANISM, user, SecretStr(password), self.ca)

    def add_users(self, password: str, *names: str) -> None:
        """Users who may do nothing yet."""
        admin = KafkaAdminClient(bootstrap_servers=self.plain)
        users = [UserScramCredentialUpsertion(name, ScramMechanism.SCRAM_SHA_512, password) for name in names]
        assert admin.alter_user_scram_credentials(users) == dict.fromkeys(names)
        admin.close()


@contextmanager
def secured_broker(folder: Path, password: str) -> Iterator[Secured]:
    layout = Layout(folder / "broker")
    layout.make()
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    ports = {"kafka": free_port(), "kafka-controller": free_port()}
    program = broker.prepare(layout, ports)
    secured = f"127.0.0.1:{free_port(list(ports.values()))}"
    plain = f"127.0.0.1:{ports['kafka']}"
    settings = broker.server_properties(layout, ports)
    more = {
        "listeners": f"{settings['listeners']},SECURED://{secured}",
        "advertised.listeners": f"{settings['advertised.listeners']},SECURED://{secured}",
        "listener.security.protocol.map": f"{settings['listener.security.protocol.map']},SECURED:SASL_SSL",
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users": f"User:ANONYMOUS;User:{USER};User:{PLAIN_USER}",
        "listener.name.secured.ssl.keystore.type": "PEM",
        "listener.name.secured.ssl.keystore.location": str(_keystore(folder / "server.pem", authority)),
        "listener.name.secured.sasl.enabled.mechanisms": f"{MECHANISM},PLAIN",
        "listener.name.secured.plain.sasl.jaas.config": (
            f'org.apache.kafka.common.security.plain.PlainLoginModule required user_{PLAIN_USER}="{PLAIN_PASSWORD}";'
        ),
        "listener.name.secured.scram-sha-512.sasl.jaas.config": (
            "org.apache.kafka.common.security.scram.ScramLoginModule required;"
        ),
    }
    with (layout.kafka / "server.properties").open("a", encoding="utf-8") as properties:
        properties.writelines(f"{name}={value}\n" for name, value in more.items())
    with (folder / "broker.out").open("wb") as out:
        process = subprocess.Popen(program.command, stdout=out, stderr=out, stdin=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 60
        while (problem := program.health.problem()) is not None:
            assert time.monotonic() < deadline, problem
            time.sleep(0.1)
        broker_of_test = Secured(secured, plain, folder / "ca.pem", folder)
        broker_of_test.add_users(password, USER)
        yield broker_of_test
    finally:
        process.terminate()
        process.wait(60)


def _keystore(file: Path, authority: trustme.CA) -> Path:
    """A certificate for 127.0.0.1 with its key, which Kafka takes as PKCS #8 alone."""
    issued = authority.issue_cert("127.0.0.1")
    key = serialization.load_pem_private_key(issued.private_key_pem.bytes(), None)
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    file.write_bytes(key.private_bytes(*form) + b"".join(blob.bytes() for blob in issued.cert_chain_pems))
    return file
