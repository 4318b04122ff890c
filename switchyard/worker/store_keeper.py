"""Keeps a worker's leases, and forgets what its store has held for long enough."""

from __future__ import annotations

import logging
import threading
import time

from switchyard.core.retention import DONE_S
from switchyard.worker.database import unavailable
from switchyard.worker.effects import EffectStore

log = logging.getLogger("switchyard.worker")

RENEWAL_S = 2.0
PURGE_S = 3600.0


class StoreKeeper(threading.Thread):
    """Works until `close`."""

    def __init__(self, effects: EffectStore) -> None:
        super().__init__(name="store-keeper", daemon=True)
        self._effects = effects
        self._closed = threading.Event()

    def run(self) -> None:
        purge_at = 0.0
        while not self._closed.wait(RENEWAL_S):
            try:
                self._effects.leases.renew()
                # A batch at a time: no lease may run out meanwhile.
                if time.monotonic() >= purge_at and self._effects.purge(DONE_S):
                    purge_at = time.monotonic() + PURGE_S
            except Exception as error:  # noqa: BLE001  # without renewals every lease would run out
                if not unavailable(error):
                    log.warning("the store is not kept in order now (%s)", type(error).__name__)

    def close(self) -> None:
        """Call it when no handler runs any more."""
        self._closed.set()
        self.join()
