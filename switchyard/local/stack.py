"""The local stack as the command line and the tests use it: up, down, status, and programs added while it runs."""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import psutil

from switchyard.core import data_folder
from switchyard.core.report import Report, silent
from switchyard.core.settings import Settings
from switchyard.kafka.connection import VARIABLES
from switchyard.local import dispatch_key, leftovers, model_endpoint, plan, ports, process_cleanup
from switchyard.local.apps import ServedApp
from switchyard.local.errors import StackError
from switchyard.local.health import Health
from switchyard.local.info import ProgramRecord, StackInfo
from switchyard.local.layout import Layout
from switchyard.local.options import StackOptions
from switchyard.local.program import Program
from switchyard.local.status import ProgramStatus, statuses
from switchyard.local.submitted_jobs import SubmittedJobs
from switchyard.local.supervisor import Supervisor
from switchyard.local.wait import wait_healthy


@dataclass(frozen=True)
class Stack:
    """The stack of one home folder."""

    layout: Layout

    @classmethod
    def of(cls, settings: Settings) -> Stack:
        """Return the stack of the settings' home folder."""
        return cls(Layout.of(settings))

    @property
    def supervisor(self) -> Supervisor:
        return Supervisor(self.layout)

    def info(self) -> StackInfo | None:
        """The addresses, None when the stack is not up."""
        info = StackInfo.load(self.layout.stack_file)
        return info if info is not None and self.supervisor.pid() is not None else None

    def up(self, apps: Sequence[str | Path], options: StackOptions, report: Report = silent) -> StackInfo:
        """Start what is not there yet and wait until all of it is healthy."""
        wanted = [ServedApp.find(app) for app in apps]
        with self._locked():
            info = self.info()
            if info is None:
                return self._start(wanted, options, report)
            self._check_same(info, options)
            missing = [app for app in wanted if app.program not in info.programs]
            for app in missing:
                info = self._add_app(info, app)
            names = [app.program for app in missing] or list(info.programs)
            wait_healthy(self.supervisor, info, names, options.timeout_s, report if missing else silent)
            if not missing:
                report("The stack is up already; nothing was changed.")
            return info

    def add_app(self, app: str | Path, namespace: str | None = None, env: Mapping[str, str] | None = None) -> StackInfo:
        """Run an app's worker under a namespace of its own and wait until it is healthy."""
        served = ServedApp.find(app, namespace)
        with self._locked():
            info = self._add_app(self._running(), served, env or {})
        wait_healthy(self.supervisor, info, [served.program], StackOptions().timeout_s, silent)
        return info

    def remove_app(self, namespace: str) -> None:
        """Stop the worker of a namespace."""
        with self._locked():
            info = self._running()
            self.supervisor.remove(f"worker-{namespace}")
            apps = {name: folder for name, folder in info.apps.items() if name != namespace}
            self._save(_without(replace(info, apps=apps), f"worker-{namespace}"))

    def add_program(
        self,
        name: str,
        command: Sequence[str],
        env: Mapping[str, str] | None = None,
        health: Health | None = None,
        port: int | None = None,
        timeout_s: float = 60.0,
    ) -> StackInfo:
        """Start one more process under the supervisor and wait until it is healthy."""
        program = Program(name, command, env or {}, port, health or Health("none"))
        with self._locked():
            info = self._add(self._running(), program)
        wait_healthy(self.supervisor, info, [name], timeout_s, silent)
        return info

    def remove_program(self, name: str) -> None:
        """Stop a process that `add_program` started."""
        with self._locked():
            info = self._running()
            self.supervisor.remove(name)
            self._save(_without(info, name))

    def status(self) -> list[ProgramStatus]:
        """Every process; empty when the stack is not up."""
        info = self.info()
        return [] if info is None else statuses(info, self.supervisor)

    def down(self, clean: bool = False, report: Report = silent) -> bool:
        """Stop what `up` started, and nothing else; answers whether anything ran. `clean` removes all data.

        Raises SettingsError, and stops nothing, where the data folder is not of our making.
        """
        if clean:
            data_folder.check_removable(self.layout.home)
        ran = False
        if self.layout.run.exists():
            with self._locked():
                ran = self._stop(report)
        if clean:
            self.layout.remove()
        return ran

    def _start(self, apps: Sequence[ServedApp], options: StackOptions, report: Report) -> StackInfo:
        self._stop(silent)
        leftovers.forget_old(self.layout, [app.namespace for app in apps], time.time())
        plan.check(options)
        chosen = ports.choose(options.ports, self._last_ports())
        self.layout.ports_file.write_text(json.dumps(chosen), encoding="utf-8")
        info = plan.addresses(self.layout, chosen, options)
        self._save(info)
        env = model_endpoint.environment(os.environ, options.model_base_url or info.model_base_url, info.model_embedded)
        env |= dispatch_key.environment(self.layout, os.environ)
        try:
            self.supervisor.start({**env, process_cleanup.MARK: info.stack_id})
            for program in plan.programs(self.layout, chosen, options):
                info = self._add(info, program)
            wait_healthy(self.supervisor, info, list(info.programs), options.timeout_s, report)
            for app in apps:
                info = self._add_app(info, app)
            wait_healthy(self.supervisor, info, [app.program for app in apps], options.timeout_s, report)
        except BaseException:
            self._stop(silent)
            raise
        return info

    def _add(self, info: StackInfo, program: Program) -> StackInfo:
        record = ProgramRecord(
            program.port,
            program.health,
            str(self.layout.log / f"{program.name}.log"),
            self.supervisor.spawns().get(program.name, 0),
        )
        if program.name in info.programs:
            raise StackError(f"A process called {program.name} runs already; remove it first.")
        info = replace(info, programs={**info.programs, program.name: record})
        self._save(info)
        self.supervisor.add(program)
        return info

    def _add_app(self, info: StackInfo, app: ServedApp, env: Mapping[str, str] | None = None) -> StackInfo:
        info = replace(info, apps={**info.apps, app.namespace: str(app.folder)})
        self._save(info)
        taken = [record.port for record in info.programs.values() if record.port is not None]
        taken += self._last_ports().values()
        return self._add(info, app.worker(ports.free_port(taken), {**plan.worker_environment(info), **(env or {})}))

    def _save(self, info: StackInfo) -> None:
        apps = self.layout.apps_file
        unfinished = apps.with_suffix(".tmp")
        unfinished.write_text(json.dumps(dict(info.apps), indent=2) + "\n", encoding="utf-8")
        unfinished.rename(apps)
        info.save(self.layout.stack_file)

    def _running(self) -> StackInfo:
        info = self.info()
        if info is None:
            raise StackError("The stack is not up; start it with `switchyard up`.")
        return info

    def _check_same(self, info: StackInfo, options: StackOptions) -> None:
        """A running stack keeps its addresses: another server or key needs a new start, and says so."""
        differing = []
        if options.kafka is not None and options.kafka.address != info.kafka:
            differing.append(f"Kafka at {info.kafka}")
        if options.flink is not None and plan.flink_url(options) != info.flink:
            differing.append(f"Flink at {info.flink}")
        url = options.model_base_url
        if (url is None) != info.model_embedded or (url and model_endpoint.without_secrets(url) != info.model_base_url):
            differing.append(f"the model at {info.model_base_url}")
        elif url is not None and self._inherited("OPENAI_API_KEY") != os.environ.get("OPENAI_API_KEY"):
            differing.append("another OPENAI_API_KEY")
        if "kafka" not in info.programs and any(self._inherited(name) != os.environ.get(name) for name in VARIABLES):
            differing.append("other SWITCHYARD_KAFKA_... settings")
        last = self._last_ports()
        differing += [
            f"port {last.get(name)} for {name}" for name, port in options.ports.items() if port != last.get(name)
        ]
        if differing:
            raise StackError(
                f"The stack that is up uses {' and '.join(differing)}; "
                "run `switchyard down` first to start it with the new settings."
            )

    def _inherited(self, variable: str) -> str | None:
        pid = self.supervisor.pid()
        return psutil.Process(pid).environ().get(variable) if pid else None

    def _last_ports(self) -> dict[str, int]:
        try:
            last: dict[str, int] = json.loads(self.layout.ports_file.read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):
            return {}
        return last

    def _stop(self, report: Report) -> bool:
        info = StackInfo.load(self.layout.stack_file)
        supervisor = self.supervisor
        pid = supervisor.pid()
        if pid is not None:
            report("Stopping the stack ...")
            daemon = psutil.Process(pid)
            _stop_all_but_the_broker(supervisor)
            supervisor.shutdown()
            psutil.wait_procs([daemon], timeout=40)
        left = process_cleanup.stop_members(info.stack_id) if info is not None else 0
        SubmittedJobs(self.layout).forget_all()
        self.layout.stack_file.unlink(missing_ok=True)
        self.layout.socket.unlink(missing_ok=True)
        return pid is not None or left > 0

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """One `up` or `down` at a time in one home."""
        self.layout.make()
        with data_folder.private_files(), self.layout.lock_file.open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def _stop_all_but_the_broker(supervisor: Supervisor) -> None:
    """The broker goes last, so that workers can commit what they have done."""
    names = [state.name for state in supervisor.states() if state.name != "kafka"]
    for name in names:
        supervisor.stop(name)
    deadline = time.monotonic() + 20
    while supervisor.runs(*names) and time.monotonic() < deadline:
        time.sleep(0.1)


def _without(info: StackInfo, name: str) -> StackInfo:
    return replace(info, programs={key: record for key, record in info.programs.items() if key != name})
