"""Which model the stack's processes call, and how they learn it: by inheritance, never through a file."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from urllib.parse import urlsplit, urlunsplit

from switchyard.core.settings import OFFLINE_MODEL
from switchyard.local.health import Health
from switchyard.local.layout import Layout
from switchyard.local.ports import LOOPBACK
from switchyard.local.program import Program

VARIABLES = ("OPENAI_BASE_URL", "OPENAI_API_KEY", "SWITCHYARD_MODEL")


def embedded_url(port: int) -> str:
    return f"http://{LOOPBACK}:{port}/v1"


def embedded(layout: Layout, port: int, delay_s: float) -> Program:
    """The model server that stands in when no endpoint is set."""
    command = [
        *(sys.executable, "-P", "-m", "switchyard.local.model_server", "--port", str(port)),
        *("--delay-s", str(delay_s), "--apps", str(layout.apps_file)),
    ]
    health = Health("http", f"http://{LOOPBACK}:{port}/health")
    return Program("model", command, port=port, health=health, priority=300)


def environment(caller: Mapping[str, str], base_url: str, is_embedded: bool) -> dict[str, str]:
    """The caller's environment with the model's variables as the processes must see them."""
    env = {**caller, "OPENAI_BASE_URL": base_url}
    if is_embedded:
        env.update(OPENAI_API_KEY=OFFLINE_MODEL, SWITCHYARD_MODEL=OFFLINE_MODEL)
    return env


def without_secrets(url: str) -> str:
    """The address without a name and password, for files and messages."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2], query=""))
