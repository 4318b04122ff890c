"""What an app does without an event: functions named under `background:`, each in a thread of a worker."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import Engine

from switchyard.core.smtp import MailServer
from switchyard.worker.database import unavailable

log = logging.getLogger("switchyard.worker")

PAUSE_S = 1.0


@dataclass(frozen=True)
class BackgroundContext:
    """What a background function is given, with a `threading.Event` that tells it to return.

    app: the app's name.
    namespace: the namespace that it runs in.
    database: the SQLAlchemy engine that all workers of the app share.
    mail_server: where mails are handed to; None where none is set, or no agent of the app has `sends: mail`.
    """

    app: str
    namespace: str
    database: Engine
    mail_server: MailServer | None = None


Background = Callable[[BackgroundContext, threading.Event], None]


class BackgroundThread(threading.Thread):
    """Runs the function until the worker stops; calls it again after an exception."""

    def __init__(self, name: str, function: Background, context: BackgroundContext, stop: threading.Event) -> None:
        super().__init__(name=f"background-{name}")
        self._function = function
        self._context = context
        self._stop_event = stop

    def run(self) -> None:
        while not self._stop_event.is_set():
            try:
                self._function(self._context, self._stop_event)
                return
            except BaseException as error:  # one failure of user code must not end what it does for all later events
                if not unavailable(error):
                    log.exception("%s failed and is started again", self.name)
                self._stop_event.wait(PAUSE_S)
