"""What one run of a handler spends on the model."""

from __future__ import annotations

import threading
from typing import Any

from switchyard.core.model import AnswerCheck, ModelFailure, Reply, Usage
from switchyard.worker.thinking import HandlerModel


class UsageMeter:
    """A model that adds up the tokens of all that is asked through it, failed asks included."""

    def __init__(self, model: HandlerModel) -> None:
        self._model = model
        self._guard = threading.Lock()
        self.usage = Usage()

    def ask(
        self,
        messages: list[dict[str, str]],
        schema: dict[str, Any],
        *,
        name: str,
        purpose: str,
        check: AnswerCheck | None = None,
    ) -> Reply:
        """As the model's own. Raises ModelFailure."""
        try:
            reply = self._model.ask(messages, schema, name=name, purpose=purpose, check=check)
        except ModelFailure as failure:
            self._add(failure.usage)
            raise
        self._add(reply.usage)
        return reply

    def _add(self, usage: Usage) -> None:
        with self._guard:
            self.usage += usage
