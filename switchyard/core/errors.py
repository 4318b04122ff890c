"""Every error Switchyard raises on purpose.

SwitchyardError
├── Rejected             one input that cannot be handled; becomes a dead letter
│   └── ContractViolation
├── AppError             an app's folder is wrong; lists every problem found
├── SettingsError        a setting is missing or wrong
│   ├── MissingKey, RemoteModelRefused     (core/model/access.py)
│   └── KafkaRefused                       (core/kafkaaccess.py)
├── ModelFailure         a model gave no answer that can be used (core/model/reply.py)
└── StackError, FlinkError, KafkaUnreachable, SqlError, UdfError     of the outer packages
"""

from __future__ import annotations

from collections.abc import Sequence


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
    """An app's folder is wrong. `problems` holds one sentence for each thing to mend."""

    def __init__(self, app: str, problems: Sequence[str]) -> None:
        super().__init__(f"app {app!r}: " + "; ".join(problems))
        self.app = app
        self.problems = list(problems)


class SettingsError(SwitchyardError):
    """A setting is missing or wrong."""
