"""Whether a server answers in its own protocol."""

from __future__ import annotations

import functools
import logging
import socket
from dataclasses import dataclass
from typing import Any, Literal

import httpx2
from kafka import KafkaAdminClient
from kafka.errors import KafkaError

from switchyard.kafka.connection import KafkaConnection

Kind = Literal["kafka", "flink", "taskmanager", "http", "smtp", "none"]


@dataclass(frozen=True)
class Health:
    """How to ask: by protocol, at `host:port` (kafka, smtp) or at a URL (flink, taskmanager, http).

    `listens` is a `host:port` that the process itself must hold open, where another answers for it.
    """

    kind: Kind
    address: str = ""
    listens: str = ""

    def problem(self, timeout_s: float = 2.0) -> str | None:
        """What is wrong, or None when the server is healthy."""
        try:
            if self.listens:
                host, _, port = self.listens.rpartition(":")
                socket.create_connection((host, int(port)), timeout_s).close()
            return _CHECKS[self.kind](self.address, timeout_s)
        except (OSError, ValueError, KafkaError, httpx2.HTTPError, httpx2.InvalidURL) as error:
            return f"no answer at {self.address} ({type(error).__name__})"


def _kafka(address: str, timeout_s: float) -> str | None:
    """The local stack's own broker, which is on loopback and asks nobody for a name."""
    host, _, port = address.split(",")[0].rpartition(":")
    socket.create_connection((host, int(port)), timeout_s).close()
    logging.getLogger("kafka").setLevel(logging.CRITICAL)
    admin = KafkaAdminClient(**KafkaConnection(address).client(), request_timeout_ms=int(timeout_s * 1000))
    try:
        return None if admin.describe_cluster()["brokers"] else f"{address} names no broker"
    finally:
        admin.close()


def _flink(address: str, timeout_s: float) -> str | None:
    _get_json(f"{address}/overview", timeout_s)
    return None


def _taskmanager(address: str, timeout_s: float) -> str | None:
    overview = _get_json(f"{address}/overview", timeout_s)
    if overview["taskmanagers"] < 1 or overview["slots-total"] < 1:
        return "not registered with the JobManager"
    return None


def _http(address: str, timeout_s: float) -> str | None:
    """A server that says with status 503 what its `problem` is, is quoted."""
    answer = _client().get(address, timeout=timeout_s)
    return None if answer.status_code == 200 else _quoted(answer) or f"{address} answers {answer.status_code}"


def _quoted(answer: httpx2.Response) -> str | None:
    try:
        return str(answer.json()["problem"])
    except (ValueError, KeyError, TypeError):
        return None


def _smtp(address: str, timeout_s: float) -> str | None:
    host, _, port = address.rpartition(":")
    with socket.create_connection((host, int(port)), timeout_s) as connection:
        banner = connection.recv(512)
        connection.sendall(b"QUIT\r\n")
    return None if banner.startswith(b"220") else f"{address} is not a mail server"


def _none(address: str, timeout_s: float) -> str | None:
    return None


def _get_json(url: str, timeout_s: float) -> Any:
    return _client().get(url, timeout=timeout_s).raise_for_status().json()


@functools.cache
def _client() -> httpx2.Client:
    """No proxy of the environment stands before a server of the stack, and no connection outlives its answer."""
    return httpx2.Client(trust_env=False, follow_redirects=True, limits=httpx2.Limits(max_keepalive_connections=0))


_CHECKS = {
    "kafka": _kafka,
    "flink": _flink,
    "taskmanager": _taskmanager,
    "http": _http,
    "smtp": _smtp,
    "none": _none,
}
