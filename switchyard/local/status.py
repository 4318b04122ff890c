"""What `status` shows of each process."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from switchyard.local.info import ProgramRecord, StackInfo
from switchyard.local.supervisor import ProcessState, Supervisor

HEALTHY = "healthy"


@dataclass(frozen=True)
class ProgramStatus:
    """One process. `health` is "healthy" or says what is wrong; `uptime` is in seconds, `log` the path of its log."""

    process: str
    pid: int | None
    port: int | None
    health: str
    restarts: int
    uptime: float | None
    log: str

    @property
    def healthy(self) -> bool:
        return self.health == HEALTHY


def statuses(info: StackInfo, supervisor: Supervisor) -> list[ProgramStatus]:
    """Every process of the running stack, asked all at once."""
    states = {state.name: state for state in supervisor.states()}
    spawns = supervisor.spawns()
    records = list(info.programs.items())

    def look(item: tuple[str, ProgramRecord]) -> ProgramStatus:
        name, record = item
        state = states.get(name)
        restarts = max(0, spawns.get(name, 0) - record.spawned_before - 1)
        pid, uptime = (state.pid, state.uptime) if state else (None, None)
        return ProgramStatus(name, pid, record.port, _health(state, record), restarts, uptime, record.log)

    with ThreadPoolExecutor(max_workers=8) as pool:
        return list(pool.map(look, records))


def _health(state: ProcessState | None, record: ProgramRecord) -> str:
    if state is None:
        return "unknown to the supervisor"
    if state.pid is None:
        return "waits to be started again" if state.state == "BACKOFF" else state.state.lower()
    return record.health.problem() or HEALTHY
