"""Finding every process of a stack, also those whose parents were killed."""

from __future__ import annotations

import os

import psutil

# Every process of a stack inherits this variable from its supervisord.
MARK = "SWITCHYARD_STACK_ID"


def members(stack_id: str) -> list[psutil.Process]:
    """All living processes that carry this stack's mark."""
    found = []
    for process in psutil.process_iter():
        try:
            marked = process.pid != os.getpid() and process.environ().get(MARK) == stack_id
            if marked and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except psutil.Error:
            continue
    return found


def stop_members(stack_id: str, patience_s: float = 5.0) -> int:
    """Ask what is left to end, then kill it; answers how many there were."""
    left = members(stack_id)
    for process in left:
        _signal(process, hard=False)
    _, stubborn = psutil.wait_procs(left, timeout=patience_s)
    for process in stubborn:
        _signal(process, hard=True)
    psutil.wait_procs(stubborn, timeout=patience_s)
    return len(left)


def _signal(process: psutil.Process, hard: bool) -> None:
    try:
        if hard:
            process.kill()
        else:
            process.terminate()
    except psutil.Error:
        pass
