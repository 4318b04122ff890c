"""What a demo shows while it runs, and at its end."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Group
from rich.live import Live
from rich.progress import Progress, SpinnerColumn, TextColumn
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from switchyard import terminal
from switchyard.cli import formatting
from switchyard.cli.observe import Observed
from switchyard.cli.reading import has_ended
from switchyard.core.ledger.record import Decision
from switchyard.local.info import StackInfo

ROWS = 15
EVERY_S = 3.0
SPINNER = "dots"


class Screen:
    """A live table where the output is a terminal, a line every few seconds where it is not.

    `quiet` keeps standard output for the summary: everything else goes to standard error.
    """

    def __init__(self, quiet: bool) -> None:
        self._console = terminal.console(stderr=quiet)
        self._rows: deque[Decision] = deque(maxlen=ROWS)
        self._live: Live | None = None
        self._said_at = 0.0
        self._note = ""
        self._begun = time.monotonic()
        self.figures: dict[str, Any] = {}

    def say(self, line: str) -> None:
        self._console.print(line)

    @contextmanager
    def step(self, what: str) -> Iterator[None]:
        """Show what goes on, with the seconds it has taken so far, until it is done."""
        if not self._console.is_terminal:
            self.say(f"{what} ...")
            yield
            return
        text = TextColumn("{task.description} ({task.elapsed:.0f} s) ...", markup=False)
        with Progress(SpinnerColumn(SPINNER), text, console=self._console, transient=True) as progress:
            progress.add_task(what, total=None)
            yield

    @contextmanager
    def live(self) -> Iterator[None]:
        self._begun = time.monotonic()
        if not self._console.is_terminal:
            yield
            return
        with Live(console=self._console, refresh_per_second=8, transient=True) as self._live:
            yield
        self._live = None

    def show(self, observed: Observed, new: list[Decision]) -> None:
        """What there is now; `new` decisions enter the table."""
        self._rows.extend(new)
        line = self._line(observed)
        if self._live is not None:
            shown = Group(_table(self._rows), Text(line)) if self._rows else Spinner(SPINNER, Text(line))
            self._live.update(shown)
        elif time.monotonic() - self._said_at > EVERY_S:
            self._said_at = time.monotonic()
            self.say(line)

    def _line(self, observed: Observed) -> str:
        """How far it is, in words."""
        begun = formatting.counted(len(observed.workflows), "workflow")
        if not observed.decisions:
            what = (
                f"{begun} begun; the first decisions are made"
                if observed.workflows
                else "Flink starts the job's Python"
            )
            return f"{what} ({time.monotonic() - self._begun:.0f} s) ..."
        ended = sum(has_ended(item) for item in observed.workflows.values())
        decisions = formatting.counted(len(observed.decisions), "decision")
        dead_letters = formatting.counted(len(observed.dead_letters), "dead letter")
        return f"{ended} of {begun} ended, {decisions}, {dead_letters}{self._note}"

    def waiting(self, left: str) -> None:
        """All workflows have ended; what is left to be done, in words."""
        self._note = f"; {left}"

    def finish(
        self, figures: dict[str, Any], observed: Observed, info: StackInfo, namespace: str, job_url: str
    ) -> None:
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
        mails = f"Mails: {info.mail_folder / namespace}   " if "emails" in figures else ""
        self.say(f"{mails}Logs: {info.home / 'log'}")

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
        table.add_row(
            formatting.one_line(decision.workflow_id), str(decision.step), agents, decision.decided_by, latency
        )
    return table
