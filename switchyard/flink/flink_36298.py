"""Work-around for FLINK-36298: planning fails with `NullPointerException: metadataHandlerProvider`, now and then.

Flink's planner keeps what it needs in a variable of the JVM's thread that made the table environment. Each connection
of py4j has a thread of the JVM, and all threads of Python share the connections: one that only drops an object of
Java's, as the garbage collector may make any do, can leave the planning thread with another's connection. Here
each thread of Python keeps its own.
Take it out when AFFECTED names no version of apache-flink that we support: tests/flink/test_flink_36298.py tells.
"""

from __future__ import annotations

import threading
from collections import deque

from py4j.java_gateway import GatewayConnection, JavaGateway
from pyflink.version import __version__

AFFECTED = ("2.3.0",)


class _OwnConnections(threading.local):
    """py4j's stack of idle connections, one for each thread."""

    def __init__(self) -> None:
        self._idle: deque[GatewayConnection] = deque()

    def append(self, connection: GatewayConnection) -> None:
        self._idle.append(connection)

    def pop(self) -> GatewayConnection:
        return self._idle.pop()

    def __len__(self) -> int:
        return len(self._idle)


def apply(gateway: JavaGateway) -> None:
    """Before anything of a table environment is made; a second time changes nothing."""
    client = gateway._gateway_client
    if __version__ in AFFECTED and not isinstance(client.deque, _OwnConnections):
        client.deque = _OwnConnections()
