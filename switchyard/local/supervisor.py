"""Supervisord: the one process that keeps the others alive."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import subprocess
import sys
import time
import xmlrpc.client
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from supervisor.xmlrpc import SupervisorTransport

from switchyard.local.errors import StackError
from switchyard.local.layout import Layout
from switchyard.local.program import Program

ANSWER_TIMEOUT_S = 15.0
STOP_WAIT_S = 15
_BAD_NAME = 10
_NOT_RUNNING = 70
_SPAWNED = re.compile(r"spawned: '([^']+)' with pid")


@dataclass(frozen=True)
class ProcessState:
    """What supervisord knows about a process."""

    name: str
    state: str
    pid: int | None
    uptime: float | None


@dataclass(frozen=True)
class Supervisor:
    """The supervisord of one layout; it is asked over its Unix socket."""

    layout: Layout

    def start(self, env: Mapping[str, str]) -> int:
        """Start supervisord in the background and answer its process id; it holds nothing of the caller's."""
        for old in self.layout.programs.glob("*.conf"):
            old.unlink()
        self.layout.socket.unlink(missing_ok=True)
        for log in (self.layout.supervisor_log, self.layout.log / "supervisord.out"):
            if log.exists():
                log.replace(f"{log}.1")
        self.layout.supervisor_conf.write_text(conf(self.layout), encoding="utf-8")
        with (self.layout.log / "supervisord.out").open("ab") as out:
            subprocess.run(
                [sys.executable, "-P", "-m", "supervisor.supervisord", "-c", str(self.layout.supervisor_conf)],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                env=dict(env),
                start_new_session=True,
                umask=0o077,
                check=False,
            )
        deadline = time.monotonic() + ANSWER_TIMEOUT_S
        while time.monotonic() < deadline:
            pid = self.pid()
            if pid is not None:
                return pid
            time.sleep(0.05)
        raise StackError(f"supervisord did not start; see {self.layout.log / 'supervisord.out'}.")

    def pid(self) -> int | None:
        """Its process id, None when it does not answer."""
        try:
            return int(self._call("getPID"))
        except (OSError, xmlrpc.client.Error):
            return None

    def add(self, program: Program) -> None:
        (self.layout.programs / f"{program.name}.conf").write_text(program_conf(self.layout, program), encoding="utf-8")
        self._call("reloadConfig")
        self._call("addProcessGroup", program.name)

    def remove(self, name: str) -> None:
        """Stop a program and forget it."""
        (self.layout.programs / f"{name}.conf").unlink(missing_ok=True)
        self.stop(name)
        while self.runs(name):
            time.sleep(0.05)
        self._call("reloadConfig")
        with _ignored(_BAD_NAME):
            self._call("removeProcessGroup", name)

    def stop(self, name: str) -> None:
        """Have a program stop. To be asked to wait for that keeps supervisord busy, on a whole core, until it has."""
        with _ignored(_BAD_NAME, _NOT_RUNNING):
            self._call("stopProcess", name, False)

    def runs(self, *names: str) -> bool:
        """Whether any of these programs has a process."""
        return any(state.pid for state in self.states() if state.name in names)

    def states(self) -> list[ProcessState]:
        states = []
        for info in self._call("getAllProcessInfo"):
            pid = int(info["pid"]) or None
            uptime = float(info["now"] - info["start"]) if pid else None
            states.append(ProcessState(info["name"], info["statename"], pid, uptime))
        return states

    def shutdown(self) -> None:
        with contextlib.suppress(OSError, xmlrpc.client.Error):
            self._call("shutdown")

    def spawns(self) -> dict[str, int]:
        """How often each program was started since this supervisord came up."""
        counts: dict[str, int] = {}
        with contextlib.suppress(FileNotFoundError), self.layout.supervisor_log.open(encoding="utf-8") as log:
            for line in log:
                if "supervisord started with pid" in line:
                    counts = {}
                elif spawned := _SPAWNED.search(line):
                    counts[spawned[1]] = counts.get(spawned[1], 0) + 1
        return counts

    def _call(self, method: str, *arguments: Any) -> Any:
        transport = SupervisorTransport(serverurl=f"unix://{self.layout.socket}")
        proxy = xmlrpc.client.ServerProxy("http://localhost", transport=transport)
        try:
            return getattr(proxy.supervisor, method)(*arguments)
        finally:
            transport.close()


def conf(layout: Layout) -> str:
    """Supervisord's own settings. Its environment, which its programs inherit, stands in no file."""
    socket = _escaped(layout.socket)
    return f"""\
[unix_http_server]
file={socket}
chmod=0700

[supervisord]
logfile={_escaped(layout.supervisor_log)}
logfile_maxbytes=0
loglevel=info
pidfile={_escaped(layout.supervisor_pid)}
childlogdir={_escaped(layout.log)}
umask=077
strip_ansi=true

[rpcinterface:supervisor]
supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface

[include]
files=programs/*.conf
"""


def program_conf(layout: Layout, program: Program) -> str:
    """One program: restarted with back-off whenever it ends, stopped together with its children."""
    log = layout.log / f"{program.name}.{program.log_suffix}"
    environment = ",".join(f'{key}="{_quoted(value)}"' for key, value in sorted(program.env.items()))
    return f"""\
[program:{program.name}]
command={_escaped(shlex.join(program.command))}
environment={environment}
directory={_escaped(Path.cwd())}
priority={program.priority}
autostart=true
autorestart=true
startsecs=10
startretries=1000000
stopsignal=TERM
stopwaitsecs={STOP_WAIT_S}
stopasgroup=true
killasgroup=true
redirect_stderr=true
stdout_logfile={_escaped(log)}
stdout_logfile_maxbytes=50MB
stdout_logfile_backups=1
"""


def _escaped(value: str | os.PathLike[str]) -> str:
    text = os.fspath(value)
    if "\n" in text or " ;" in text:
        raise StackError(f"{text!r} holds a line break or ' ;', which the supervisor's settings cannot.")
    return text.replace("%", "%%")


def _quoted(value: str) -> str:
    if '"' in value or "\\" in value:
        raise StackError(f"{value!r} holds a quote or backslash, which the supervisor's settings cannot.")
    return _escaped(value)


@contextlib.contextmanager
def _ignored(*codes: int) -> Any:
    try:
        yield
    except xmlrpc.client.Fault as fault:
        if fault.faultCode not in codes:
            raise
