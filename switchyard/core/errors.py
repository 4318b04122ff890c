"""The errors that an app meets, and the root of all others.

SwitchyardError                  the root; its text is a sentence for the person at the keyboard
├── AgentError                   raised by a handler: this event has no answer
├── Rejected                     one input that cannot be handled; becomes a dead letter
│   └── ContractViolation
├── AppError                     an app's folder is wrong; lists every problem found
├── SettingsError                a setting is missing or wrong
│   ├── MissingKey, RemoteModelRefused          core/model/access.py
│   └── KafkaRefused                            kafka/connection.py
├── ModelFailure                 no usable answer of a model; core/model/reply.py
├── StateVersionError            state whose form this release does not read
├── LedgerVersionError           a record of the ledger that another release wrote
├── KafkaUnreachable             kafka/admin.py
├── HandlersHang, StoreDiffers   worker/inbox.py
├── SqlError, UdfError           flink/sql_file.py, flink/udf_modules.py
├── FlinkError                   flink/rest.py
├── StackError                   local/errors.py
├── CaseError                    testing/cases.py
├── JobFailed                    testing/minicluster.py
├── JobStalled                   testing/runner.py
└── RetryRefused                 cli/retrying.py

An exception that is none of these never leaves the module, or the pair of modules, that raises it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from switchyard.core.app_problem import AppProblem

LONGEST_MESSAGE = 500
_REASON = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")


class SwitchyardError(Exception):
    """The root of the tree; its text is a sentence for the person at the keyboard."""


class AgentError(SwitchyardError):
    """Raised by a handler that has no answer to an event; the answer is then `agent.failed`.

    message: a sentence, which travels with that answer, cut after 500 characters. The text of any other exception that
        a handler raises stays in the worker's log.
    retryable: False where a further attempt of this agent would fail, too: there is none then.
    reason: a code of lower-case words joined by dashes, for rules and statistics.
    """

    def __init__(self, message: str, *, retryable: bool = True, reason: str = "handler-error") -> None:
        if not _REASON.fullmatch(reason) or len(reason) > 64:
            raise ValueError(f"an AgentError's reason is lower-case words joined by dashes, not {reason!r:.80}")
        text = str(message)
        self.message = text if len(text) <= LONGEST_MESSAGE else text[: LONGEST_MESSAGE - 1] + "…"
        super().__init__(f"{reason}: {self.message}")
        self.retryable = retryable
        self.reason = reason


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


def internal_error(error: Exception) -> Rejected:
    """What becomes of an input at which we fail: raised in Flink, it would end the job, which would read it again."""
    return Rejected("internal-error", f"{type(error).__name__}; the log of the TaskManager says where")


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

    def __init__(self, kind: str, version: object, oldest: int, current: int) -> None:
        reads = str(current) if oldest == current else f"{oldest} to {current}"
        super().__init__(
            f"the state of a {kind} has version {version}, and this release of Switchyard reads {reads}; "
            "go on with the release that wrote it, or begin anew: `switchyard stop`, then submit"
        )


class LedgerVersionError(SwitchyardError):
    """A record of the ledger that another release wrote, and that this one cannot read."""

    def __init__(self, what: str, reads: int) -> None:
        super().__init__(
            f"a record of the ledger has {what}, and this release of Switchyard reads version {reads}; "
            "go on with the release that wrote it, or a later one, or begin anew in another namespace"
        )


class SettingsError(SwitchyardError):
    """A setting is missing or wrong."""
