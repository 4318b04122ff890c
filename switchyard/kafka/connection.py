"""How to reach Kafka: one set of settings, as kafka-python takes it and as Flink's Kafka connector does.

The password is in what kafka-python is given, and nowhere else: Flink's tables name the variable that holds it, and the
connector reads that where it connects, on the JobManager and on the TaskManagers.
"""

from __future__ import annotations

import re
import socket
import ssl
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from switchyard.core.errors import SettingsError
from switchyard.core.settings import Mechanism, Security, Settings
from switchyard.kafka.login import LoginRefused, log_in

PASSWORD = "SWITCHYARD_KAFKA_PASSWORD"  # noqa: S105  # the variable's name
VARIABLES = (*(f"SWITCHYARD_KAFKA_{name}" for name in ("SECURITY", "MECHANISM", "USERNAME", "CA")), PASSWORD)

# The connector's jar holds Kafka's client under names of its own.
_SHADED = "org.apache.flink.kafka.shaded.org.apache.kafka.common"
_ENVIRONMENT = f"{_SHADED}.config.provider.EnvVarConfigProvider"
_CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.S)
_PROBE_S = 5.0


class KafkaRefused(SettingsError):
    """Kafka is there, and does not take these settings; trying again will not help."""


@dataclass(frozen=True)
class KafkaConnection:
    """Bootstrap servers, and how to be let in. `address` is `host:port`, several with commas between."""

    address: str
    security: Security = "PLAINTEXT"
    mechanism: Mechanism = "SCRAM-SHA-512"
    username: str | None = None
    password: SecretStr | None = field(default=None, repr=False)
    ca: Path | None = None

    @classmethod
    def of(cls, settings: Settings, address: str) -> KafkaConnection:
        return cls(
            address,
            settings.kafka_security,
            settings.kafka_mechanism,
            settings.kafka_username,
            settings.kafka_password,
            settings.kafka_ca,
        )

    def client(self) -> dict[str, Any]:
        """Options of any kafka-python client. Raises SettingsError where password or CA cannot be had."""
        options: dict[str, Any] = {
            "bootstrap_servers": self.address.split(","),
            "security_protocol": self.security,
        }
        if self._sasl:
            if self.password is None or not self.password.get_secret_value():
                raise SettingsError(f"{PASSWORD} is not set; {self.security} needs the password of {self.username}")
            options |= {
                "sasl_mechanism": self.mechanism,
                "sasl_plain_username": self.username,
                "sasl_plain_password": self.password.get_secret_value(),
            }
        if self._tls:
            options["ssl_context"] = self._trust()
        return options

    def connector(self) -> dict[str, str]:
        """Options of a table of Flink's Kafka connector, without the password. Raises SettingsError for a CA file.

        The CA goes along as text, so that no other machine needs the file.
        """
        options = {"bootstrap.servers": self.address}
        if self.security != "PLAINTEXT":
            options["security.protocol"] = self.security
        if self._sasl:
            module = "plain.PlainLoginModule" if self.mechanism == "PLAIN" else "scram.ScramLoginModule"
            options |= {
                "sasl.mechanism": self.mechanism,
                "sasl.jaas.config": f"{_SHADED}.security.{module} required "
                f'username="{self.username}" password="${{env:{PASSWORD}}}";',
                "config.providers": "env",
                "config.providers.env.class": _ENVIRONMENT,
                "config.providers.env.param.allowlist.pattern": PASSWORD,
            }
        if self.ca is not None:
            options |= {"ssl.truststore.type": "PEM", "ssl.truststore.certificates": _certificates(self.ca)}
        return {f"properties.{name}": value for name, value in options.items()}

    def check(self) -> None:
        """Raises KafkaRefused where a server cannot be trusted, or does not take this login.

        A server that does not answer raises nothing. A client of Kafka's would try all of this again and again.
        """
        if self.security == "PLAINTEXT":
            return
        options = self.client()
        for server in self.address.split(","):
            host, port = _host_port(server)
            try:
                with ExitStack() as open_ones:
                    connection = open_ones.enter_context(socket.create_connection((host, port), _PROBE_S))
                    if self._tls:
                        tls: ssl.SSLContext = options["ssl_context"]
                        connection = open_ones.enter_context(tls.wrap_socket(connection, server_hostname=host))
                    if self._sasl:
                        log_in(connection, self.mechanism, self.username or "", options["sasl_plain_password"])
                    return
            except LoginRefused as refusal:
                raise KafkaRefused(f"Kafka at {server} {refusal}") from None
            except ssl.SSLCertVerificationError as error:
                raise KafkaRefused(
                    f"Kafka at {server} cannot be trusted ({error.verify_message.rstrip('.')}): check "
                    "SWITCHYARD_KAFKA_CA, and that the server's certificate names this host"
                ) from None
            except OSError:
                continue

    def listening(self) -> str | None:
        """The first server that takes connections, whatever it speaks; None where none does."""
        for server in self.address.split(","):
            try:
                socket.create_connection(_host_port(server), _PROBE_S).close()
            except OSError:
                continue
            return server
        return None

    def unreachable_reason(self) -> str:
        """Why no broker answered, as far as can be known."""
        server = self.listening()
        if server is None:
            return f"no Kafka broker answers at {self.address}"
        return (
            f"what listens at {server} does not answer as Kafka over {self.security}: check SWITCHYARD_KAFKA_SECURITY"
        )

    @property
    def _sasl(self) -> bool:
        return self.security.startswith("SASL_")

    @property
    def _tls(self) -> bool:
        return self.security.endswith("SSL")

    def _trust(self) -> ssl.SSLContext:
        """Certificates and host names are verified: by the CA, or by the system's CAs where none is set."""
        if self.ca is None:
            return ssl.create_default_context()
        try:
            return ssl.create_default_context(cadata=_certificates(self.ca))
        except ssl.SSLError:
            raise SettingsError(f"SWITCHYARD_KAFKA_CA: {self.ca} holds a broken certificate") from None


def _certificates(file: Path) -> str:
    """The certificates of a PEM file, without what stands between them. Raises SettingsError."""
    try:
        certificates = _CERTIFICATE.findall(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(f"SWITCHYARD_KAFKA_CA: {file} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        certificates = []
    if not certificates:
        raise SettingsError(f"SWITCHYARD_KAFKA_CA: {file} holds no certificate in PEM form")
    return "\n".join(certificates) + "\n"


def _host_port(server: str) -> tuple[str, int]:
    """Raises SettingsError where an address is none."""
    host, _, port = server.strip().rpartition(":")
    if not host or not port.isdecimal():
        raise SettingsError(f"{server!r} is no address of a Kafka broker; write HOST:PORT")
    return host.strip("[]"), int(port)
