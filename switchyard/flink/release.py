"""Which release of our own code a job is of, and that a TaskManager runs no other.

Where Python runs in the TaskManager (thread mode), modules stay loaded from one job to the next: a job that is
submitted after an upgrade would run the code of before. So what a job carries says of which code it is, and is
unpacked only where that code is loaded; it is loaded anew where another one is.
"""

from __future__ import annotations

import hashlib
import importlib
import pickle
import sys
import threading
from pathlib import Path
from typing import Any

import cloudpickle

PARTS = ("__init__.py", "environment.py", "core", "flink")
"""What of our package runs inside Flink."""


def code_version(package: Path) -> str:
    """Hash of the code inside Flink, as its files are now."""
    digest = hashlib.sha256()
    for part in PARTS:
        place = package / part
        for path in sorted(place.rglob("*.py")) if place.is_dir() else [place]:
            digest.update(path.relative_to(package).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:12]


VERSION = code_version(Path(__file__).resolve().parents[1])
"""Of the code that this process has loaded."""


class OfOneRelease:
    """An object that travels in a job, and is unpacked only by the code that packed it."""

    def __reduce__(self) -> tuple[Any, ...]:
        return unpack, (VERSION, cloudpickle.dumps((type(self), vars(self))))


def unpack(version: str, packed: bytes) -> Any:
    """The object, once the code of this version is loaded. Raises RuntimeError where that is not to be had.

    It travels in the job itself, by value, for the module that it is of may be the one of another release.
    """
    # All operators of a job are made at once, on threads of their own.
    with vars(sys).setdefault("_switchyard_release", threading.RLock()):
        name = "switchyard.flink.release"
        if getattr(sys.modules.get(name), "VERSION", None) != version:
            for module in [item for item in sys.modules if item.partition(".")[0] == "switchyard"]:
                del sys.modules[module]
            importlib.invalidate_caches()
            try:
                there = importlib.import_module(name).VERSION
            except ImportError:
                there = "of an earlier release"
            if there != version:
                raise RuntimeError(
                    f"Flink's Python has the code {there} of Switchyard and the job is of {version}; install the same "
                    "release on both sides, restart the TaskManagers, and submit again"
                )
        kind, values = pickle.loads(packed)  # noqa: S301 - a job's own
        unpacked = kind.__new__(kind)
        vars(unpacked).update(values)
        return unpacked


cloudpickle.register_pickle_by_value(sys.modules[__name__])
