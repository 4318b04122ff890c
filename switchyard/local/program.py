"""One process of the stack."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from switchyard.local.errors import StackError
from switchyard.local.health import Health

_SECRET_WORDS = ("KEY", "TOKEN", "SECRET", "PASSWORD")


@dataclass(frozen=True)
class Program:
    """How to start one process and how to ask whether it is healthy.

    `env` is written to a file: secrets reach a process by inheritance from the environment of `up` alone.
    """

    name: str
    command: Sequence[str]
    env: Mapping[str, str] = field(default_factory=dict)
    port: int | None = None
    health: Health = Health("none")  # noqa: RUF009  # Health is frozen
    log_suffix: str = "log"
    priority: int = 500

    def __post_init__(self) -> None:
        for variable in self.env:
            if may_be_secret(variable):
                raise StackError(
                    f"{variable} may be a secret and would be written to a file; "
                    "set it in the environment of `switchyard up` instead."
                )


def may_be_secret(variable: str) -> bool:
    """Whether an environment variable of this name may not be written to a file."""
    return any(word in variable.upper().split("_") for word in _SECRET_WORDS)
