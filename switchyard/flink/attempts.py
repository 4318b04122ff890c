"""Ends what an attempt of a job has left running in this process.

In thread mode Flink calls a process function's `close` where its input ends, and nowhere else: of a job that is
cancelled, stopped or fails the threads and clients would stay. So the next attempt at the same place ends them:
tests/flink/test_modes.py.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from typing import Any

log = logging.getLogger(__name__)

_open: dict[str, Callable[[], None]] = vars(sys).setdefault("_switchyard_attempts", {})
"""How to end what runs at each place; not this module's, for the code of another release looks there, too."""


def place(namespace: str, context: Any) -> str:
    """Where a subtask of a namespace's job runs; what PyFlink has for its number calls what Flink 2 has no more."""
    embedded = getattr(context, "_runtime_context", None)
    if embedded is None:
        return f"{namespace}/{context.get_index_of_this_subtask()}"
    return f"{namespace}/{embedded.getTaskInfo().getIndexOfThisSubtask()}"


def begin(place: str, end: Callable[[], None]) -> None:
    """End what is left at a place, a subtask of a namespace's job, before something new runs there."""
    left = _open.pop(place, None)
    if left is not None:
        try:
            left()
        except Exception:
            log.exception("what the attempt before has left at %s could not be ended", place)
    _open[place] = end


def ended(place: str, end: Callable[[], None]) -> None:
    """It was ended as it should."""
    if _open.get(place) == end:
        del _open[place]
