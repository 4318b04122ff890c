"""The apps whose workers the stack runs."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from switchyard.core.app import App, shipped
from switchyard.local.health import Health
from switchyard.local.ports import LOOPBACK
from switchyard.local.program import Program


@dataclass(frozen=True)
class ServedApp:
    """An app as its worker is told it, and the namespace its topics, groups and state live under."""

    argument: str
    namespace: str
    folder: Path

    @classmethod
    def find(cls, name_or_path: str | Path, namespace: str | None = None) -> ServedApp:
        """Raises AppError where there is no such app, or where it is wrong."""
        app = App.load(str(name_or_path))
        argument = str(name_or_path) if str(name_or_path) in shipped() else str(app.folder)
        return cls(argument, namespace or app.name, app.folder)

    @property
    def program(self) -> str:
        return f"worker-{self.namespace}"

    def worker(self, port: int, env: Mapping[str, str]) -> Program:
        command = [
            *(sys.executable, "-m", "switchyard.worker", self.argument),
            *("--namespace", self.namespace, "--health-port", str(port)),
        ]
        health = Health("http", f"http://{LOOPBACK}:{port}/health")
        return Program(self.program, command, env, port, health, priority=600)
