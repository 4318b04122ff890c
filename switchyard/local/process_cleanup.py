"""Finding every process of a stack, also those whose parents were killed."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence

import psutil

# Every process of a stack inherits this variable from its supervisord.
MARK = "SWITCHYARD_STACK_ID"
# Supervisord gives it to each program, whose children inherit it.
PROGRAM = "SUPERVISOR_PROCESS_NAME"


def members(stack_id: str, program: str | None = None) -> list[psutil.Process]:
    """All living processes that carry this stack's mark, or those that one program of it started."""
    processes = []
    for process in psutil.process_iter():
        try:
            if process.pid == os.getpid() or process.status() == psutil.STATUS_ZOMBIE:
                continue
            env = process.environ()
            if env.get(MARK) == stack_id and program in (None, env.get(PROGRAM)):
                processes.append(process)
        except psutil.Error:
            continue
    return processes


def stop_members(stack_id: str, patience_s: float = 5.0) -> int:
    """Ask what is left to end, then kill it; answers how many there were."""
    left = members(stack_id)
    for process in left:
        with contextlib.suppress(psutil.Error):
            process.terminate()
    _, stubborn = psutil.wait_procs(left, timeout=patience_s)
    kill(stubborn)
    return len(left)


def kill(processes: Sequence[psutil.Process]) -> None:
    for process in processes:
        with contextlib.suppress(psutil.Error):
            process.kill()
    psutil.wait_procs(processes, timeout=5.0)
