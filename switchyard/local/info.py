"""The addresses of a running stack, kept in one file so that every later command finds them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from switchyard.local.health import Health


@dataclass(frozen=True)
class ProgramRecord:
    """A program as `status` needs it; `spawned_before` counts starts of an earlier program of this name."""

    port: int | None
    health: Health
    log: str
    spawned_before: int = 0


@dataclass(frozen=True)
class StackInfo:
    """Where everything is. `flink` is the REST address; an external server has no folder and no port here.

    `started_by` is the id of the process that brought the stack up.
    """

    stack_id: str
    home: Path
    kafka: str
    flink: str
    model_base_url: str
    model_embedded: bool
    smtp_host: str
    smtp_port: int
    mail_folder: Path
    prometheus_ports: Mapping[str, int]
    flink_env: Mapping[str, str]
    apps: Mapping[str, str] = field(default_factory=dict)
    programs: Mapping[str, ProgramRecord] = field(default_factory=dict)
    started_by: int = 0

    def save(self, file: Path) -> None:
        unfinished = file.with_suffix(".tmp")
        unfinished.write_text(json.dumps(asdict(self), indent=2, default=str) + "\n", encoding="utf-8")
        unfinished.rename(file)

    @classmethod
    def load(cls, file: Path) -> StackInfo | None:
        try:
            raw: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        programs = {
            name: ProgramRecord(**{**record, "health": Health(**record["health"])})
            for name, record in raw.pop("programs").items()
        }
        home, mail = Path(raw.pop("home")), Path(raw.pop("mail_folder"))
        return cls(home=home, mail_folder=mail, programs=programs, **raw)
