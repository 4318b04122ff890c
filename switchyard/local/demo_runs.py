"""Which demos run on a stack, and which have ended and left job and worker for people to look at."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from switchyard.core import data_folder
from switchyard.local.layout import Layout


@dataclass(frozen=True)
class DemoRuns:
    """One file for each demo, by its namespace. Its process holds a lock on it, which ends with the process."""

    layout: Layout

    @contextmanager
    def running(self, namespace: str) -> Iterator[None]:
        """While this is held, the demo is one of `active`; after it, one of `ended`."""
        data_folder.make(self.layout.home, self.layout.demos)
        unseen = self.layout.demos / f".{namespace}"
        with data_folder.private_files():
            lock = unseen.open("w")
        with lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            unseen.rename(self.layout.demos / namespace)
            yield

    def active(self) -> list[str]:
        """Namespaces of the demos whose process runs."""
        return [namespace for namespace in self._all() if self._locked(namespace)]

    def ended(self) -> list[str]:
        """Namespaces of the demos whose process has ended, and which nobody has cleared away."""
        return [namespace for namespace in self._all() if not self._locked(namespace)]

    def forget(self, namespace: str) -> None:
        """The demo's job and worker are gone."""
        (self.layout.demos / namespace).unlink(missing_ok=True)

    def _all(self) -> list[str]:
        return sorted(path.name for path in self.layout.demos.glob("[!.]*"))

    def _locked(self, namespace: str) -> bool:
        try:
            with (self.layout.demos / namespace).open() as file:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except FileNotFoundError:
            return False
        return False
