"""Every error Switchyard raises on purpose.

SwitchyardError
├── Rejected             one input that cannot be handled; becomes a dead letter
│   └── ContractViolation
├── AppError             an app's folder is wrong; lists every problem found
├── SettingsError        a setting is missing or wrong
│   ├── MissingKey, RemoteModelRefused     (core/model/access.py)
│   └── KafkaRefused                       (core/kafkaaccess.py)
├── ModelFailure         a model gave no answer that can be used (core/model/reply.py)
└── StackError, FlinkError, KafkaUnreachable, SqlError     of the outer packages
"""

from __future__ import annotations

from collections.abc import Sequence

from switchyard.core.app_problem import AppProblem


class SwitchyardError(Exception):
    """The root of the tree; its text is a sentence for the person at the keyboard."""


class Rejected(SwitchyardError):
    """One input that cannot be handled.

    `reason` is a code of ADR 1 (`not-json`, `unknown-type`, ...), `field` the path of the offending
    part ("" for the whole), `message` what it is and what was expected.
    """

    def __init__(self, reason: str, message: str, field: str = "") -> None:
        super().__init__(f"{reason}: {field + ': ' if field else ''}{message}")
        self.reason = reason
        self.message = message
        self.field = field


class ContractViolation(Rejected):
    """Data that breaks its contract."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__("contract-violation", message, field)


class AppError(SwitchyardError):
    """An app's folder is wrong. `problems` holds each thing to mend; a plain sentence is one that no file is to blame
    for."""

    def __init__(self, app: str, problems: Sequence[AppProblem | str]) -> None:
        self.app = app
        self.problems = [item if isinstance(item, AppProblem) else AppProblem(item, file="") for item in problems]
        super().__init__(f"app {app!r}: " + "; ".join(map(str, self.problems)))


class StateVersionError(SwitchyardError):
    """State whose form this release does not read."""

    def __init__(self, kind: str, version: object, current: int) -> None:
        super().__init__(
            f"the state of a {kind} has version {version}, and this release of Switchyard reads {current - 1} and "
            f"{current}; go on with the release that wrote it, or begin anew: `switchyard stop`, then submit"
        )


class SettingsError(SwitchyardError):
    """A setting is missing or wrong."""
