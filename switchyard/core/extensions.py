"""The Python of an app that runs inside Flink: its router, and its policies of consensus."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from switchyard.core.app_code import AppCode

if TYPE_CHECKING:
    from pathlib import Path

    from switchyard.core.agents_file import AgentsFile


@dataclass(frozen=True)
class Extensions:
    """`router` is a `Router`, or None; `policies` hold a `ConsensusPolicy` by the event type that opens a gather."""

    router: Callable[..., Any] | None = None
    policies: Mapping[str, Callable[..., Any]] = field(default_factory=dict)

    @classmethod
    def load(cls, file: AgentsFile, folder: Path) -> Extensions:
        """What `agents.yaml` names. Raises AppError where it is not there, or cannot be imported."""
        own = [(number, item) for number, item in enumerate(file.gathers) if item.own_policy]
        if file.router is None and not own:
            return cls()
        code = AppCode(folder)
        router = None if file.router is None else code.checked(file.router, ("router",))
        policies = {item.on: code.checked(item.policy, ("gathers", number, "policy")) for number, item in own}
        return cls(router, policies)
