"""A process that runs Flink's Python functions itself: what their workers take over."""

from __future__ import annotations

import logging
import os
import threading


class ProcessState:
    """A local run of Python functions takes over this process when its workers start: its root logger, and its
    environment, with which no process that it starts could start a JVM. This gives both back.
    """

    def __init__(self) -> None:
        self._handlers, self._level = logging.getLogger().handlers[:], logging.getLogger().level
        self._environment = dict(os.environ)

    def restore_logger(self) -> None:
        root = logging.getLogger()
        theirs = [item for item in root.handlers if type(item).__name__ == "FnApiLogRecordHandler"]
        if theirs:
            mine = [item for item in root.handlers if item not in theirs]
            root.handlers[:] = mine + [item for item in self._handlers if item not in mine]
        root.setLevel(self._level)

    def restore(self) -> None:
        """Once the run is over, which reads the environment it has set."""
        self.restore_logger()
        for name in os.environ.keys() - self._environment.keys():
            del os.environ[name]
        os.environ.update(self._environment)


def hush_ended_channels() -> None:
    """A cancelled job hangs up on its Python functions, which Beam tells with two traces; they say nothing."""
    logging.getLogger("apache_beam.runners.worker.data_plane").setLevel(logging.CRITICAL)
    previous_hook = threading.excepthook
    if getattr(previous_hook, "hushed", False):
        return

    def tell(failed: threading.ExceptHookArgs) -> None:
        if failed.thread is None or not failed.thread.name.startswith("read_grpc_client_inputs"):
            previous_hook(failed)

    tell.hushed = True  # type: ignore[attr-defined]
    threading.excepthook = tell
