"""Switchyard: AI agents on the Kafka and Flink you already trust.

What is in `__all__` is the public face, beside `switchyard.testing`; everything else may change at any release.
Names are imported when they are first used, so that `import switchyard` costs next to nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from switchyard.core.agents_file import MemoryLimits
    from switchyard.core.app import App
    from switchyard.core.erasure import Erasure
    from switchyard.core.errors import AgentError, SwitchyardError
    from switchyard.core.event import Event
    from switchyard.core.model.reply import ModelFailure
    from switchyard.core.routing.consensus import AgentAnswer, Consensus, ConsensusPolicy, Vote
    from switchyard.core.routing.router import Router
    from switchyard.core.routing.verdict import RoutingContext, Verdict
    from switchyard.core.smtp import MailServer
    from switchyard.worker.background import BackgroundContext
    from switchyard.worker.memory.backend import AgentMemory, MemoryBackend, MemoryContext, Recollection, StoredMemory
    from switchyard.worker.task import Answer, Task

__version__ = "0.1.0"

__all__ = [
    "AgentAnswer",
    "AgentError",
    "AgentMemory",
    "Answer",
    "App",
    "BackgroundContext",
    "Consensus",
    "ConsensusPolicy",
    "Erasure",
    "Event",
    "MailServer",
    "MemoryBackend",
    "MemoryContext",
    "MemoryLimits",
    "ModelFailure",
    "Recollection",
    "Router",
    "RoutingContext",
    "StoredMemory",
    "SwitchyardError",
    "Task",
    "Verdict",
    "Vote",
]

_MODULES = {
    "AgentAnswer": "switchyard.core.routing.consensus",
    "AgentError": "switchyard.core.errors",
    "AgentMemory": "switchyard.worker.memory.backend",
    "Answer": "switchyard.worker.task",
    "App": "switchyard.core.app",
    "BackgroundContext": "switchyard.worker.background",
    "Consensus": "switchyard.core.routing.consensus",
    "ConsensusPolicy": "switchyard.core.routing.consensus",
    "Erasure": "switchyard.core.erasure",
    "Event": "switchyard.core.event",
    "MailServer": "switchyard.core.smtp",
    "MemoryBackend": "switchyard.worker.memory.backend",
    "MemoryContext": "switchyard.worker.memory.backend",
    "MemoryLimits": "switchyard.core.agents_file",
    "ModelFailure": "switchyard.core.model.reply",
    "Recollection": "switchyard.worker.memory.backend",
    "Router": "switchyard.core.routing.router",
    "RoutingContext": "switchyard.core.routing.verdict",
    "StoredMemory": "switchyard.worker.memory.backend",
    "SwitchyardError": "switchyard.core.errors",
    "Task": "switchyard.worker.task",
    "Verdict": "switchyard.core.routing.verdict",
    "Vote": "switchyard.core.routing.consensus",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(_MODULES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
