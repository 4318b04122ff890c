"""Ports on loopback: as set, as last time, or free ones."""

from __future__ import annotations

import random
import socket
from collections.abc import Iterable, Mapping

import psutil

from switchyard.local.errors import StackError

LOOPBACK = "127.0.0.1"
NAMES = (
    "kafka",
    "kafka-controller",
    "flink",
    "flink-rpc",
    "flink-blob",
    "flink-taskmanager-rpc",
    "flink-data",
    "jobmanager-metrics",
    "taskmanager-metrics",
    "model",
    "smtp",
)
# Below the range that outgoing connections take theirs from, so that a port is still free after a restart.
POOL = range(20000, 32000)


def is_free(port: int) -> bool:
    """Whether a server could listen on this port of every local address."""
    for host in (LOOPBACK, ""):
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
            except OSError:
                return False
    return True


def free_port(taken: Iterable[int] = ()) -> int:
    used = set(taken)
    for port in random.sample(POOL, 500):
        if port not in used and is_free(port):
            return port
    raise StackError("No free port was found between 20000 and 32000; close some servers and try again.")


def choose(wanted: Mapping[str, int], last: Mapping[str, int]) -> dict[str, int]:
    """One port for each name. A wished-for port that is taken is an error, last time's only a preference.

    What had its port last time keeps it, unless somebody wishes for that very port, or it is in use.
    """
    _check(wanted)
    kept = {
        name: port
        for name, port in last.items()
        if name in NAMES and name not in wanted and port not in wanted.values() and is_free(port)
    }
    chosen = {**kept, **wanted}
    for name in NAMES:
        if name not in chosen:
            chosen[name] = free_port([*chosen.values(), *last.values()])
    return {name: chosen[name] for name in NAMES}


def _check(wanted: Mapping[str, int]) -> None:
    """Raises StackError where a wished-for port cannot be had."""
    unknown = sorted(set(wanted) - set(NAMES))
    if unknown:
        raise StackError(f"No port is called {', '.join(unknown)}; the names are {', '.join(NAMES)}.")
    for name, port in wanted.items():
        others = [other for other in wanted if other != name and wanted[other] == port]
        if others:
            raise StackError(f"Port {port} is set for both {name} and {others[0]}; set another for one of them.")
        if not is_free(port):
            raise StackError(
                f"Port {port}, set for {name}, is in use{_holder(port)}. "
                "Stop what uses it, set another, or leave it out to get a free one."
            )


def _holder(port: int) -> str:
    try:
        for connection in psutil.net_connections(kind="tcp"):
            if connection.laddr and connection.laddr.port == port and connection.pid:
                return f" by {psutil.Process(connection.pid).name()} (process {connection.pid})"
    except psutil.Error:
        pass
    return ""
