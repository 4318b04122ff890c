"""One run of a handler, in a thread of its own: nobody has to wait until it ends."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from switchyard.core.model import Usage


@dataclass
class HandlerRun:
    """Calls `work` once. A thread cannot be ended from outside: where it goes on for ever, it is left behind.

    work: what to do; `returned` or `error` is what came of it, once the run has ended.
    late: called in the run's thread where it ends after it was left.
    spent: what it has spent on the model so far.
    """

    name: str
    work: Callable[[], Any]
    late: Callable[[HandlerRun], None]
    spent: Callable[[], Usage]
    returned: Any = None
    error: BaseException | None = None
    _charged: Usage = field(default_factory=Usage)
    _ended: threading.Event = field(default_factory=threading.Event)
    _left: bool = False

    def start(self) -> None:
        threading.Thread(target=self._run, name=self.name, daemon=True).start()

    def wait(self, seconds: float) -> bool:
        """Whether it has ended, after at most so many seconds."""
        return self._ended.wait(min(seconds, threading.TIMEOUT_MAX))

    def leave(self) -> bool:
        """Nobody waits any longer. False where it has ended just now."""
        self._left = True
        return self.hangs

    @property
    def hangs(self) -> bool:
        """Whether it goes on although it was left."""
        return self._left and not self._ended.is_set()

    @property
    def uncharged(self) -> Usage:
        """What it has spent, without what was charged before."""
        spent, before = self.spent(), self._charged
        return Usage(spent.prompt_tokens - before.prompt_tokens, spent.completion_tokens - before.completion_tokens)

    def charge(self, usage: Usage) -> None:
        """Somebody was told of this."""
        self._charged += usage

    def _run(self) -> None:
        try:
            self.returned = self.work()
        except BaseException as error:  # noqa: BLE001  # whatever user code raises is its own failure
            self.error = error
        self._ended.set()
        if self._left:
            self.late(self)
