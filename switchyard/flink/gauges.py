"""Numbers of an operator as Flink's gauges.

In thread mode PyFlink's own gauges end the TaskManager (SIGSEGV in `take_gil`): Flink asks them in Python once more
when the job has ended, and its interpreter with it. So there Flink holds the numbers itself and is told them:
tests/e2e/test_exposure.py.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from pyflink.datastream import RuntimeContext

from switchyard.flink.keyed_map import embedded

EVERY_MS = 1_000


class Gauges:
    """By name, what answers the number now."""

    def __init__(self, context: RuntimeContext, numbers: Mapping[str, Callable[[], int]]) -> None:
        group = context.get_metrics_group()
        self._held: list[tuple[Any, Callable[[], int]]] = []
        self._told_at = 0
        for name, number in numbers.items():
            if embedded(context):
                # PyFlink's name for a gauge that keeps the number it was told last.
                self._held.append((group.distribution(name), number))
            else:
                group.gauge(name, number)
        self.tell(int(time.time() * 1000))

    def tell(self, now: int) -> int | None:
        """Tell Flink the numbers, at most once a second; answers when to come again, where that was too early.

        Times are milliseconds since 1970. Nothing is to be told where Flink asks.
        """
        if not self._held:
            return None
        if now < self._told_at + EVERY_MS:
            return self._told_at + EVERY_MS
        self._told_at = now
        for held, number in self._held:
            held.update(number())
        return None
