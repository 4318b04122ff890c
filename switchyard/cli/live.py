"""What a demo shows while it runs, and at its end."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from switchyard.cli.observe import Observed
from switchyard.cli.reading import has_ended
from switchyard.core.ledger.record import Decision
from switchyard.local.info import StackInfo

ROWS = 15
EVERY_S = 3.0


class Screen:
    """A live table where the output is a terminal, a line every few seconds where it is not.

    `quiet` keeps standard output for the summary: everything else goes to standard error.
    """

    def __init__(self, quiet: bool) -> None:
        self._console = Console(stderr=quiet, highlight=False)
        self._rows: deque[Decision] = deque(maxlen=ROWS)
        self._live: Live | None = None
        self._said = 0.0
        self._note = ""
        self.figures: dict[str, Any] = {}

    def say(self, line: str) -> None:
        self._console.print(line, markup=False)

    @contextmanager
    def live(self) -> Iterator[None]:
        if not self._console.is_terminal:
            yield
            return
        with Live(console=self._console, refresh_per_second=8, transient=True) as self._live:
            yield
        self._live = None

    def show(self, observed: Observed, new: list[Decision]) -> None:
        """What there is now; `new` decisions enter the table."""
        self._rows.extend(new)
        ended = sum(has_ended(item) for item in observed.workflows.values())
        line = f"{ended} of {len(observed.workflows)} workflows ended, {len(observed.decisions)} decisions"
        line += f", {len(observed.dead_letters)} dead letters{self._note}"
        if self._live is not None:
            self._live.update(Group(_table(self._rows), Text(line)))
        elif time.monotonic() - self._said > EVERY_S:
            self._said = time.monotonic()
            self.say(line)

    def waiting(self, left: int) -> None:
        """All workflows have ended; something is left to be sent."""
        self._note = f"; {left} mails are still to be sent"

    def finish(self, figures: dict[str, Any], observed: Observed, info: StackInfo, job_url: str) -> None:
        """The summary, one whole trace, and where to look next."""
        self.figures = figures
        table = Table(show_header=False, box=None)
        for name, value in figures.items():
            shown = ", ".join(f"{n} {k}" for k, n in value.items()) if isinstance(value, dict) else str(value)
            table.add_row(name.replace("_", " "), shown)
        self._console.print(table)
        longest = max(
            observed.workflows.values(), key=lambda item: (item["dispatches"], item["workflow_id"]), default=None
        )
        if longest is not None:
            self._trace(observed, longest)
        self.say(f"Flink: {job_url}")
        self.say(f"Mails: {info.mail_folder}   Logs: {info.home / 'log'}")

    def _trace(self, observed: Observed, summary: dict[str, Any]) -> None:
        from switchyard.cli.rendering import render_trace

        records = [record for record in observed.records if record.workflow_id == summary["workflow_id"]]
        self._console.print(render_trace(records, summary))


def _table(rows: deque[Decision]) -> Table:
    table = Table(title="Decisions", title_justify="left")
    for name in ("workflow", "step", "agent", "decided by", "time"):
        table.add_column(name, justify="right" if name in ("step", "time") else "left")
    for decision in rows:
        agents = ", ".join(decision.agents) or decision.action
        latency = f"{decision.latency_ms:.0f} ms" if decision.model_calls else "-"
        table.add_row(decision.workflow_id, str(decision.step), agents, decision.decided_by, latency)
    return table
