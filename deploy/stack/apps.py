"""The apps whose workers the stack runs."""

from __future__ import annotations

import importlib.util
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from deploy.stack.errors import StackError
from deploy.stack.health import Health
from deploy.stack.ports import LOOPBACK
from deploy.stack.program import Program


@dataclass(frozen=True)
class App:
    """An app's folder and the namespace its topics, groups and state live under."""

    namespace: str
    folder: Path

    @classmethod
    def find(cls, name: str | Path, namespace: str | None = None) -> App:
        """By the name of a bundled app, or by the path of a folder anywhere."""
        folder = Path(name)
        if not (folder / "agents.yaml").is_file():
            folder = bundled() / str(name)
        if not folder.is_dir():
            raise StackError(f"No app {str(name)!r}: neither a folder with an agents.yaml nor a bundled app.")
        return cls(namespace or re.sub(r"[^a-zA-Z0-9._-]+", "-", folder.resolve().name), folder.resolve())

    @property
    def program(self) -> str:
        return f"worker-{self.namespace}"

    def worker(self, port: int, env: Mapping[str, str]) -> Program:
        command = [
            *(sys.executable, "-m", "agent_endpoints.run", str(self.folder)),
            *("--namespace", self.namespace, "--health-port", str(port)),
        ]
        health = Health("http", f"http://{LOOPBACK}:{port}/health")
        return Program(self.program, command, env, port, health, priority=600)


def bundled() -> Path:
    spec = importlib.util.find_spec("agent_endpoints")
    if spec is None or not spec.submodule_search_locations:
        raise StackError("The package agent_endpoints is not installed in this Python; run `make setup`.")
    return Path(spec.submodule_search_locations[0])
