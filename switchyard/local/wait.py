"""Waiting until programs are healthy, and saying why one is not."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from switchyard.core.report import Report
from switchyard.local.errors import StackError
from switchyard.local.info import ProgramRecord, StackInfo
from switchyard.local.supervisor import Supervisor

_ATTEMPTS = 4


def wait_healthy(
    supervisor: Supervisor,
    info: StackInfo,
    names: Sequence[str],
    timeout_s: float,
    report: Report,
) -> None:
    """Report each program once it is healthy; one that keeps dying or stays silent is an error."""
    started = time.monotonic()
    waiting = list(names)
    while waiting:
        states = {state.name: state for state in supervisor.states()}
        spawns = supervisor.spawns()
        for name in list(waiting):
            record = info.programs[name]
            state = states[name]
            problem = f"it is {state.state.lower()}" if state.pid is None else record.health.problem()
            if problem is None:
                waiting.remove(name)
                seconds = time.monotonic() - started
                report(f"{name} is healthy{_where(record)} (process {state.pid}, {seconds:.1f} s)")
            elif state.pid is None and spawns.get(name, 0) - record.spawned_before >= _ATTEMPTS:
                raise StackError(f"{name} does not stay up. {_last_words(info, name, record)}")
            elif time.monotonic() - started > timeout_s:
                raise StackError(
                    f"{name} is not healthy after {timeout_s:.0f} s: {problem}. {_last_words(info, name, record)}"
                )
        if waiting:
            time.sleep(0.2)


def _where(record: ProgramRecord) -> str:
    """Where it is asked; nothing for a program that serves nobody."""
    return f" at {record.health.address}" if record.health.address else ""


def _last_words(info: StackInfo, name: str, record: ProgramRecord) -> str:
    """The end of its logs, and where to read the rest."""
    ends = []
    for file in (Path(record.log), Path(record.log).with_suffix(".out")):
        if file.exists() and (text := file.read_text(encoding="utf-8", errors="replace").strip()):
            ends.append("\n  ".join([f"The end of {file}:", *text.splitlines()[-4:]]))
    return "\n".join(ends) or f"See {info.home / 'log'}."
